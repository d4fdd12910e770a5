"""A study in figures: what every report starts from."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Self

import optuna

from cvfp_opt.store.records import StudyRecord, TrialRecord, trial_records

STATES = ("complete", "pruned", "fail", "running", "waiting")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A snapshot of a study.

    Attributes:
        name: of the study.
        url: of its database.
        record: what was fixed at creation; None if another program made the study.
        trials: all of them, by number.
    """

    name: str
    url: str
    record: StudyRecord | None
    trials: list[TrialRecord]

    @classmethod
    def of(cls, study: optuna.Study, url: str) -> Self:
        """Take the snapshot."""
        return cls(
            name=study.study_name,
            url=url,
            record=StudyRecord.of(study),
            trials=trial_records(study),
        )

    @property
    def counts(self) -> dict[str, int]:
        """Trials per state."""
        counter = Counter(trial.state for trial in self.trials)
        return {state: counter[state] for state in STATES}

    @property
    def is_pareto(self) -> bool:
        """Whether the study has two objectives."""
        objective = self.record.definition["objective"] if self.record else {}
        return bool(objective.get("kind") == "pareto")

    @property
    def ranking(self) -> list[TrialRecord]:
        """Complete trials, best score first; with two objectives, those on the Pareto front."""
        complete = [t for t in self.trials if t.state == "complete" and t.value is not None]
        if self.is_pareto:
            complete = pareto_front(complete)
        return sorted(complete, key=lambda t: (-(t.value or 0.0), t.number))

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

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, with the five best trials whole."""
        return {
            "study_name": self.name,
            "storage": self.url,
            "counts": self.counts,
            "seconds": self.seconds,
            "best": [trial.to_dict() for trial in self.ranking[:5]],
            "record": asdict(self.record) if self.record else None,
        }


def pareto_front(trials: list[TrialRecord]) -> list[TrialRecord]:
    """Those that no other trial beats in one objective without losing in the other."""

    def objectives(trial: TrialRecord) -> tuple[float, float]:
        return trial.scored["convergence_rate"], trial.scored["effective_rank"]

    def beaten(trial: TrialRecord) -> bool:
        a, b = objectives(trial)
        others = (objectives(other) for other in trials)
        return any(c >= a and d >= b and (c, d) != (a, b) for c, d in others)

    return [trial for trial in trials if not beaten(trial)]


def untrained_score(trial: TrialRecord) -> float | None:
    """Score of the untrained net of a trial's set-up; None if it was not audited."""
    return trial.audit["baseline"]["score"] if trial.audit else None
