"""The model card of a network that was just trained: its facts, and the card of a single run."""

from dataclasses import replace
from typing import TYPE_CHECKING

from cvfp_opt.report.card import model_card
from cvfp_opt.report.judgement import judge_trial
from cvfp_opt.store.record.published import PublishedTrial
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.tuning.objective import outcome

if TYPE_CHECKING:
    from cvfp_opt.single.train import Trained

RUN = TrialRecord(number=0, state="complete")
_DIVERGED = TrialRecord(number=0, state="fail")


def record_of(trained: "Trained", trial: TrialRecord | None = None) -> TrialRecord:
    """Write a run down as a study would: as this trial, or as trial 0 of none."""
    result, definition = trained.result, trained.objective.definition
    scored = definition.objective.scored(result)
    return replace(
        trial or (RUN if result.audit else _DIVERGED),
        value=scored.score if scored else None,
        **outcome(result, scored),
        environment={
            **trained.environment,
            "optimizer_steps": result.optimizer_steps,
            "weights_digest": result.weights_digest,
        },
    )


def facts_of(trained: "Trained", folder: str, trial: TrialRecord = RUN) -> PublishedTrial:
    """Collect what a model card says of a run without a study.

    Args:
        trained: audited.
        folder: name of the one that is written.
        trial: that it is; its figures become those of the trained weights.
    """
    definition, tokens = trained.objective.definition, trained.objective.tokens
    return PublishedTrial(
        study="",
        trial=record_of(trained, trial),
        recorded_score=None,
        searched=definition.to_dict(),
        definition=definition.to_dict(),
        notices=tuple(definition.notices()),
        identity={"seed": trained.seed, "number": trained.number},
        sources=tokens.sources,
        data_digest=tokens.digest,
        num_parameters=sum(one.numel() for one in trained.network.parameters()),
        folder=folder,
    )


def describe_run(trained: "Trained", folder: str) -> str:
    """Write the model card of a run without a study; "" if it was not audited: it diverged."""
    if trained.result.audit is None:
        return ""
    facts = facts_of(trained, folder)
    return model_card(facts, judgement=judge_trial(facts.trial, facts.definition, subject="It"))
