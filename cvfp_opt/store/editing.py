"""Changing a database by hand: deleting and renaming studies."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import optuna
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages._rdb import models
from optuna.study._frozen import FrozenStudy
from optuna.trial import TrialState
from sqlalchemy import Connection, delete, select, update

from cvfp_opt.errors import StudyError
from cvfp_opt.store.artifacts.checkpoints import ATTRIBUTE
from cvfp_opt.store.artifacts.stores import ArtifactStore
from cvfp_opt.store.confirming import SUFFIX
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.retry import LOOKING, Patience
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.leases import LEASES, Lease, read_leases
from cvfp_opt.store.links import Source, linked_studies
from cvfp_opt.store.mirrors import MIRRORS, count_own
from cvfp_opt.store.moving.tables import STUDY_SYSTEM_ATTRIBUTES, STUDY_USER_ATTRIBUTES
from cvfp_opt.store.records import CONFIRMS, MIRROR_OF, MIRRORED
from cvfp_opt.store.rows import STUDIES, SYSTEM_ATTRIBUTES, TRIALS, lock_study
from cvfp_opt.store.studies import check_new_name, load_study
from cvfp_opt.store.study_rows import find_row, put_attributes


@contextmanager
def open_for_editing(location: Location, patiently: Patience = LOOKING) -> Iterator[Store]:
    """Open a study database that must exist, to change it.

    Args:
        location: of the database.
        patiently: how to wait for one that is away, now and while it is open.

    Raises:
        StorageError: it does not, or cannot be written to.
    """
    patiently(lambda: kind_of(location).check_readable(location))
    with open_for_search(location, patiently) as store:
        yield store


def delete_study(
    store: Store, name: str, artifacts: ArtifactStore | None, *, force: bool = False
) -> None:
    """Delete a study with what is linked to it and leases, all or nothing; then its artifacts.

    Args:
        artifacts: of the database; those that another study names too are kept, and with None
            all of them.
        force: even if workers run it; they stop with an error.

    Raises:
        StudyError: none of that name; a mirror; or workers run it.
        StorageError: the artifacts refuse; the study is deleted.
    """
    study = _editable(store, name)
    with store.lock():
        linked = linked_studies(store, Source.of_study(study))
        with store.engine.begin() as connection:
            lock_study(connection, study._study_id)
            if not force:
                searched = _searched(study, linked)
                _refuse_live(store, connection, searched, "delete", " or add --force")
            own = [one for one in linked if holds_own_trials(connection, one)]
            for one in own:  # an older version took somebody's study for a mirror
                forget_links(connection, one._study_id)
            before = _artifacts(connection)
            gone = [one._study_id for one in linked if one not in own]
            delete_rows(connection, [study._study_id, *gone])
            left = before - _artifacts(connection)
    if artifacts is None:
        return
    for artifact_id in left:
        with suppress(ArtifactNotFound):
            artifacts.remove(artifact_id)


def _artifacts(connection: Connection) -> set[str]:
    """The ids of all artifacts that any study or trial names."""
    found = set()
    for table in (SYSTEM_ATTRIBUTES, STUDY_SYSTEM_ATTRIBUTES):
        keys = connection.scalars(select(table.c.key).where(table.c.key.startswith(ATTRIBUTE)))
        found |= {key.removeprefix(ATTRIBUTE) for key in keys}
    return found


def holds_own_trials(connection: Connection, study: FrozenStudy) -> bool:
    """Check if a mirror has trials that are no copies: those are somebody's, not its study's."""
    return MIRROR_OF in study.user_attrs and count_own(connection, study._study_id) > 0


def forget_links(connection: Connection, study_id: int) -> None:
    """Let a study be nobody's mirror any more."""
    table = STUDY_USER_ATTRIBUTES
    linking = table.c.key.in_((MIRROR_OF, MIRRORED))
    connection.execute(delete(table).where(table.c.study_id == study_id, linking))


def delete_rows(connection: Connection, study_ids: Sequence[int]) -> None:
    """Delete studies with all that is theirs. Call within a transaction that locks them."""
    trial_ids = select(TRIALS.c.trial_id).where(TRIALS.c.study_id.in_(study_ids))
    connection.execute(delete(LEASES).where(LEASES.c.trial_id.in_(trial_ids)))
    # children before parents; whatever tables this Optuna has
    tables = reversed(models.BaseModel.metadata.sorted_tables)
    of_studies = [table for table in tables if table.name != TRIALS.name]
    for table in [t for t in of_studies if "trial_id" in t.c]:
        connection.execute(delete(table).where(table.c.trial_id.in_(trial_ids)))
    for table in [TRIALS, *(t for t in of_studies if "study_id" in t.c)]:
        connection.execute(delete(table).where(table.c.study_id.in_(study_ids)))


def rename_study(store: Store, old: str, new: str) -> None:
    """Give a study another name, and what is linked to it theirs, all or nothing.

    Raises:
        StudyError: no study ``old``, or a mirror; ``new`` is taken or would be; workers run it.
    """
    study = _editable(store, old)
    source = study.user_attrs.get(CONFIRMS)
    if source is not None:
        raise StudyError(
            f"study {old!r} is the confirmation of study {source!r} and named after it: rename "
            "that one"
        )
    with store.lock():
        linked = linked_studies(store, Source.of_study(study))
        with store.engine.begin() as connection:
            lock_study(connection, study._study_id)
            _refuse_live(store, connection, _searched(study, linked), "rename", "")
            linked = [one for one in linked if not holds_own_trials(connection, one)]
            names = {study._study_id: new}
            names |= {one._study_id: f"{new}{one.study_name[len(old) :]}" for one in linked}
            _check_new(new)
            _check_free(store, connection, names, unchanged=new == old)
            for study_id, name in names.items():
                connection.execute(
                    update(STUDIES).where(STUDIES.c.study_id == study_id).values(study_name=name)
                )
            for one in linked:
                links = {key: new for key in (MIRROR_OF, CONFIRMS) if key in one.user_attrs}
                put_attributes(connection, STUDY_USER_ATTRIBUTES, one._study_id, links)


def _check_new(name: str) -> None:
    """Refuse a name that is none for a study."""
    check_new_name(name)
    for mirror in MIRRORS:
        if name.endswith(f"/{mirror.suffix}"):
            raise StudyError(f"{name!r}: names that end in /{mirror.suffix} are for mirrors")
    if name.endswith(f"/{SUFFIX}"):
        raise StudyError(f"{name!r}: names that end in /{SUFFIX} are for confirmations")


def _check_free(
    store: Store, connection: Connection, names: Mapping[int, str], *, unchanged: bool
) -> None:
    """Refuse new names, by study id, that others have; another case of its own may be free."""
    for study_id, name in names.items():
        row = find_row(connection, name)
        if row is None or (row.study_id == study_id and not unchanged):
            continue
        taken = f"there is a study {row.study_name!r} already"
        if row.study_name != name:
            taken += f", which this server takes for {name!r}"
        raise StudyError(f"{store.location.where}: {taken}; name another")


def _editable(store: Store, name: str) -> optuna.Study:
    study = load_study(store, name)
    of = study.user_attrs.get(MIRROR_OF)
    if of is not None:
        raise StudyError(
            f"study {name!r} is a mirror, which comes and goes with its study; name {of!r}"
        )
    return study


def live_leases(store: Store, connection: Connection, study_id: int) -> dict[int, Lease]:
    """The leases of a study's trials whose workers are alive, by the trial's number."""
    rows = connection.execute(
        select(TRIALS.c.trial_id, TRIALS.c.number).where(
            TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.RUNNING
        )
    ).all()
    leases = read_leases(connection, [row.trial_id for row in rows]) if rows else {}
    now = connection.execute(select(store.now())).scalar_one()
    return {
        row.number: leases[row.trial_id]
        for row in rows
        if row.trial_id in leases
        and not leases[row.trial_id].is_dead(now, one_host=store.kind.one_host)
    }


def _refuse_live(
    store: Store, connection: Connection, searched: Mapping[int, str], action: str, otherwise: str
) -> None:
    """Refuse what workers run. ``searched`` has names by study id."""
    for study_id, name in searched.items():
        if live := live_leases(store, connection, study_id):
            who = ", ".join(
                f"trial {number} by process {lease.pid} on {lease.host}"
                for number, lease in sorted(live.items())
            )
            raise StudyError(
                f"study {name!r}: workers run it ({who}); stop them before you "
                f"{action} it{otherwise}"
            )


def _searched(study: optuna.Study, linked: Sequence[FrozenStudy]) -> dict[int, str]:
    """A study and its confirmation, names by id: what workers may run."""
    confirmations = {one._study_id: one.study_name for one in linked if CONFIRMS in one.user_attrs}
    return {study._study_id: study.study_name, **confirmations}
