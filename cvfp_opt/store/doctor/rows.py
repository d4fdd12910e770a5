"""Studies and trials as the doctor sees them: of damaged rows all that can be read.

Not through Optuna: it hides one of two trials that have one number, and stops at the first value
that its column cannot hold, which SQLite keeps all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import Connection

from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.reading import (
    RawTrial,
    moment,
    read_raw_studies,
    read_raw_trials,
    state_of,
)
from cvfp_opt.store.queue.leases import FORMER_LEASE, Lease, is_former_lease
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.store.record.links import Source, source_name
from cvfp_opt.store.record.mirrors import SOURCE_TRIAL
from cvfp_opt.store.record.records import ATTRIBUTES, CONFIRMS, FORMAT, MIRROR_OF, StudyRecord

# The attributes of a trial that are checked; those of other programs may be of any size.
_CHECKED = (*(key for key in ATTRIBUTES if key != "seconds"), SOURCE_TRIAL)


@dataclass(kw_only=True)
class TrialRow:
    """A trial.

    Attributes:
        trial_id, number, state, started: Optuna's.
        values: by objective.
        intermediate: by step.
        params: by name, in Optuna's internal representation.
        user_attrs: those that this program writes.
        system_attrs: all.
        unreadable: what of it cannot be read: attributes that are no JSON, values that are none.
    """

    trial_id: int
    number: int
    state: TrialState
    started: datetime | None
    values: dict[int, float] = field(default_factory=dict)
    intermediate: dict[int, float] = field(default_factory=dict)
    params: dict[str, float] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    @property
    def ours(self) -> bool:
        """Check if this program ran it: others, too, may add trials to a study of ours."""
        claimed = IDENTITY_KEY in self.system_attrs or FORMER_LEASE in self.system_attrs
        return claimed or bool(self.table("environment"))

    @property
    def former_lease(self) -> dict[str, Any] | None:
        """The lease of record format 1; None if it has none."""
        value = self.system_attrs.get(FORMER_LEASE)
        return dict(value) if is_former_lease(value) else None

    def table(self, key: str) -> dict[str, Any]:
        """Read a user attribute that is a table; empty where it is none."""
        value = self.user_attrs.get(key)
        return value if isinstance(value, dict) else {}

    def tables(self, key: str) -> list[dict[str, Any]]:
        """Read a user attribute that is a list of tables; empty where it is none."""
        value = self.user_attrs.get(key)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            return []
        return value


@dataclass(frozen=True, kw_only=True)
class StudyRows:
    """A study, or a mirror of one.

    Attributes:
        study_id, name: Optuna's.
        directions: how many objectives it has.
        attributes: its user attributes; None for one that is no JSON.
        system_attrs: its system attributes, likewise.
        unreadable: what of it cannot be read.
        record: what was fixed at creation; None where there is none that can be read.
        trials: by number.
        leases: of its trials, by trial id.
    """

    study_id: int
    name: str
    directions: int
    attributes: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    record: StudyRecord | None
    trials: tuple[TrialRow, ...] = ()
    leases: Mapping[int, Lease] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()

    @property
    def mirror_of(self) -> str | None:
        """The name of the study that it is a mirror of; None for a study."""
        return source_name(self.attributes, MIRROR_OF)

    @property
    def confirms(self) -> str | None:
        """The name of the study whose confirmation it is; None for any other study."""
        return source_name(self.attributes, CONFIRMS)

    @property
    def source(self) -> Source:
        """The study as a source, to which others may belong."""
        return Source.of(self.name, self.attributes)

    @property
    def running(self) -> list[TrialRow]:
        """The trials that run, or that a dead worker left so."""
        return [trial for trial in self.trials if trial.state is TrialState.RUNNING]

    @property
    def complete(self) -> list[TrialRow]:
        """The trials that came to their end."""
        return [trial for trial in self.trials if trial.state is TrialState.COMPLETE]


def newer_format(value: Any) -> int | None:
    """Read the format of a record that is too new to be read; None if it is not."""
    form = value.get("format") if isinstance(value, dict) else None
    return form if isinstance(form, int) and form > FORMAT else None


def read_studies(connection: Connection) -> list[StudyRows]:
    """Read all studies and mirrors without their trials, in order of creation."""
    found = []
    for raw in read_raw_studies(connection):
        unreadable = [] if _are_directions(raw.directions) else ["its objectives"]
        attributes = _readable(raw.user_attrs, unreadable)
        found.append(
            StudyRows(
                study_id=raw.study_id,
                name=str(raw.name),
                directions=len(raw.directions),
                attributes=attributes,
                system_attrs=_readable(raw.system_attrs, unreadable),
                record=StudyRecord.look(attributes)[0],
                unreadable=tuple(unreadable),
            )
        )
    return found


def _are_directions(names: list[Any]) -> bool:
    return bool(names) and set(names) <= set(StudyDirection.__members__)


def _readable(texts: Mapping[Any, Any], unreadable: list[str]) -> dict[str, Any]:
    """Parse attributes, and note those that are no JSON."""
    found = {}
    for key, text in texts.items():
        found[str(key)] = value = parsed(text)
        if value is None and text != "null":
            unreadable.append(f"attribute {key}")
    return found


def read_trials(connection: Connection, study_id: int) -> tuple[TrialRow, ...]:
    """Read all trials of a study, by number."""
    trials = map(_trial, read_raw_trials(connection, study_id, keys=_CHECKED))
    return tuple(sorted(trials, key=lambda trial: (trial.number, trial.trial_id)))


def _trial(raw: RawTrial) -> TrialRow:
    unreadable: list[str] = []
    try:
        state = state_of(raw)
    except ValueError:
        state = TrialState.FAIL
        unreadable.append(f"its state, {raw.state!r},")
    return TrialRow(
        trial_id=raw.trial_id,
        number=raw.number if type(raw.number) is int else -1,  # which no trial has, either
        state=state,
        started=_moment(raw.started),
        user_attrs=_readable(raw.user_attrs, unreadable),
        system_attrs=_readable(raw.system_attrs, unreadable),
        params=_figures("param", str, {name: v for _, name, v, _ in raw.params}, unreadable),
        values=_figures("value", int, raw.values, unreadable),
        intermediate=_figures("intermediate", int, raw.intermediate, unreadable),
        unreadable=unreadable,
    )


def _moment(value: Any) -> datetime | None:
    try:
        return moment(value)
    except (TypeError, ValueError):
        return None


def _figures(
    what: str, key: type, figures: Mapping[Any, Any], unreadable: list[str]
) -> dict[Any, float]:
    """Select the numbers, and note what is none."""
    found = {}
    for name, figure in figures.items():
        if isinstance(name, key) and isinstance(figure, int | float):
            found[name] = float(figure)
        else:
            unreadable.append(f"{what} {name!r}, which is {figure!r},")
    return found
