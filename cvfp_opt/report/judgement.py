"""One sentence on whether to believe the winner, from its audit alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cvfp_opt.report.confirmation import ConfirmationVerdict, confirmation_of
from cvfp_opt.report.confirmation_words import seeds_words
from cvfp_opt.report.words import DEGENERATE, joined, number, trial_definition
from cvfp_opt.store.database.number_checks import is_finite
from cvfp_opt.store.record.decisions import (
    LEAST_LENGTH,
    SCORE_NOISE,
    doubts,
    length,
    without_fixed_point,
)
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary, untrained_score
from cvfp_opt.store.record.trial_attributes import StoredAudit

# Rates below are written as 0.0 %.
_NOTHING = 0.0005
# Shares of a range: what lies within the one is near its bound, within the other at it.
NEAR_BOUND, _AT_BOUND = 0.03, 1e-6


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One thing that the audit shows.

    Attributes:
        text: a clause, with its figures.
        good: whether it is in favour of the score; None where it settles nothing.
        decides: whether a score is not to be believed at all where this is not good.
        short: the clause in a few words, where it is against the score.
    """

    text: str
    good: bool | None
    decides: bool = False
    short: str = ""


def judge(summary: Summary) -> str:
    """Judge the study's best trial.

    Says whether it beats the untrained net, whether the final net has a fixed point on text it
    saw and on text it did not, whether the score rests on the trial's own threshold, whether
    contexts have shrunk or are degenerate, and whether a parameter lies within 3 % of a bound.
    """
    best = summary.best
    if best is None:
        return _none_complete(summary, "judge")
    return judge_trial(best, trial_definition(summary, best), subject=f"Trial {best.number}")


def _none_complete(summary: Summary, what: str) -> str:
    """Say that no trial is complete, and why, if all were given up after the first pass."""
    counts = summary.counts
    ended = [trial for trial in summary.trials if trial.finished]
    first = all(trial.state == "pruned" and len(trial.iterations) == 1 for trial in ended)
    if not ended or not first or counts["running"] or counts["waiting"]:
        return f"No trial is complete yet: there is nothing to {what}."
    number = "The only trial was" if len(ended) == 1 else f"All {len(ended)} trials were"
    return (
        f"{number} pruned after the first pass: the rank of the untrained network is below "
        "search.min_untrained_rank. The text may be too short, or repeat itself."
    )


def judge_trial(best: TrialRecord, definition: dict[str, Any], *, subject: str) -> str:
    """Judge one trial, or one run without a study, which ``subject`` names."""
    found = observations(best, definition, subject=subject)
    return "; ".join(finding.text for finding in found) + "."


def observations(
    best: TrialRecord, definition: dict[str, Any], *, subject: str
) -> list[Observation]:
    """List what the judgement is made of, in its order."""
    if not best.audit:
        scores = f" scores {number(best.value)}, but" if definition else ""
        text = f"{subject}{scores} carries no audit"
        return [Observation(text=text, good=None)]
    return [
        _against_untrained(best, subject),
        *_steps(best),
        _fixed_point(best.audit),
        *_threshold(best, definition),
        *_scale(best.audit),
        *_degenerate(best.audit),
        *_bounds(best, definition.get("space", {})),
    ]


class Belief(Enum):
    """An answer to whether a winner is to be believed."""

    YES = "yes"
    CARE = "with care"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A belief, and the sentence that says it."""

    belief: Belief
    text: str


def answer(summary: Summary) -> Answer:
    """Say whether to believe the study's best trial, by its audit and fresh seeds."""
    best = summary.best
    if best is None:
        nothing = _none_complete(summary, "believe or doubt")
        return Answer(belief=Belief.UNKNOWN, text=nothing)
    name = f"trial {best.number}"
    if not best.audit:
        text = f"Nobody can tell: {name} was not audited."
        return Answer(belief=Belief.UNKNOWN, text=text)
    seeds = _fresh_seeds(summary)
    found = [*observations(best, trial_definition(summary, best), subject=name), *seeds]
    against = [one.short for one in found if one.short]
    score = number(best.value)
    untrained = f"the untrained net's {number(untrained_score(best))}"
    if any(one.decides and not one.good for one in found):
        text = f"No: {name} has {score} against {untrained}, and {joined(against)}."
        return Answer(belief=Belief.NO, text=text)
    won = f"{name} beats {untrained} with {score}"
    if against:
        return Answer(belief=Belief.CARE, text=f"With care: {won}, but {joined(against)}.")
    text = f"Yes, as far as an audit goes: {won}, and nothing in its audit speaks against it."
    if seeds:
        text = f"Yes: {won}, nothing in its audit speaks against it, and {seeds[0].text}."
    return Answer(belief=Belief.YES, text=text)


def _fresh_seeds(summary: Summary) -> list[Observation]:
    """Observe what a confirmation gave the winner; nothing while it is undecided."""
    found = confirmation_of(summary)
    winner = found.winner if found else None
    if winner is None or winner.verdict is ConfirmationVerdict.OPEN:
        return []
    good = winner.verdict is ConfirmationVerdict.CONFIRMED
    text = f"on {seeds_words(winner)} it is {winner.verdict}"
    decides = winner.verdict is ConfirmationVerdict.WORSE
    return [Observation(text=text, good=good, decides=decides, short="" if good else text)]


def _against_untrained(best: TrialRecord, subject: str) -> Observation:
    score, untrained = best.value or 0.0, untrained_score(best) or 0.0
    gain = score - untrained
    if gain > SCORE_NOISE:
        verdict = "better than"
    elif gain >= -SCORE_NOISE:
        verdict = "no better than"
    else:
        verdict = "worse than"
    good = verdict == "better than"
    return Observation(
        text=f"{subject} scores {score:.3f}, {verdict} the untrained net ({untrained:.3f})",
        good=good,
        decides=True,
        short="" if good else f"that is {verdict} a net that was never trained",
    )


def _steps(best: TrialRecord) -> list[Observation]:
    if best.environment.get("optimizer_steps") != 0:
        return []
    text = "0 optimizer steps: this is the untrained network"
    return [Observation(text=text, good=False, decides=True, short="it was never trained")]


def _fixed_point(audit: StoredAudit) -> Observation:
    verdict, short = _FIXED_POINT[without_fixed_point(audit)]
    saw, unseen = (audit[read]["convergence"] for read in ("frozen_train", "frozen_held_out"))
    return Observation(
        text=f"{verdict} ({saw:.1%} and {unseen:.1%} of tokens agree between two frozen reads)",
        good=not short,
        short=short,
    )


# By the texts without one: what is observed, and what is against the score.
_FIXED_POINT: Mapping[tuple[str, ...], tuple[str, str]] = {
    (): ("its final net has a fixed point on text it saw and on text it did not", ""),
    ("held_out",): (
        "its final net has a fixed point on text it saw, but not on text it did not see",
        "its fixed point does not hold on text it did not see",
    ),
    ("train",): (
        "its final net has a fixed point on unseen text, but not on the text it saw",
        "its fixed point does not hold on the text it saw",
    ),
    ("train", "held_out"): (
        "its final net has no fixed point",
        "its final net has no fixed point",
    ),
}


def _threshold(best: TrialRecord, definition: dict[str, Any]) -> list[Observation]:
    objective = definition.get("objective", {})
    if objective.get("convergence") == "frozen":
        return []
    if objective.get("threshold", "trial") != "trial" or objective.get("split") == "validation":
        return []
    name = "phase1_convergence_threshold"
    own = best.params.get(name, definition.get("space", {}).get(name))
    if not is_finite(own) or not best.metrics:
        return []
    rate, fixed = best.metrics["convergence_rate"], best.audit["absolute_convergence"]
    if max(rate, fixed) < _NOTHING:
        return []  # nothing converges at either: that speaks for nobody
    weight = objective.get("convergence_weight", 0.5)
    rests = doubts(best.audit, rate=rate, own_weight=weight).get("threshold", 0.0) > 0.0
    figures = f"{rate:.1%} converged at its own {own:.3f}, {fixed:.1%} at the fixed 0.1"
    if rests:
        text = f"the score rests on its threshold ({figures})"
        return [Observation(text=text, good=False, short="the score rests on its threshold")]
    return [Observation(text=f"the score does not rest on its threshold ({figures})", good=True)]


def _scale(audit: StoredAudit) -> list[Observation]:
    share_of_unit = length(audit)
    if share_of_unit >= LEAST_LENGTH:
        return []
    text = f"its contexts have shrunk to {share_of_unit:.1%} of unit length"
    return [Observation(text=text, good=False, short=text)]


def _degenerate(audit: StoredAudit) -> list[Observation]:
    return [
        Observation(text=f"DEGENERATE: {text}", good=False, decides=True, short=text)
        for flag, text in DEGENERATE.items()
        if audit[flag]
    ]


def _bounds(best: TrialRecord, space: dict[str, Any]) -> list[Observation]:
    found = []
    for name, value in best.params.items():
        if not isinstance(space.get(name), dict) or not is_finite(value):
            continue
        side = _near(value, space[name])
        if side:
            text = f"{name} = {value:.4g} lies {side} bound of its range"
            found.append(Observation(text=text, good=None))
    return found


def _near(value: float, bounds: dict[str, Any]) -> str:
    """Say whether a value is at a bound, or within 3 % of the range, on the range's own scale.

    Returns:
        ``at the lower``, ``near the upper`` ...; "" for what lies between.
    """
    low, high = bounds["low"], bounds["high"]
    if bounds.get("log"):
        if value <= 0.0:  # another program's
            return "at the lower"
        low, high, value = math.log(low), math.log(high), math.log(value)
    place = (value - low) / (high - low)
    for distance, side in ((place, "lower"), (1.0 - place, "upper")):
        if distance <= NEAR_BOUND:
            return f"{'at' if distance <= _AT_BOUND else 'near'} the {side}"
    return ""
