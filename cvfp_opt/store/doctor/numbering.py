"""Checks of trials' numbers: missing, given twice, or none that a trial can have."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection, select, update

from cvfp_opt.store.database.rows import PendingWrites, insert_trial, lock_study, write_pending
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import TRIALS
from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.finding import Finding, Repair, counted, of_trials
from cvfp_opt.store.doctor.rows import StudyRows

# Up to so many missing numbers are filled; with more, the number beyond them is wrong.
MAX_FILLED = 10_000


def find_numbering(context: Context) -> list[Finding]:
    """Find numbers that are missing, given twice, or none that a trial can have."""
    found = [one for study in context.studies for one in _wrong(study)]
    return found + [one for study in context.ours for one in _numbering(study)]


def right_numbers(numbers: Iterable[Any]) -> list[int]:
    """Select the numbers that trials can have, each once, in order."""
    right: list[int] = []
    for number in sorted({one for one in numbers if type(one) is int and one >= 0}):
        if number - len(right) > MAX_FILLED:
            break
        right.append(number)
    return right


def _wrong(study: StudyRows) -> Iterator[Finding]:
    right = set(right_numbers(trial.number for trial in study.trials))
    wrong = [trial for trial in study.trials if trial.number not in right]
    if not wrong:
        return
    ours = study.record is not None
    yield Finding(
        where=f"study {study.name}",
        what=f"{counted(len(wrong), 'trial')} with a number that is none, below 0, or far beyond "
        "all others",
        cause="written or changed by another program, or damaged",
        help="gives the next free numbers" if ours else "ask whoever wrote it",
        repair=_renumber(study) if ours else None,
    )


def _numbering(study: StudyRows) -> Iterator[Finding]:
    counts = Counter(trial.number for trial in study.trials)
    right = right_numbers(counts)
    if twice := [number for number in right if counts[number] > 1]:
        yield Finding(
            where=of_trials(study.name, twice),
            what="there is more than one of that number",
            cause="two programs added trials at one moment, without a lock; Optuna shows one of "
            "them only",
            help="gives all but the first the next free numbers",
            repair=_renumber(study),
        )
    if missing := _missing(right):
        yield Finding(
            where=of_trials(study.name, missing),
            what="there is no trial of that number",
            cause="another program deleted it",
            help="puts a failed trial in its place",
            repair=_fill(study),
        )


def _missing(right: list[int]) -> list[int]:
    """List the numbers below the largest one that no trial has."""
    there = set(right)
    return [number for number in range(max(there, default=0)) if number not in there]


def _renumber(study: StudyRows) -> Repair:
    """Make the repair that renumbers trials: workers know theirs by id, draws by identity."""

    def repair(open_store: Callable[[], Store]) -> str:
        moved = []
        with open_store().engine.begin() as connection:
            lock_study(connection, study.study_id)
            rows = _numbers(connection, study.study_id)
            left = set(right := right_numbers(number for _, number in rows))
            free = right[-1] + 1 if right else 0
            for trial_id, number in rows:
                if number in left:
                    left.remove(number)
                    continue
                same = TRIALS.c.trial_id == trial_id
                connection.execute(update(TRIALS).where(same).values(number=free))
                second = "the second trial" if number in right else "the trial numbered"
                moved.append(f"{second} {number} is trial {free} now")
                free += 1
        return f"study {study.name}: {', '.join(moved) or 'all numbers are right now'}"

    return repair


def _fill(study: StudyRows) -> Repair:
    def repair(open_store: Callable[[], Store]) -> str:
        now = datetime.now()
        account = PendingWrites(
            user_attrs={"status": "lost", "reason": "deleted from the database by another program"}
        )
        with open_store().engine.begin() as connection:
            lock_study(connection, study.study_id)
            rows = _numbers(connection, study.study_id)
            missing = _missing(right_numbers(number for _, number in rows))
            for number in missing:
                trial_id, _ = insert_trial(
                    connection, study.study_id, TrialState.FAIL, now, now, number=number
                )
                write_pending(connection, trial_id, account)
        return f"study {study.name}: {counted(len(missing), 'failed trial')} put in place"

    return repair


def _numbers(connection: Connection, study_id: int) -> list[tuple[int, Any]]:
    """Read ids and numbers of a study's trials, in the order in which they were added."""
    rows = connection.execute(
        select(TRIALS.c.trial_id, TRIALS.c.number)
        .where(TRIALS.c.study_id == study_id)
        .order_by(TRIALS.c.trial_id)
    )
    return [(row.trial_id, row.number) for row in rows]
