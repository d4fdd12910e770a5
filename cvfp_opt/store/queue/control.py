"""Control of a study: its total, and whether trials may begin in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import optuna
from optuna.trial import TrialState
from sqlalchemy import Connection, func, select

from cvfp_opt.errors import StudyChanged, StudyError
from cvfp_opt.escaping import positional, quoted
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.rows import lock_study
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import TRIALS
from cvfp_opt.store.queue.entries import read_entry, write_entry
from cvfp_opt.store.queue.events import subject_of, write_event
from cvfp_opt.store.queue.leases import read_leases
from cvfp_opt.store.queue.takeover import enqueue_again
from cvfp_opt.store.record.event import EventKind, Subject
from cvfp_opt.store.record.queue_entry import QueueEntry, QueueJson, QueueState
from cvfp_opt.store.record.studies import refuse_foreign


class ControlledJson(TypedDict):
    """A study after a change of what is wanted of it.

    Attributes:
        study: its name.
        started: trials that have finished or run.
        running: trials that run on to their end.
        given_back: numbers of running trials that were given back, and wait.
        queue: what is wanted of it now.
    """

    study: str
    started: int
    running: int
    given_back: list[int]
    queue: QueueJson


@dataclass(frozen=True, kw_only=True)
class Controlled:
    """A study after a change.

    Attributes:
        entry: what is wanted of it now.
        started: trials that have finished or run.
        running: trials that run on to their end.
        given_back: numbers of running trials that were given back.
    """

    entry: QueueEntry
    started: int
    running: int
    given_back: tuple[int, ...] = ()

    def to_dict(self, study: str) -> ControlledJson:
        """Convert it to plain JSON values, with the study's name."""
        return {
            "study": study,
            "started": self.started,
            "running": self.running,
            "given_back": list(self.given_back),
            "queue": self.entry.in_words(),
        }


def set_total(store: Store, study: optuna.Study, total: int, *, raise_only: bool = False) -> None:
    """Note a study's total; one that its trials have reached already is not noted.

    Args:
        store, study: whose.
        total: trials in all.
        raise_only: whether to leave a larger one as it is.
    """

    def change(connection: Connection, entry: QueueEntry) -> QueueEntry:
        started, _ = _count(connection, study_id_of(study))
        least = max(started, entry.total or 0) if raise_only else started
        return entry if total <= least else replace(entry, total=total)

    _change(store, study, change)


def require_open(study: optuna.Study, option: str) -> None:
    """Refuse to begin trials in a study that is paused or cancelled.

    Args:
        study: of this program.
        option: what to add to a command to mean its database.

    Raises:
        StudyError: it is; says what to type.
    """
    state = QueueEntry.of(study.user_attrs).state
    if state is not QueueState.OPEN:
        raise StudyError(
            f"study {study.study_name!r} is {state.value}: no trial begins in it; type "
            f"`cvfp-opt study resume{option} {positional(study.study_name)}` first"
        )


def pause(
    store: Store, study: optuna.Study, *, now: bool = False, version: int | None = None
) -> Controlled:
    """Let no further trial begin; ``now`` gives running trials back, too.

    Raises:
        StudyError: it is done, cancelled, or another program's.
        StudyChanged: its entry has another ``version`` than the one given.
    """

    option = store.location.option

    def change(connection: Connection, entry: QueueEntry) -> QueueEntry:
        if entry.state is QueueState.CANCELLED:
            raise StudyError(
                f"study {study.study_name!r} is cancelled, which pauses it for good; to open it "
                f"again, type `cvfp-opt study resume{option} {positional(study.study_name)}`"
            )
        _refuse_done(connection, study, entry, "pause", option)
        return replace(entry, state=QueueState.PAUSED)

    return _close(store, study, change, give_back=now, version=version)


def cancel(store: Store, study: optuna.Study, *, version: int | None = None) -> Controlled:
    """Give running trials back, and let none begin.

    Raises:
        StudyError: it is done, or another program's.
        StudyChanged: its entry has another ``version`` than the one given.
    """

    def change(connection: Connection, entry: QueueEntry) -> QueueEntry:
        _refuse_done(connection, study, entry, "cancel", store.location.option)
        return replace(entry, state=QueueState.CANCELLED)

    return _close(store, study, change, give_back=True, version=version)


def resume(store: Store, study: optuna.Study, *, version: int | None = None) -> Controlled:
    """Let trials begin again.

    Raises:
        StudyError: it is another program's.
        StudyChanged: its entry has another ``version`` than the one given.
    """
    return _close(
        store,
        study,
        lambda connection, entry: replace(entry, state=QueueState.OPEN),
        give_back=False,
        version=version,
    )


def amend(
    store: Store, study: optuna.Study, changes: Mapping[str, Any], *, version: int | None = None
) -> Controlled:
    """Change what is wanted of a study, by the names of QueueEntry.

    Args:
        store, study: whose.
        changes: the new values, all or none of which are written.
        version: that the entry must still have; None for any.

    Raises:
        DefinitionError: an unknown name, or a value that does not fit.
        StudyError: more trials have finished or run than its total would be, or it is another
            program's.
        StudyChanged: it has another version.
    """

    def change(connection: Connection, entry: QueueEntry) -> QueueEntry:
        found = entry.amended(changes)
        started, running = _count(connection, study_id_of(study))
        if "total" in changes and found.total is not None and found.total < started:
            raise StudyError(
                f"study {study.study_name!r}: a total of at least {started} is required, so many "
                f"trials have finished or run ({running} run now); got {found.total}"
            )
        return found

    return _close(store, study, change, give_back=False, version=version)


_Change = Callable[[Connection, QueueEntry], QueueEntry]

_TOLD = {
    QueueState.OPEN: EventKind.RESUMED,
    QueueState.PAUSED: EventKind.PAUSED,
    QueueState.CANCELLED: EventKind.CANCELLED,
}


def _close(
    store: Store,
    study: optuna.Study,
    change: _Change,
    *,
    give_back: bool,
    version: int | None,
) -> Controlled:
    refuse_foreign(study, store)
    subject = subject_of(study)
    return _change(store, study, change, give_back=give_back, version=version, subject=subject)


def _change(
    store: Store,
    study: optuna.Study,
    change: _Change,
    *,
    give_back: bool = False,
    version: int | None = None,
    subject: Subject | None = None,
) -> Controlled:
    """Change an entry under the study's lock: no trial is claimed meanwhile.

    That its state changed is told as an event, if a ``subject`` is named.
    """
    study_id = study_id_of(study)
    with store.engine.begin() as connection:
        lock_study(connection, study_id)
        before = read_entry(connection, study_id)
        require_version(study, before, version)
        entry = write_entry(connection, study_id, before, change(connection, before))
        numbers = _give_back(connection, study_id) if give_back else ()
        started, running = _count(connection, study_id)
        if subject is not None and entry.state is not before.state:
            text = f"study {subject.name} is {entry.state.value}"
            details = {"started": started, "running": running, "given_back": list(numbers)}
            kind = _TOLD[entry.state]
            write_event(connection, store, subject, kind, entry.version, text, details)
    return Controlled(entry=entry, started=started, running=running, given_back=numbers)


def require_version(study: optuna.Study, entry: QueueEntry, version: int | None) -> None:
    """Refuse a study that was changed since somebody looked at it.

    Args:
        study: whose entry it is.
        entry: what is wanted of it now.
        version: that it had then; None for any.

    Raises:
        StudyChanged: it has another one.
    """
    if version is not None and entry.version != version:
        raise StudyChanged(
            f"study {study.study_name!r} was changed meanwhile: version {version} was "
            f"required, it has version {entry.version}; look at it again"
        )


def _give_back(connection: Connection, study_id: int) -> tuple[int, ...]:
    """Put running trials back into the queue, from whoever runs them by a lease."""
    leases = read_leases(connection, study_id)
    rows = connection.execute(
        select(TRIALS.c.trial_id, TRIALS.c.number)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.RUNNING)
        .order_by(TRIALS.c.number)
    ).all()
    ours = [row for row in rows if row.trial_id in leases and not leases[row.trial_id].is_revoked]
    return tuple(
        row.number
        for row in ours
        if enqueue_again(connection, row.trial_id, leases[row.trial_id].attempts)
    )


def _count(connection: Connection, study_id: int) -> tuple[int, int]:
    """Count the trials that have finished or run, and those that run."""
    rows = connection.execute(
        select(TRIALS.c.state, func.count())
        .where(TRIALS.c.study_id == study_id)
        .group_by(TRIALS.c.state)
    )
    counts: dict[TrialState, int] = dict(map(tuple, rows))
    waiting = counts.get(TrialState.WAITING, 0)
    return sum(counts.values()) - waiting, counts.get(TrialState.RUNNING, 0)


def _refuse_done(
    connection: Connection, study: optuna.Study, entry: QueueEntry, verb: str, option: str
) -> None:
    """Refuse to do this to a study that has all of its trials. Raises StudyError."""
    started, running = _count(connection, study_id_of(study))
    if entry.total is not None and not running and started >= entry.total:
        raise StudyError(
            f"study {study.study_name!r} is done, {started} of {entry.total} trials: there is "
            f"nothing to {verb}; to add trials, type "
            f"`cvfp-opt run --study-name {quoted(study.study_name)}{option} --n-trials +10`"
        )
