"""Studies of ours whose trials end as a test says, and what is told of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import known_studies
import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Double, literal, update

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import EVENTS
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.events import read_events, subject_of
from cvfp_opt.store.record.event import Event, Subject
from cvfp_opt.store.record.records import StudyRecord, TrialRecord


@dataclass
class Clock:
    """The database's clock."""

    time: float

    def now(self) -> ColumnElement[float]:
        return literal(self.time, Double)


def our_study(store: Store, name: str = "s", total: int | None = None) -> optuna.Study:
    """An empty study with a record, and a total."""
    study = optuna.create_study(study_name=name, storage=store.storage, direction="maximize")
    record = StudyRecord.of(known_studies.study())
    assert record is not None
    record.write(study)
    if total is not None:
        control.set_total(store, study, total)
    return study


def end(study: optuna.Study, *trials: FrozenTrial) -> list[TrialRecord]:
    """Add trials that ended just now; give the records of all."""
    for trial in trials:
        trial.datetime_start = trial.datetime_complete = datetime.now()
        study.add_trial(trial)
    return [TrialRecord.of(trial) for trial in study.get_trials()]


def fail(status: str = "error") -> FrozenTrial:
    return known_studies.ended(TrialState.FAIL, 0.5, status=status, reason=f"it was {status}")


def told(store: Store, study: optuna.Study | None = None) -> list[tuple[str, str]]:
    """Kinds and sentences of all events, without the study's name."""
    return [(one.kind, one.text.split(" ", 2)[2]) for one in read_events(store, study)]


def kinds(events: Sequence[Event]) -> list[str]:
    return [one.kind for one in events]


def subject(study: optuna.Study) -> Subject:
    return subject_of(study)


def age(store: Store, seconds: float) -> None:
    """Let all events have happened so much earlier."""
    with store.engine.begin() as connection:
        connection.execute(update(EVENTS).values(time=EVENTS.c.time - seconds))
