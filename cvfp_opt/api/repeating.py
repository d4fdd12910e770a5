"""A recorded trial run again: to prove it, or to hand its network on."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary

if TYPE_CHECKING:
    from cvfp_opt.api.display.protocol import TrainingView
    from cvfp_opt.rerun.repeat import Conditions


def save_trial(
    summary: Summary,
    trial: TrialRecord,
    folder: Path,
    conditions: "Conditions | None",
    view: "TrainingView",
    *,
    allow_drift: bool = False,
) -> bool:
    """Train a trial again, and write its network to a folder.

    Args:
        summary, trial, folder, conditions, allow_drift: see ``rerun.publish.plan_publication``.
        view: shows the run.

    Returns:
        Whether the weights are the recorded ones, to the bit.
    """
    from cvfp_opt.report.card import describe
    from cvfp_opt.report.confirmation import confirmed_trial_json
    from cvfp_opt.rerun.publish import plan_publication

    plan = plan_publication(
        summary, trial, folder, conditions, view.notify, allow_drift=allow_drift
    )
    objective = plan.repetition.objective
    view.compile(objective.definition, str(objective.device))
    view.notify(
        f"training trial {trial.number} of study {summary.name} again, to prove its record"
    )
    with view.show(objective.definition, notices=False) as shown:
        return plan.write(
            shown.observe, partial(describe, summary), confirmed_trial_json(summary, trial)
        )


def replay_trial(
    summary: Summary, number: int, conditions: "Conditions", view: "TrainingView"
) -> dict[str, Any]:
    """Run a trial again as far as its record goes; return what differs, see ``rerun.replay``."""
    from cvfp_opt.rerun.replay import prepare_replay, replay

    prepared = prepare_replay(summary, number, conditions)
    with view.show(prepared.objective.definition, notices=False) as shown:
        return replay(prepared, shown.observe).to_dict()
