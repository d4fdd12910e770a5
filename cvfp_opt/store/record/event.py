"""Events: what happened to a study, for whoever wants to be told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypedDict

from cvfp_opt.store.record.identity import derived_uuid


class EventKind(StrEnum):
    """What happened; the values are the user's words."""

    SUBMITTED = "study-submitted"
    PAUSED = "study-paused"
    RESUMED = "study-resumed"
    CANCELLED = "study-cancelled"
    DONE = "study-done"
    SPENT = "budget-spent"
    BEST = "new-best"
    CONFIRMED = "confirmed"
    FAILURES = "failures"
    LOST = "trial-lost"
    UNSERVED = "no-worker"
    TEST = "test"
    """Of `notify test` alone: no database has one."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The study that something happened to.

    Attributes:
        study_id: Optuna's.
        name: of the study, at the time.
        identity: the study's, see StudyRecord; "" where it has none that can be read.
    """

    study_id: int
    name: str
    identity: str

    def cause(self, kind: EventKind, which: object) -> str:
        """Make the uuid of an event: the same for the same cause, whoever finds it.

        A copy of a study has its identity, but another id; of a deleted study's id it is the
        other way round.

        Args:
            kind: of the event.
            which: what tells it from the study's other events of that kind.
        """
        return derived_uuid(f"{self.study_id}/{self.identity or self.name}/{kind.value}/{which}")


class EventJson(TypedDict):
    """Something that happened to a study.

    Attributes:
        id: its place among the events of a database, growing; 0 of one that no database has.
        uuid: 32 hexadecimal digits, the same whenever and wherever it is told.
        kind: what happened.
        time: epoch seconds, by the database's clock.
        at: the same as text, UTC.
        study: name of the study at the time.
        identity: the study's.
        text: one sentence that says it.
        details: the figures of it; docs/notify.md lists them by kind.
    """

    id: int
    uuid: str
    kind: str
    time: float
    at: str
    study: str
    identity: str
    text: str
    details: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a study.

    Attributes:
        id: its place among the events of a database, growing; what is read next has a larger one.
            0 of an event that no database has.
        uuid: 32 hexadecimal digits, the same whenever and wherever it is told.
        kind: what happened, one of EventKind.
        time: epoch seconds, by the database's clock.
        study: name of the study at the time.
        text: one sentence that says it.
        details: the figures of it, plain JSON; docs/notify.md lists them by kind.
        identity: the study's.
    """

    id: int
    uuid: str
    kind: str
    time: float
    study: str
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""

    def __repr__(self) -> str:
        return f"Event({self.id}: {self.kind}: {self.text})"

    def to_dict(self) -> EventJson:
        """Convert it to plain JSON values, as hooks are sent it."""
        return {
            "id": self.id,
            "uuid": self.uuid,
            "kind": self.kind,
            "time": self.time,
            "at": datetime.fromtimestamp(self.time, UTC).isoformat(timespec="seconds"),
            "study": self.study,
            "identity": self.identity,
            "text": self.text,
            "details": dict(self.details),
        }

    def to_json(self) -> str:
        """Write it as one line of JSON."""
        return json.dumps(self.to_dict())
