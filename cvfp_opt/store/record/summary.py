"""The summary of a study, from which every report starts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, Self, TypedDict, cast

from optuna import Study
from optuna.distributions import BaseDistribution

from cvfp_opt.errors import StudyMissing
from cvfp_opt.store.record.confirmation import Runs, read_runs
from cvfp_opt.store.record.differences import AllowedDrift, read_drift
from cvfp_opt.store.record.queue_entry import NOT_SAID, QueueEntry, QueueJson, QueueState
from cvfp_opt.store.record.records import (
    CONFIRMS,
    StudyRecord,
    TrialRecord,
    Unread,
    count_artifacts,
    rank,
    trial_records,
)

STATES = ("complete", "pruned", "fail", "running", "waiting")


class Counts(TypedDict):
    """The number of trials in each state; "waiting" ones are enqueued, or were given back."""

    complete: int
    pruned: int
    fail: int
    running: int
    waiting: int


Direction = Literal["maximize", "minimize"]


class StateJson(TypedDict):
    """How far a study is.

    Attributes:
        study_name: name of the study.
        storage: URL of its database, without a password.
        state: whether trials may begin.
        total: trials that it is to have in all; null if nobody has said.
        queue: what is wanted of it.
        directions: of each objective.
        counts: trials by state.
        seconds: wall time of all trials, by phase.
        record: what was fixed at its creation; null where it cannot be read, see `note`.
        note: why something is missing; empty if nothing is.
        drift: what was allowed to differ from the record, oldest first.
    """

    study_name: str
    storage: str
    state: Annotated[str, QueueState]
    total: int | None
    queue: QueueJson
    directions: list[Direction]
    counts: Annotated[dict[str, Any], Counts]
    seconds: dict[str, float]
    record: Annotated[dict[str, Any], StudyRecord] | None
    note: str
    drift: list[Annotated[dict[str, Any], AllowedDrift]]


class SummaryJson(StateJson):
    """How far a study is, with its best trials.

    Attributes:
        best: its five best trials, the best first; with two objectives those on the front.
    """

    best: list[Annotated[dict[str, Any], TrialRecord]]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A snapshot of a study.

    Attributes:
        name: of the study.
        url: of its database.
        record: what was fixed at creation; None if it can't be read.
        trials: all of them, by number.
        directions: "maximize" or "minimize", of each objective.
        unread: why there is no record.
        drift: what was allowed to differ, oldest first.
        num_artifacts: files that belong to its trials.
        optuna: version that created the database; "" where nobody asked.
        distributions: of each parameter, as the newest trial that has it drew it.
        confirmation: its best points on fresh seeds, see report.confirmation; None if there is
            none.
        queue: what is wanted of it.
        confirms: name of the study that this one is the confirmation of; "" if it is none.
        option: what to add to a command to mean its database; "" where none is needed.
    """

    name: str
    url: str
    record: StudyRecord | None
    trials: list[TrialRecord]
    directions: tuple[str, ...] = ("maximize",)
    unread: Unread | None = None
    drift: Sequence[AllowedDrift] = ()
    num_artifacts: int = 0
    optuna: str = ""
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)
    confirmation: Runs | None = None
    confirms: str = ""
    queue: QueueEntry = NOT_SAID
    option: str = ""

    @classmethod
    def of(cls, study: Study, url: str, optuna: str = "", *, option: str = "") -> Self:
        """Summarize a study now.

        Args:
            study: that is summarized.
            url: of its database, without a password.
            optuna: version of Optuna that created the database; "" where nobody asked.
            option: what to add to a command to mean its database.
        """
        record, unread = StudyRecord.look(study.user_attrs)
        return cls(
            name=study.study_name,
            url=url,
            record=record,
            trials=trial_records(study),
            directions=tuple(direction.name.lower() for direction in study.directions),
            unread=unread,
            drift=read_drift(study),
            num_artifacts=count_artifacts(study),
            optuna=optuna,
            distributions={
                name: distribution
                for trial in study.get_trials(deepcopy=False)
                for name, distribution in trial.distributions.items()
            },
            confirmation=read_runs(study, record),
            confirms=str(study.user_attrs.get(CONFIRMS, "")),
            queue=QueueEntry.of(study.user_attrs),
            option=option,
        )

    @property
    def note(self) -> str:
        """The reason why something is missing; "" if nothing is."""
        if self.unread is None:
            return ""
        foreign = self.unread is Unread.FOREIGN and self.optuna
        by = f" (the database is from Optuna {self.optuna})" if foreign else ""
        return f"{self.unread.sentence}{by}"

    def trial(self, number: int) -> TrialRecord:
        """Find a trial by its number.

        Raises:
            StudyMissing: there is none.
        """
        if 0 <= number < len(self.trials):
            return self.trials[number]
        last = len(self.trials) - 1
        wanted = f"a trial from 0 to {last} is required" if last >= 0 else "it has no trial yet"
        raise StudyMissing(f"study {self.name!r}: {wanted}, got {number}")

    @property
    def counts(self) -> dict[str, int]:
        """The number of trials in each state."""
        counter = Counter(trial.state for trial in self.trials)
        return {state: counter[state] for state in STATES}

    @property
    def num_finished(self) -> int:
        """The number of trials to which nothing more will happen."""
        return sum(trial.finished for trial in self.trials)

    @property
    def is_pareto(self) -> bool:
        """Check whether the study has several objectives."""
        return len(self.directions) > 1

    @property
    def ranking(self) -> list[TrialRecord]:
        """Complete trials, best score first; with several objectives, those on the front.

        As Optuna does it, those that violate a constraint come after all that are feasible, and
        are on no front.
        """
        complete = [t for t in self.trials if t.state == "complete"]
        if self.is_pareto:
            complete = [t for t in complete if t.feasible] or complete
            front = pareto_front(complete, self.directions)
            return sorted(front, key=lambda t: (rank(t.value) or 0.0, t.number))
        ranked = [(rank(t.value, maximized=self.is_maximized), t) for t in complete]
        known = [(place, t) for place, t in ranked if place is not None]
        known.sort(key=lambda one: (not one[1].feasible, one[0], one[1].number))
        return [t for _, t in known]

    @property
    def is_maximized(self) -> bool:
        """Check whether larger is better; with several objectives, of the combined score."""
        return self.is_pareto or self.directions[0] == "maximize"

    @property
    def best(self) -> TrialRecord | None:
        """The trial with the best score."""
        return next(iter(self.ranking), None)

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of all trials, per phase, longest first."""
        total: Counter[str] = Counter()
        for trial in self.trials:
            total.update(trial.seconds)
        return dict(total.most_common())

    def to_dict(self) -> SummaryJson:
        """Convert it to plain JSON values, with the five best trials whole."""
        return {**self.state_json(), "best": [trial.to_dict() for trial in self.ranking[:5]]}

    def state_json(self) -> StateJson:
        """Convert how far it is to plain JSON values, without its trials."""
        return {
            "study_name": self.name,
            "storage": self.url,
            "state": self.queue.state.value,
            "total": self.queue.total,
            "queue": self.queue.in_words(),
            "directions": cast("list[Direction]", list(self.directions)),
            "counts": self.counts,
            "seconds": self.seconds,
            "record": asdict(self.record) if self.record else None,
            "note": self.note,
            "drift": [asdict(one) for one in self.drift],
        }


def pareto_front(trials: list[TrialRecord], directions: Sequence[str]) -> list[TrialRecord]:
    """Select the trials that no other beats in one objective without losing in another.

    What has not a number for each of them is beaten by all.
    """
    signs = [1.0 if direction == "maximize" else -1.0 for direction in directions]
    trials = [
        trial
        for trial in trials
        if len(trial.values) == len(signs) and None not in map(rank, trial.values)
    ]
    gains = [tuple(s * v for s, v in zip(signs, trial.values, strict=True)) for trial in trials]

    def beaten(ours: tuple[float, ...]) -> bool:
        return any(
            theirs != ours and all(t >= o for t, o in zip(theirs, ours, strict=True))
            for theirs in gains
        )

    return [trial for trial, gain in zip(trials, gains, strict=True) if not beaten(gain)]


def untrained_score(trial: TrialRecord) -> float | None:
    """Compute the score of the untrained net of a trial; None if it was not audited."""
    return trial.audit["baseline"]["score"] if trial.audit else None
