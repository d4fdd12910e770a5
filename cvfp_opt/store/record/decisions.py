"""What decides against a trial, whatever its score: as constraints of Optuna, a number each."""

from typing import Literal, get_args

from cvfp_opt.store.record.trial_attributes import StoredAudit

# The score varies over seeds by about so much: see docs/experiments.md.
SCORE_NOISE = 0.01

Degenerate = Literal["global_attractor", "near_zero", "identity_map"]
_FLAGS: tuple[Degenerate, ...] = get_args(Degenerate)


def constraints(score: float, audit: StoredAudit, optimizer_steps: int) -> dict[str, float]:
    """Give what speaks against a trial in numbers, by name: at most 0 where it does not.

    ``untrained``: how far the score stays behind the untrained network's and SCORE_NOISE;
    ``optimizer_steps``: 1 where no step was taken; the flags of an audit: 1 where one is set.
    """
    found = {
        "untrained": audit["baseline"]["score"] + SCORE_NOISE - score,
        "optimizer_steps": float(optimizer_steps == 0),
    }
    return found | {flag: float(audit[flag]) for flag in _FLAGS}
