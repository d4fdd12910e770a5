"""What a trial's curves consist of; needs no plotly."""

from typing import Any

from cvfp_opt.store.record.records import TrialRecord

# Key of an iteration, title of its panel, whether it is a rate.
PANELS = (
    ("convergence_rate", "convergence", True),
    ("effective_rank", "effective rank / D", True),
    ("weight", "diversity weight", False),
    ("learning_rate", "learning rate", False),
    ("value", "reported value", False),
)


def steps_of(trial: TrialRecord) -> list[dict[str, Any]]:
    """List what each pass of a trial left; of other programs' trials what they reported."""
    return trial.iterations or [
        {"iteration": step, "value": value} for step, value in sorted(trial.reported.items())
    ]
