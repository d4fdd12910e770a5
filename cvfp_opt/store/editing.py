"""Changing a database by hand: deleting and renaming studies."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import optuna
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages._rdb import models
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
from cvfp_opt.store.mirrors import MIRRORS
from cvfp_opt.store.moving.tables import STUDY_SYSTEM_ATTRIBUTES
from cvfp_opt.store.records import CONFIRMS, MIRROR_OF
from cvfp_opt.store.rows import STUDIES, SYSTEM_ATTRIBUTES, TRIALS, lock_study
from cvfp_opt.store.studies import has_study, load_study


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


def linked_names(store: Store, name: str, *keys: str) -> list[str]:
    """The names of the studies that an attribute among ``keys`` links to a study."""
    return [
        study.study_name
        for study in store.storage.get_all_studies()
        if any(study.user_attrs.get(key) == name for key in keys)
    ]


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
        names = [name, *linked_names(store, name, MIRROR_OF, CONFIRMS)]
        with store.engine.begin() as connection:
            lock_study(connection, study._study_id)
            for one in [] if force else [study, *_confirmations(store, name)]:
                _refuse_live(store, connection, one, "delete", " or add --force")
            before = _artifacts(connection)
            _delete_rows(connection, names)
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


def _delete_rows(connection: Connection, names: Sequence[str]) -> None:
    study_ids = list(
        connection.scalars(select(STUDIES.c.study_id).where(STUDIES.c.study_name.in_(names)))
    )
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
        _check_name(store, new)
        with store.engine.begin() as connection:
            lock_study(connection, study._study_id)
            for one in [study, *_confirmations(store, old)]:
                _refuse_live(store, connection, one, "rename", "")
            _rename_rows(connection, old, new)


def _rename_rows(connection: Connection, old: str, new: str) -> None:
    attributes = models.StudyUserAttributeModel.__table__
    for before, after in _names(old, new).items():
        connection.execute(
            update(STUDIES).where(STUDIES.c.study_name == before).values(study_name=after)
        )
    connection.execute(
        update(attributes)
        .where(
            attributes.c.key.in_((MIRROR_OF, CONFIRMS)),
            attributes.c.value_json == json.dumps(old),
        )
        .values(value_json=json.dumps(new))
    )


def _confirmations(store: Store, name: str) -> list[optuna.Study]:
    return [load_study(store, linked) for linked in linked_names(store, name, CONFIRMS)]


def _names(old: str, new: str) -> dict[str, str]:
    suffixes = ["", f"/{SUFFIX}", *(f"/{mirror.suffix}" for mirror in MIRRORS)]
    return {f"{old}{suffix}": f"{new}{suffix}" for suffix in suffixes}


def _check_name(store: Store, name: str) -> None:
    if not name.strip():
        raise StudyError("a name is required, got nothing")
    for mirror in MIRRORS:
        if name.endswith(f"/{mirror.suffix}"):
            raise StudyError(f"{name!r}: names that end in /{mirror.suffix} are for mirrors")
    if name.endswith(f"/{SUFFIX}"):
        raise StudyError(f"{name!r}: names that end in /{SUFFIX} are for confirmations")
    for taken in _names(name, name):
        if has_study(store, taken):
            raise StudyError(
                f"{store.location.where}: there is a study {taken!r} already; name another"
            )


def _editable(store: Store, name: str) -> optuna.Study:
    study = load_study(store, name)
    of = study.user_attrs.get(MIRROR_OF)
    if of is not None:
        raise StudyError(
            f"study {name!r} is a mirror, which comes and goes with its study; name {of!r}"
        )
    return study


def live_leases(store: Store, connection: Connection, study: optuna.Study) -> dict[int, Lease]:
    """The leases of a study's trials whose workers are alive, by the trial's number."""
    rows = connection.execute(
        select(TRIALS.c.trial_id, TRIALS.c.number).where(
            TRIALS.c.study_id == study._study_id, TRIALS.c.state == TrialState.RUNNING
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
    store: Store, connection: Connection, study: optuna.Study, action: str, otherwise: str
) -> None:
    live = live_leases(store, connection, study)
    if live:
        who = ", ".join(
            f"trial {number} by process {lease.pid} on {lease.host}"
            for number, lease in sorted(live.items())
        )
        raise StudyError(
            f"study {study.study_name!r}: workers run it ({who}); stop them before you "
            f"{action} it{otherwise}"
        )
