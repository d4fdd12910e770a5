"""Reasons against a trial, whatever its score: constraints of Optuna, a number each."""

import math
from typing import Literal, get_args

from cvfp_opt.store.record.trial_attributes import StoredAudit

# The score varies over seeds by about so much: see docs/experiments.md.
SCORE_NOISE = 0.01

# Share of tokens that agree between two reads from which on a net has a fixed point.
FIXED_POINT = 0.95
# Share of unit length below which contexts have shrunk: the way to converge without contracting.
LEAST_LENGTH = 0.5

Degenerate = Literal["global_attractor", "near_zero", "identity_map"]
_FLAGS: tuple[Degenerate, ...] = get_args(Degenerate)


def decisive(score: float, audit: StoredAudit, optimizer_steps: int) -> dict[str, float]:
    """Give what decides against a trial in numbers, by name: at most 0 where it does not.

    ``untrained``: how far the score stays behind the untrained network's and SCORE_NOISE;
    ``optimizer_steps``: 1 where no step was taken; the flags of an audit: 1 where one is set.
    """
    found = {
        "untrained": audit["baseline"]["score"] + SCORE_NOISE - score,
        "optimizer_steps": float(optimizer_steps == 0),
    }
    return found | {flag: float(audit[flag]) for flag in _FLAGS}


def length(audit: StoredAudit) -> float:
    """Give the length of contexts as a share of unit length, the root of their mean square."""
    return math.sqrt(max(0.0, audit["mean_square"]))


def without_fixed_point(audit: StoredAudit) -> tuple[Literal["train", "held_out"], ...]:
    """Name the texts of which two frozen reads agree in less than FIXED_POINT of the tokens."""
    found: list[Literal["train", "held_out"]] = []
    if not audit["frozen_train"]["convergence"] >= FIXED_POINT:
        found.append("train")
    if not audit["frozen_held_out"]["convergence"] >= FIXED_POINT:
        found.append("held_out")
    return tuple(found)


def doubts(audit: StoredAudit, *, rate: float, own_weight: float) -> dict[str, float]:
    """Give what makes a score doubtful in numbers, by name: at most 0 where it does not.

    ``fixed_point``: how far two frozen reads of seen or unseen text stay behind FIXED_POINT;
    ``scale``: how far the length of contexts stays behind LEAST_LENGTH of unit length;
    ``threshold``: how much of the score would be lost at the threshold 0.1, beyond SCORE_NOISE.

    Args:
        audit: of the trial.
        rate: its convergence rate, as it is scored.
        own_weight: the rate's weight in the score if the trial's own threshold decides it; else 0.
    """
    frozen = (audit["frozen_train"], audit["frozen_held_out"])
    found = {
        "fixed_point": FIXED_POINT - min(text["convergence"] for text in frozen),
        "scale": LEAST_LENGTH - length(audit),
    }
    if own_weight:
        found["threshold"] = own_weight * (rate - audit["absolute_convergence"]) - SCORE_NOISE
    return found
