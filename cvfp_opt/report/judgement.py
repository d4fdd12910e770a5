"""One sentence on whether to believe the winner, from its audit alone."""

import math
from typing import Any

from cvfp_opt.report.summary import Summary, untrained_score
from cvfp_opt.store.records import TrialRecord, definition_of

# The spread of the score over seeds is of this order: see docs/experiments.md.
SCORE_NOISE = 0.01
# Of a fixed point, practically all tokens agree between two reads.
FIXED_POINT = 0.95
NEAR_BOUND = 0.03


def judge(summary: Summary) -> str:
    """The judgement of the study's best trial.

    Says whether it beats the untrained net, whether the final net has a fixed point on text it
    saw and on text it did not, whether the score rests on the trial's own threshold, whether
    contexts are degenerate, and whether a parameter lies within 3 % of a bound.
    """
    best = summary.best
    if best is None:
        return "No trial is complete yet: there is nothing to judge."
    definition = definition_of(summary.record, best) if summary.record else {}
    return judge_trial(best, definition, subject=f"Trial {best.number}")


def judge_trial(best: TrialRecord, definition: dict[str, Any], *, subject: str) -> str:
    """The same for one trial, or one run without a study, which ``subject`` names."""
    if not best.audit:
        scores = f" scores {best.value:.3f}, but" if definition else ""
        return f"{subject}{scores} carries no audit."
    parts = [
        _against_untrained(best, subject),
        _steps(best),
        _fixed_point(best.audit),
        _threshold(best, definition),
        *_degenerate(best.audit),
        *_bounds(best, definition.get("space", {})),
    ]
    return "; ".join(part for part in parts if part) + "."


def _against_untrained(best: TrialRecord, subject: str) -> str:
    score, untrained = best.value or 0.0, untrained_score(best) or 0.0
    gain = score - untrained
    if gain > SCORE_NOISE:
        verdict = "better than"
    elif gain >= -SCORE_NOISE:
        verdict = "no better than"
    else:
        verdict = "worse than"
    return f"{subject} scores {score:.3f}, {verdict} the untrained net ({untrained:.3f})"


def _steps(best: TrialRecord) -> str:
    untouched = best.environment.get("optimizer_steps") == 0
    return "0 optimizer steps: this is the untrained network" if untouched else ""


def _fixed_point(audit: dict[str, Any]) -> str:
    saw = audit["frozen_train"]["convergence"]
    unseen = audit["frozen_held_out"]["convergence"]
    if saw >= FIXED_POINT and unseen >= FIXED_POINT:
        verdict = "its final net has a fixed point on text it saw and on text it did not"
    elif saw >= FIXED_POINT:
        verdict = "its final net has a fixed point on text it saw, but not on text it did not see"
    elif unseen >= FIXED_POINT:
        verdict = "its final net has a fixed point on unseen text, but not on the text it saw"
    else:
        verdict = "its final net has no fixed point"
    return f"{verdict} ({saw:.1%} and {unseen:.1%} of tokens agree between two frozen reads)"


def _threshold(best: TrialRecord, definition: dict[str, Any]) -> str:
    objective = definition.get("objective", {})
    if objective.get("convergence") == "frozen":
        return ""
    if objective.get("threshold", "trial") != "trial" or objective.get("split") == "validation":
        return ""
    name = "phase1_convergence_threshold"
    own = best.params.get(name, definition.get("space", {}).get(name))
    if own is None or not best.metrics:
        return ""
    rate, fixed = best.metrics["convergence_rate"], best.audit["absolute_convergence"]
    drop = objective.get("convergence_weight", 0.5) * (rate - fixed)
    figures = f"{rate:.1%} converged at its own {own:.3f}, {fixed:.1%} at the fixed 0.1"
    if drop > SCORE_NOISE:
        return f"the score rests on its threshold ({figures})"
    return f"the score does not rest on its threshold ({figures})"


def _degenerate(audit: dict[str, Any]) -> list[str]:
    words = {
        "global_attractor": "all contexts are the same",
        "near_zero": "all contexts are near zero",
        "identity_map": "contexts copy their tokens' embeddings",
    }
    return [f"DEGENERATE: {text}" for flag, text in words.items() if audit[flag]]


def _bounds(best: TrialRecord, space: dict[str, Any]) -> list[str]:
    found = []
    for name, value in best.params.items():
        if not isinstance(space.get(name), dict):
            continue
        side = _near(value, space[name])
        if side:
            found.append(f"{name} = {value:.4g} lies at the {side} bound of its range")
    return found


def _near(value: float, bounds: dict[str, Any]) -> str:
    """The bound ("lower", "upper") within 3 % of the range, on the range's own scale."""
    low, high = bounds["low"], bounds["high"]
    if bounds["log"]:
        low, high, value = math.log(low), math.log(high), math.log(value)
    place = (value - low) / (high - low)
    if place <= NEAR_BOUND:
        return "lower"
    return "upper" if place >= 1 - NEAR_BOUND else ""
