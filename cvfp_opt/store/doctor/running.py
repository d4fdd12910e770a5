"""Checks of running trials and their leases."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import optuna
import sqlalchemy
from sqlalchemy import ColumnElement, delete, func, select

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import HEARTBEATS, LEASES, TRIALS
from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.finding import Finding, Repair, counted, of_trials
from cvfp_opt.store.doctor.rows import StudyRows, TrialRow
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.leases import Lease, former_is_dead
from cvfp_opt.store.queue.unleased import is_unleased

# After this age of its last heartbeat a program is gone: they come every minute or so.
_HEARTBEAT_MAX_AGE = timedelta(minutes=10)


def find_dead_leases(context: Context) -> list[Finding]:
    """Find trials whose worker is gone: the next worker would take them over, if one comes."""
    return [found for study in context.ours if (found := _dead(context, study))]


def _dead(context: Context, study: StudyRows) -> Finding | None:
    numbers, workers = [], []
    for trial in study.running:
        lease = study.leases.get(trial.trial_id)
        former = trial.former_lease
        if lease is not None and not lease.is_revoked and context.is_dead(lease):
            workers.append(_who(lease, context.now))
        elif lease is None and former is not None and former_is_dead(former):
            workers.append(f"process {former['pid']} on {former['host']} is gone")
        else:
            continue
        numbers.append(trial.number)
    if not numbers:
        return None
    different = list(dict.fromkeys(workers))
    more = f", and {counted(len(different) - 1, 'other')}" if len(different) > 1 else ""
    return Finding(
        where=of_trials(study.name, numbers),
        what="running in the database only",
        cause=f"{different[0]}{more}",
        help="hands over to the next worker",
        repair=_release(study),
    )


def _who(lease: Lease, now: float) -> str:
    who = f"process {lease.pid} on {lease.host}"
    if lease.expires < now:
        return f"{who} has not renewed its lease, which ended {now - lease.expires:.0f} s ago"
    return f"{who} is gone"


def _release(study: StudyRows) -> Repair:
    record = study.record
    assert record is not None

    def repair(open_store: Callable[[], Store]) -> str:
        store, notices = open_store(), list[str]()
        loaded = optuna.load_study(study_name=study.name, storage=store.storage)
        claims = Claims(store=store, study=loaded, seed=record.seed, notify=notices.append)
        numbers = claims.release_dead()
        if numbers:
            notices.append(f"{of_trials(study.name, numbers)}: waiting for the next worker")
        return "; ".join(notices) or f"study {study.name}: another worker was quicker"

    return repair


def find_zombies(context: Context) -> list[Finding]:
    """Find trials that run without a lease, so by another program, if they run at all."""
    beats = _last_heartbeats(context)
    found = []
    for study in context.studies:
        silent = [
            trial
            for trial in study.running
            if is_unleased(study.leases.get(trial.trial_id))
            and trial.former_lease is None
            and not _beats(beats.get(trial.trial_id), beats.get(0))
        ]
        if study.record is not None:
            found += [_zombie(context, study, trial) for trial in silent]
        elif silent:
            found.append(_perhaps_zombies(context, study, silent))
    return found


def _zombie(context: Context, study: StudyRows, trial: TrialRow) -> Finding:
    since = f" since {trial.started:%Y-%m-%d %H:%M}" if trial.started else ""
    return Finding(
        where=of_trials(study.name, [trial.number]),
        what=f"running{since}, but no worker of this program runs it",
        cause="another program runs it, or was killed while it did; it counts towards the total",
        help="if nobody runs it, type "
        + context.command(f"trial fail {trial.number}", study.name),
    )


def _perhaps_zombies(context: Context, study: StudyRows, trials: list[TrialRow]) -> Finding:
    return Finding(
        where=of_trials(study.name, [trial.number for trial in trials]),
        what="running, as far as the database knows",
        cause="another program's; whether it still does cannot be told from here",
        help="if nobody runs it, type "
        + context.command(f"trial fail {trials[0].number}", study.name),
        harmless=True,
    )


def _last_heartbeats(context: Context) -> dict[int, Any]:
    """Read the heartbeats of Optuna's own ``optimize``, by trial id; under 0 the time now."""
    rows = context.reader.execute(select(HEARTBEATS.c.trial_id, HEARTBEATS.c.heartbeat)).all()
    if not rows:
        return {}
    # as Optuna writes them: whatever the database calls now
    return {0: context.reader.scalar(select(func.now())), **{r[0]: r[1] for r in rows}}


def _beats(last: datetime | None, now: datetime | None) -> bool:
    if last is None or now is None:
        return False
    return now.replace(tzinfo=None) - last < _HEARTBEAT_MAX_AGE


def find_orphan_leases(context: Context) -> list[Finding]:
    """Find leases of trials that do not exist: SQLite gives their ids to new trials."""
    if context.schema is None or not context.schema.lease_columns:
        return []
    count = context.reader.scalar(select(func.count()).select_from(LEASES).where(_is_orphan()))
    if not count:
        return []
    return [
        Finding(
            where=f"{context.location.where}, table {LEASES.name}",
            what=f"{counted(count, 'lease')} of trials that are not there",
            cause="another program, the dashboard for instance, deleted their study",
            help="deletes them",
            repair=_delete_orphans,
        )
    ]


def _is_orphan() -> ColumnElement[bool]:
    trial = select(TRIALS.c.trial_id).where(TRIALS.c.trial_id == LEASES.c.trial_id)
    return sqlalchemy.not_(trial.exists())


def _delete_orphans(open_store: Callable[[], Store]) -> str:
    with open_store().engine.begin() as connection:
        deleted = connection.execute(delete(LEASES).where(_is_orphan())).rowcount
    return f"{counted(deleted, 'lease')} of trials that are not there deleted"
