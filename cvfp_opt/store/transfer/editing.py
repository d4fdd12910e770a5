"""Deleting and renaming studies, with all that is linked to them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import optuna
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import TrialState
from sqlalchemy import Connection, select, update

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.optuna_private import FrozenStudy, study_id_of
from cvfp_opt.store.database.rows import lock_study
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.study_rows import delete_studies, find_row, put_attributes
from cvfp_opt.store.database.tables import (
    STUDIES,
    STUDY_USER_ATTRIBUTES,
    TRIALS,
)
from cvfp_opt.store.files.artifact_names import all_artifact_ids, named_beside
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.queue.leases import Lease, read_leases
from cvfp_opt.store.record.confirmation import SUFFIX
from cvfp_opt.store.record.links import Source, forget_links, linked_studies
from cvfp_opt.store.record.mirrors import MIRRORS, count_own
from cvfp_opt.store.record.records import CONFIRMS, MIRROR_OF
from cvfp_opt.store.record.studies import check_new_name, load_study


def delete_study(
    store: Store, name: str, artifacts: ArtifactStore | None, *, force: bool = False
) -> None:
    """Delete a study with what is linked to it and leases, all or nothing; then its artifacts.

    Args:
        artifacts: of the database; those that another study names too, here or in another
            database of the folder, are kept, and with None all of them.
        force: even if workers run it; they stop with an error.

    Raises:
        StudyError: none of that name; a mirror; or workers run it.
        StorageError: the artifacts refuse; the study is deleted.
    """
    study = _editable(store, name)
    with store.lock():
        linked = linked_studies(store, Source.of_study(study))
        with store.engine.begin() as connection:
            lock_study(connection, study_id_of(study))
            if not force:
                searched = _searched(study, linked)
                _refuse_live(store, connection, searched, "delete", " or add --force")
            own = [one for one in linked if holds_own_trials(connection, one)]
            for one in own:  # an older version took somebody's study for a mirror
                forget_links(connection, study_id_of(one))
            before = all_artifact_ids(connection)
            gone = [study_id_of(one) for one in linked if one not in own]
            delete_studies(connection, [study_id_of(study), *gone])
            unnamed = before - all_artifact_ids(connection)
    if artifacts is None:
        return
    for artifact_id in unnamed - named_beside(store.location):
        with suppress(ArtifactNotFound):
            artifacts.remove(artifact_id)


def holds_own_trials(connection: Connection, study: FrozenStudy) -> bool:
    """Check if a mirror has trials that are no copies: those are somebody's, not its study's."""
    return MIRROR_OF in study.user_attrs and count_own(connection, study_id_of(study)) > 0


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
            lock_study(connection, study_id_of(study))
            _refuse_live(store, connection, _searched(study, linked), "rename", "")
            linked = [one for one in linked if not holds_own_trials(connection, one)]
            names = {study_id_of(study): new}
            names |= {study_id_of(one): f"{new}{one.study_name[len(old) :]}" for one in linked}
            _check_new(new)
            _check_free(store, connection, names, unchanged=new == old)
            for study_id, name in names.items():
                connection.execute(
                    update(STUDIES).where(STUDIES.c.study_id == study_id).values(study_name=name)
                )
            for one in linked:
                links = {key: new for key in (MIRROR_OF, CONFIRMS) if key in one.user_attrs}
                put_attributes(connection, STUDY_USER_ATTRIBUTES, study_id_of(one), links)


def _check_new(name: str) -> None:
    """Refuse a name that no study can have."""
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
    """Read the leases of live workers, by the number of the trial that each runs."""
    rows = connection.execute(
        select(TRIALS.c.trial_id, TRIALS.c.number).where(
            TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.RUNNING
        )
    ).all()
    leases = read_leases(connection, study_id) if rows else {}
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
    """Refuse studies whose trials workers run. ``searched`` has names by study id."""
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
    """List the studies that workers may run, a study and its confirmation: names by id."""
    confirmations = {
        study_id_of(one): one.study_name for one in linked if CONFIRMS in one.user_attrs
    }
    return {study_id_of(study): study.study_name, **confirmations}
