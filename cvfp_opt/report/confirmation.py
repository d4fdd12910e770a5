"""Figures and verdicts of a confirmation: a study's best points on fresh seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any, TypedDict

from cvfp_opt.report.statistics import Interval, expected_maximum, pooled_spread
from cvfp_opt.store.database.number_checks import is_finite
from cvfp_opt.store.record.confirmation import DEFAULT, UNTRAINED, ConfirmationPoint, on_windows
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.retries import uuid_of
from cvfp_opt.store.record.summary import Summary


class ConfirmationVerdict(StrEnum):
    """The verdict of fresh seeds on a trial; docs/belief.md has the rules."""

    CONFIRMED = "confirmed"
    SAME = "not distinguishable from the default point"
    LESS = "worse than reported"
    WORSE = "worse than the default point"
    OPEN = "undecided"


class ResultJson(TypedDict):
    """A point on the fresh seeds.

    Attributes:
        label: the point's name, for people.
        scores: scores by seed, of the runs that came to their end.
        diverged: runs that did not, because their numbers broke.
        score: the mean of the scores with its interval; null of none.
        difference: how much they exceed the default point's, seed by seed; null where no seed has
            both, and of the default point itself.
        gain: the same beyond the untrained net.
        probability_better: that the trial is better than the default point, of 1.
        verdict: of fresh seeds on a trial; null of the other two points.
    """

    label: str
    scores: dict[str, float]
    diverged: int
    score: Annotated[dict[str, Any], Interval] | None
    difference: Annotated[dict[str, Any], Interval] | None
    gain: Annotated[dict[str, Any], Interval] | None
    probability_better: float | None
    verdict: Annotated[str, ConfirmationVerdict] | None


class ConfirmationJson(TypedDict):
    """What fresh seeds said of a study's best trials; docs/belief.md has the rules.

    Attributes:
        study_name: of the study that keeps the runs.
        done: runs that are over.
        total: all runs.
        winner: number of the search's best trial; null if it is not among them.
        results: of the trials, the highest mean first, then of the default point and the
            untrained net.
        spread: standard deviation between seeds of one point, pooled over all trained points.
        optimism: excess of the winner's reported score over its mean on fresh seeds.
        expected_optimism: excess that luck alone gives the best of so many equally good trials.
        num_searched: complete trials of the search, of which the winner is the best.
        windows: whether each seed read a part of the text of its own.
    """

    study_name: str
    done: int
    total: int
    winner: int | None
    results: list[Annotated[dict[str, Any], ConfirmationPoint, ResultJson]]
    spread: float | None
    optimism: float | None
    expected_optimism: float | None
    num_searched: int
    windows: bool


@dataclass(frozen=True, kw_only=True)
class Result:
    """A point on the fresh seeds.

    Attributes:
        point: the point, with the number of its trial.
        scores: scores by seed, of the runs that came to their end.
        diverged: runs that did not, because their numbers broke.
        score: the mean of ``scores`` with its interval; None of none.
        difference: how much they exceed the default point's, seed by seed, with its interval; None
            where no seed has both, and of the default point itself.
        gain: the same beyond the untrained net.
        verdict: of fresh seeds on a trial; "undecided" for the other two.
    """

    point: ConfirmationPoint
    scores: Mapping[int, float]
    diverged: int
    score: Interval | None
    difference: Interval | None
    gain: Interval | None
    verdict: ConfirmationVerdict

    def __repr__(self) -> str:
        mean = f", mean score {self.score.mean:.4f}" if self.score else ""
        verdict = f", {self.verdict.value}" if self.point.trial is not None else ""
        return f"Result({self.point.label}: {len(self.scores)} seeds{mean}{verdict})"

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON values."""
        difference = self.difference
        found: ResultJson = {
            "label": self.point.label,
            "scores": {str(seed): score for seed, score in self.scores.items()},
            "diverged": self.diverged,
            "score": asdict(self.score) if self.score else None,
            "difference": asdict(difference) if difference else None,
            "gain": asdict(self.gain) if self.gain else None,
            "probability_better": difference.probability_positive if difference else None,
            "verdict": self.verdict.value if self.point.trial is not None else None,
        }
        return {**asdict(self.point), **found}


@dataclass(frozen=True, kw_only=True, repr=False)
class Confirmation:
    """What fresh seeds said of a study's best trials; docs/belief.md has the rules.

    Attributes:
        study: its name.
        done: runs that are over.
        total: all runs.
        trials: results of the search's trials, highest mean first.
        default: result of the default point; None if it was not asked for.
        untrained: result of the untrained net; None if it was not asked for.
        winner: result of the search's best trial; None if that is not among them.
        spread: standard deviation between seeds of one point, pooled over all trained points.
        num_searched: complete trials of the search, of which the winner is the best.
        windows: whether each seed read a part of the text of its own.
    """

    study: str
    done: int
    total: int
    trials: Sequence[Result]
    default: Result | None
    untrained: Result | None
    winner: Result | None
    spread: float | None
    num_searched: int
    windows: bool

    @property
    def optimism(self) -> float | None:
        """Excess of the winner's reported score over its mean on fresh seeds."""
        winner = self.winner
        if winner is None or winner.score is None or winner.point.reported is None:
            return None
        return winner.point.reported - winner.score.mean

    @property
    def expected_optimism(self) -> float | None:
        """Excess that luck alone gives the best of ``num_searched`` equally good trials.

        ``spread * expected_maximum(n)``. The more trials differ in earnest, the less of the
        winner's lead is luck: so it is the most to expect, where scores are normal.
        """
        if self.spread is None or not self.num_searched:
            return None
        return self.spread * expected_maximum(self.num_searched)

    @property
    def within_one_run(self) -> bool:
        """True if one more run of the winner may well give the score that the search reported."""
        winner = self.winner
        if winner is None or winner.score is None or winner.point.reported is None:
            return False
        highest = winner.score.highest_next
        return highest is not None and winner.point.reported <= highest

    @property
    def results(self) -> list[Result]:
        """All results, the trials first."""
        return [*self.trials, *(one for one in (self.default, self.untrained) if one)]

    def of(self, uuid: str) -> Result | None:
        """Find the result of a trial of the search; None if it is not among them."""
        return next((one for one in self.trials if one.point.key == uuid), None)

    def __repr__(self) -> str:
        from cvfp_opt.report.brief import confirmation_text

        return confirmation_text(self)

    def _repr_html_(self) -> str:
        from cvfp_opt.report.html import confirmation_html

        return confirmation_html(self)

    def to_dict(self) -> ConfirmationJson:
        """Convert to plain JSON values."""
        return {
            "study_name": self.study,
            "done": self.done,
            "total": self.total,
            "winner": self.winner.point.trial if self.winner else None,
            "results": [result.to_dict() for result in self.results],
            "spread": self.spread,
            "optimism": self.optimism,
            "expected_optimism": self.expected_optimism,
            "num_searched": self.num_searched,
            "windows": self.windows,
        }


def confirmation_of(summary: Summary) -> Confirmation | None:
    """Compute what the study's confirmation shows; None if it has none."""
    runs = summary.confirmation
    if runs is None or summary.record is None:
        return None
    results = [result_of(point, runs.trials) for point in runs.points]
    trials = [result for result in results if result.point.trial is not None]
    trials.sort(key=lambda one: -(one.score.mean if one.score else float("-inf")))
    by_key = {result.point.key: result for result in results}
    best = uuid_of(summary.best, summary.record.identity) if summary.best else ""
    trained = [list(one.scores.values()) for one in results if one.point.key != UNTRAINED]
    mine = [trial for trial in runs.trials if trial.run]
    places = {(trial.run["arm"], trial.run["seed"]) for trial in mine}
    over = {(t.run["arm"], t.run["seed"]) for t in mine if t.state == "complete" or _diverged(t)}
    return Confirmation(
        study=runs.study,
        done=len(over),
        total=len(places),
        trials=trials,
        default=by_key.get(DEFAULT),
        untrained=by_key.get(UNTRAINED),
        winner=by_key.get(best),
        spread=pooled_spread(trained),
        num_searched=sum(trial.state == "complete" for trial in summary.trials),
        windows=on_windows(runs.trials),
    )


def verdict(
    reported: float | None, score: Interval | None, difference: Interval | None, diverged: int
) -> ConfirmationVerdict:
    """Judge a trial by its fresh seeds: the first rule that applies.

    1. OPEN: fewer than two seeds on which both the trial and the default point have a score.
    2. WORSE: the interval of the paired difference from the default point lies below 0.
    3. LESS: the reported score is above 97.5 % of what a further run would give
       (``Interval.highest_next``), or a run diverged.
    4. CONFIRMED: the interval of the paired difference lies above 0.
    5. SAME: none of these.

    Args:
        reported: the score in the search.
        score: of the fresh seeds.
        difference: paired, from the default point.
        diverged: runs without a score.
    """
    if difference is None or difference.low is None or difference.high is None:
        return ConfirmationVerdict.OPEN
    if difference.high < 0.0:
        return ConfirmationVerdict.WORSE
    highest = score.highest_next if score else None
    if diverged or (reported is not None and highest is not None and reported > highest):
        return ConfirmationVerdict.LESS
    return ConfirmationVerdict.CONFIRMED if difference.low > 0.0 else ConfirmationVerdict.SAME


def result_of(point: ConfirmationPoint, trials: Sequence[TrialRecord]) -> Result:
    """Compute what fresh seeds gave a point.

    Args:
        point: of a confirmation.
        trials: all of its runs.
    """
    scores = _scores(trials, point.key)
    difference, gain = (
        None if point.key == other else _paired(scores, _scores(trials, other))
        for other in (DEFAULT, UNTRAINED)
    )
    diverged = sum(trial.run.get("arm") == point.key and _diverged(trial) for trial in trials)
    score = Interval.of(list(scores.values()))
    judged = ConfirmationVerdict.OPEN
    if point.trial is not None:
        judged = verdict(point.reported, score, difference, diverged)
    return Result(
        point=point,
        scores=scores,
        diverged=diverged,
        score=score,
        difference=difference,
        gain=gain,
        verdict=judged,
    )


def _paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Interval | None:
    return Interval.of([score - theirs[seed] for seed, score in ours.items() if seed in theirs])


def _scores(trials: Sequence[TrialRecord], key: str) -> dict[int, float]:
    found = {
        int(trial.run["seed"]): float(trial.value or 0.0)
        for trial in trials
        if trial.run.get("arm") == key and trial.state == "complete" and is_finite(trial.value)
    }
    return dict(sorted(found.items()))


def _diverged(trial: TrialRecord) -> bool:
    return trial.state == "fail" and trial.status == "diverged"


def confirmation_json(summary: Summary) -> ConfirmationJson | None:
    """Convert the confirmation to plain JSON values; None if there is none."""
    found = confirmation_of(summary)
    return found.to_dict() if found else None


def confirmed_trial_json(summary: Summary, trial: TrialRecord) -> dict[str, Any] | None:
    """Convert what fresh seeds gave a trial to plain JSON values; None if they gave nothing."""
    found = confirmation_of(summary)
    if found is None or summary.record is None:
        return None
    result = found.of(uuid_of(trial, summary.record.identity))
    return result.to_dict() if result else None
