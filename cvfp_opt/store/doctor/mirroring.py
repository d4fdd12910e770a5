"""Mirrors and what they mirror."""

from collections import defaultdict
from collections.abc import Callable

import optuna
from optuna.storages._rdb import models
from sqlalchemy import Connection, delete, select

from cvfp_opt.elsewhere import positional
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.finding import Finding, Repair, counted
from cvfp_opt.store.doctor.rows import StudyRows, TrialRow
from cvfp_opt.store.mirrors import MIRRORS, SOURCE_TRIAL, Mirror, sync_mirrors
from cvfp_opt.store.records import CONFIRMS, TrialRecord
from cvfp_opt.store.rows import TRIALS, lock_study

Copies = dict[int, list[TrialRow]]


def find_mirrors_out_of_step(context: Context) -> list[Finding]:
    """Copies that are missing, wrong, or of a study that is gone."""
    found = []
    mirrors = {mirror.name: mirror for mirror in context.mirrors}
    for study in context.ours:
        if CONFIRMS in study.attributes:
            continue
        for mirror in MIRRORS:
            if mirror.suffix == "pareto" and study.directions > 1:
                continue  # it is one itself
            rows = mirrors.get(f"{study.name}/{mirror.suffix}")
            found += _out_of_step(context, study, mirror, rows)
    names = {study.name for study in context.every}
    found += [_left_behind(m) for m in context.mirrors if m.mirror_of not in names]
    found += [
        _confirms_nothing(study)
        for study in context.studies
        if study.attributes.get(CONFIRMS, study.name) not in names
    ]
    return found


def _out_of_step(
    context: Context, study: StudyRows, mirror: Mirror, rows: StudyRows | None
) -> list[Finding]:
    expected = _expected(study, mirror)
    copies = _copies(rows) if rows is not None else {}
    missing = expected.keys() - copies.keys()
    name = f"study {study.name}/{mirror.suffix}"
    found = []
    if missing and not context.is_searched(study):  # its workers copy every few seconds
        found.append(
            Finding(
                where=name,
                what=f"{counted(len(missing), 'complete trial')} not copied",
                cause="the last worker was stopped before it copied them",
                help="copies them",
                repair=_sync(study),
            )
        )
    wrong = sum(
        len(trials) if number not in expected else _faults(study, expected[number], trials)
        for number, trials in copies.items()
    )
    if wrong and rows is not None:
        found.append(
            Finding(
                where=name,
                what=f"{counted(wrong, 'copy')} of trials that are not there, or are otherwise",
                cause="the study was changed by hand or by another program, or the mirror was",
                help="makes the mirror anew",
                repair=_rebuild(study, rows),
            )
        )
    return found


def _expected(study: StudyRows, mirror: Mirror) -> dict[int, tuple[TrialRow, list[float]]]:
    """The trials that belong in a mirror, and their values there, by number."""
    assert study.record is not None
    split = study.record.definition["objective"].get("split", "train")
    found = {}
    for trial in study.complete:
        record = TrialRecord(
            number=trial.number,
            state="complete",
            scored=trial.table("scored"),
            metrics=trial.table("metrics"),
            audit=trial.table("audit"),
        )
        try:
            values = mirror.values(record, split) if record.audit else None
        except (KeyError, TypeError):  # another program's words
            continue
        if values is None:
            continue
        found[trial.number] = (trial, list(values))
    return found


def _copies(rows: StudyRows) -> Copies:
    """A mirror's trials by the number that each copies; -1 for one that names none."""
    found: Copies = defaultdict(list)
    for trial in rows.trials:
        number = trial.user_attrs.get(SOURCE_TRIAL)
        found[number if isinstance(number, int) else -1].append(trial)
    return found


def _faults(study: StudyRows, source: tuple[TrialRow, list[float]], copies: list[TrialRow]) -> int:
    """How many of a trial's copies are not as they should be: all but one, at least."""
    trial, values = source
    good = sum(
        [value for _, value in sorted(copy.values.items())] == values
        and copy.params == trial.params
        for copy in copies
    )
    return len(copies) - min(good, 1)


def _left_behind(mirror: StudyRows) -> Finding:
    def repair(open_store: Callable[[], Store]) -> str:
        store = open_store()
        with store.lock():
            names = {study.study_name for study in store.storage.get_all_studies()}
            if mirror.mirror_of not in names and mirror.name in names:
                store.storage.delete_study(mirror.study_id)
        return f"study {mirror.name} deleted"

    return Finding(
        where=f"study {mirror.name}",
        what=f"a mirror with {counted(len(mirror.trials), 'trial')} of a study that is gone",
        cause=f"another program, the dashboard for instance, deleted study {mirror.mirror_of}",
        help="deletes it, too",
        repair=repair,
    )


def _confirms_nothing(study: StudyRows) -> Finding:
    """No repair: its runs are of nobody else's, and no listing shows them."""
    return Finding(
        where=f"study {study.name}",
        what=f"a confirmation with {counted(len(study.trials), 'run')} of a study that is gone",
        cause=f"another program deleted study {study.attributes[CONFIRMS]}",
        help=f"if nobody needs it, type `cvfp-opt study delete {positional(study.name)}`",
        harmless=True,
    )


def _sync(study: StudyRows) -> Repair:
    def repair(open_store: Callable[[], Store]) -> str:
        store = open_store()
        sync_mirrors(store, optuna.load_study(study_name=study.name, storage=store.storage))
        return f"study {study.name}: its mirrors have all complete trials"

    return repair


def _rebuild(study: StudyRows, mirror: StudyRows) -> Repair:
    def repair(open_store: Callable[[], Store]) -> str:
        store = open_store()
        with store.engine.begin() as connection:
            lock_study(connection, mirror.study_id)
            _clear(connection, mirror.study_id)
        # stopped here, it is empty, and filled by whoever comes next
        _sync(study)(open_store)
        return f"study {mirror.name} made anew"

    return repair


def _clear(connection: Connection, study_id: int) -> None:
    """Delete all trials of a study."""
    trial_ids = select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    for table in reversed(models.BaseModel.metadata.sorted_tables):  # children first
        if "trial_id" in table.c and table is not TRIALS:
            connection.execute(delete(table).where(table.c.trial_id.in_(trial_ids)))
    connection.execute(delete(TRIALS).where(TRIALS.c.study_id == study_id))
