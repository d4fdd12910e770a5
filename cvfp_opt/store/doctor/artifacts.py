"""Checks of artifacts: missing, damaged, and those that nothing needs any more."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import TrialState
from sqlalchemy import Connection, String, select, type_coerce

from cvfp_opt.disk import is_folder
from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import SYSTEM_ATTRIBUTES, TRIALS
from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.finding import Finding, Repair, counted, of_trials, size
from cvfp_opt.store.doctor.rows import TrialRow
from cvfp_opt.store.files.artifact_names import (
    all_artifact_ids,
    artifact_ids,
    artifact_key,
    forget_artifacts,
    is_id,
)
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.store.files.snapshot_format import read_arrays, read_head
from cvfp_opt.store.files.trial_checkpoints import TrialCheckpoints
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity


def find_missing_artifacts(context: Context) -> list[Finding]:
    """Find artifacts that a study or trial names and that are not in the artifact store."""
    named = [
        (study, trial, artifact_id)
        for study in context.studies
        for trial in (None, *study.trials)
        for artifact_id in artifact_ids(trial.system_attrs if trial else study.system_attrs)
        if is_id(artifact_id)
    ]
    store = context.artifacts
    if named and isinstance(store, FolderStore) and not is_folder(store.folder):
        return [
            Finding(
                where=str(store.folder),
                what=f"no such folder, and trials name {counted(len(named), 'artifact')} in it",
                cause="they were kept elsewhere, or the folder was moved or deleted",
                help="name their place with --artifacts",
            )
        ]
    lost: dict[tuple[str, bool], list[tuple[TrialRow | None, str]]] = defaultdict(list)
    for study, trial, artifact_id in named:
        if not _exists(store, artifact_id):
            own = trial is not None and artifact_id in _checkpoint_ids(store, trial)
            lost[study.name, own].append((trial, artifact_id))
    return [_missing(store, name, own, ones) for (name, own), ones in lost.items()]


def _missing(
    store: ArtifactStore, study: str, own: bool, lost: list[tuple[TrialRow | None, str]]
) -> Finding:
    numbers = sorted({trial.number for trial, _ in lost if trial is not None})
    kind = "checkpoint" if own else "artifact"
    return Finding(
        where=of_trials(study, numbers) if numbers else f"study {study}",
        what=f"{counted(len(lost), kind)} not there: {lost[0][1]}",
        cause="deleted, or kept elsewhere: --artifacts",
        help="forgets it: without one, a trial begins anew"
        if own
        else "restore it, or name its place with --artifacts",
        repair=_forget(store, study, lost) if own else None,
    )


def _forget(store: ArtifactStore, study: str, lost: list[tuple[TrialRow | None, str]]) -> Repair:
    """Make the repair by which trials name lost checkpoints no longer; no run misses the names."""

    def repair(open_store: Callable[[], Store]) -> str:
        with open_store().engine.begin() as connection:
            for trial, artifact_id in lost:
                if trial is not None and not _exists(store, artifact_id):
                    forget_artifacts(connection, [artifact_id], trial.trial_id)
        return f"study {study}: {counted(len(lost), 'checkpoint')} forgotten"

    return repair


def find_damaged_checkpoints(context: Context) -> list[Finding]:
    """Find damaged checkpoints of trials that would go on from them."""
    store = context.artifacts
    found = []
    for study in context.studies:
        for trial in study.trials:
            if trial.state.is_finished():
                continue
            for artifact_id in _checkpoint_ids(store, trial):
                if artifact_key(artifact_id) not in trial.system_attrs:
                    continue
                fault = _fault(store, artifact_id)
                if fault:
                    found.append(
                        Finding(
                            where=of_trials(study.name, [trial.number]),
                            what=f"a checkpoint that cannot be used: {fault}",
                            cause="a bad disk, or a copy that was cut off",
                            help="removes it: the trial goes on from the one before, or begins "
                            "anew",
                            repair=_remove_damaged(store, trial, artifact_id),
                        )
                    )
    return found


def _fault(store: ArtifactStore, artifact_id: str) -> str:
    """Describe what is wrong with a checkpoint; "" for one that is whole, or not there."""
    where = f"checkpoint {artifact_id}"
    try:
        with closing(store.open_reader(artifact_id)) as file:
            read_arrays(file, read_head(file, where), where)
    except ArtifactNotFound:
        return ""
    except StorageError as error:
        return str(error)
    return ""


def _remove_damaged(store: ArtifactStore, trial: TrialRow, artifact_id: str) -> Repair:
    def repair(open_store: Callable[[], Store]) -> str:
        if _fault(store, artifact_id):  # a worker may have put a whole one in its place
            _remove(store, artifact_id)
            with open_store().engine.begin() as connection:
                forget_artifacts(connection, [artifact_id], trial.trial_id)
        return f"trial {trial.number}: checkpoint {artifact_id} removed"

    return repair


def find_leftover_artifacts(context: Context) -> list[Finding]:
    """Find checkpoints of trials that have ended, and files that nothing in the database names."""
    store, connection = context.artifacts, context.reader
    present = _files(store.folder) if isinstance(store, FolderStore) else {}
    owners, named = _owners(connection), all_artifact_ids(connection)
    ended, unknown = set(), {}
    for artifact_id in {*named, *present}:
        uuid = artifact_id.rpartition("-")[0]
        own = artifact_id in TrialCheckpoints(store, uuid).ids and uuid in owners
        if own and all(state.is_finished() for state in owners[uuid]):
            if artifact_id in present or _exists(store, artifact_id):
                ended.add(artifact_id)
        elif not own and artifact_id not in named:
            unknown[artifact_id] = present[artifact_id]
    found = []
    if ended:
        found.append(
            Finding(
                where=_place(context),
                what=f"{counted(len(ended), 'checkpoint')} of trials that have ended",
                cause="a worker was killed before it removed them, or another ended its trial",
                help="removes them",
                repair=_remove_ended(store, sorted(ended)),
            )
        )
    if unknown:
        found.append(
            Finding(
                where=_place(context),
                what=f"{counted(len(unknown), 'file')}, {size(sum(unknown.values()))}, that no "
                "trial of this database names",
                cause="another database uses the folder, too, or the study was deleted: "
                f"{min(unknown)}",
                help="if no other database needs them, remove them",
                harmless=True,
            )
        )
    return found


def _remove_ended(store: ArtifactStore, ids: list[str]) -> Repair:
    def repair(open_store: Callable[[], Store]) -> str:
        with open_store().engine.begin() as connection:
            forget_artifacts(connection, ids)
        for artifact_id in ids:
            _remove(store, artifact_id)
        return f"{counted(len(ids), 'checkpoint')} of trials that have ended removed"

    return repair


def _place(context: Context) -> str:
    store = context.artifacts
    return str(store.folder) if isinstance(store, FolderStore) else context.location.where


def _checkpoint_ids(store: ArtifactStore, trial: TrialRow) -> tuple[str, ...]:
    identity = TrialIdentity.read(trial.system_attrs.get(IDENTITY_KEY))
    return TrialCheckpoints(store, identity.uuid).ids if identity else ()


def _exists(store: ArtifactStore, artifact_id: str) -> bool:
    """Check if an artifact exists. Raises StorageError where the store fails, or for no id."""
    try:
        with closing(store.open_reader(artifact_id)):
            return True
    except ArtifactNotFound:
        return False


def _remove(store: ArtifactStore, artifact_id: str) -> None:
    with suppress(ArtifactNotFound):
        store.remove(artifact_id)


def _files(folder: Path) -> dict[str, int]:
    """List the files of a folder, with sizes in bytes, but those that are being written."""
    found = {}
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                if path.is_file() and not path.name.startswith("."):
                    found[path.name] = path.stat().st_size
    return found


def _owners(connection: Connection) -> dict[str, list[TrialState]]:
    """Read the states of the trials of each identity; copies of a study share identities."""
    rows = connection.execute(
        # as text: a state that is none must not keep the others from being looked at
        select(SYSTEM_ATTRIBUTES.c.value_json, type_coerce(TRIALS.c.state, String).label("state"))
        .join(TRIALS, TRIALS.c.trial_id == SYSTEM_ATTRIBUTES.c.trial_id)
        .where(SYSTEM_ATTRIBUTES.c.key == IDENTITY_KEY)
    )
    found: dict[str, list[TrialState]] = defaultdict(list)
    for row in rows:
        if (identity := TrialIdentity.read(parsed(row.value_json))) is not None:
            state = TrialState.__members__.get(str(row.state), TrialState.RUNNING)
            found[identity.uuid].append(state)
    return found
