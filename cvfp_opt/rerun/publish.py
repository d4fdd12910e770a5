"""Handing a trial on: trained again, compared with its record, written with a model card."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cvfp_opt.errors import StudyError
from cvfp_opt.escaping import positional, quoted
from cvfp_opt.rerun.repeat import Conditions, Repetition, differences_line, prepare_repetition
from cvfp_opt.single.train import Trained, save_network
from cvfp_opt.store.files.saved_networks import check_target
from cvfp_opt.store.record.definition_sections import Sections
from cvfp_opt.store.record.published import PublishedTrial
from cvfp_opt.store.record.records import TrialRecord, definition_of
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.training.events import Observer


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A trial about to be handed on; everything checked, nothing trained yet.

    Attributes:
        summary: of its study.
        trial: the record.
        folder: to be written.
        repetition: of the trial.
        allow_drift: whether to hand on a net with other weights than the record's.
    """

    summary: Summary
    trial: TrialRecord
    folder: Path
    repetition: Repetition
    allow_drift: bool

    def write(
        self,
        observe: Observer,
        describe: Callable[[PublishedTrial], str],
        confirmation: dict[str, Any] | None = None,
    ) -> bool:
        """Train and write; whether the weights are the record's, to the bit.

        Args:
            observe: told of the training.
            describe: writes the model card.
            confirmation: what fresh seeds gave the trial, as plain JSON values.

        Raises:
            StudyError: they are not and that was not allowed; or training diverged.
            CheckpointError: the disk refuses.
        """
        trained = self.repetition.train(observe)
        recorded = self.trial.environment.get("weights_digest")
        identical = trained.result.weights_digest == recorded
        if trained.result.audit is None:
            raise StudyError(
                f"{self._named}: it {trained.result.status.value} this time "
                f"({trained.result.reason}); {self._why(recorded)}; nothing was written"
            )
        if not identical and not self.allow_drift:
            raise StudyError(
                f"{self._named}: it ended with other weights ({self._why(recorded)}). Nothing was "
                "written. Train it where these are the same, or hand on what comes out here, "
                f"marked as not identical: `cvfp-opt study publish --trial "
                f"{self.trial.number} --allow-drift {positional(self.summary.name)} "
                f"{quoted(self.folder)}`"
            )
        facts = self._facts(trained, identical)
        origin = {
            "study": self.summary.name,
            "trial": self.trial.number,
            "uuid": self.repetition.identity.uuid,
            "score": facts.trial.value,
            "recorded_score": self.trial.value,
            "confirmation": confirmation,
            "recorded_weights_digest": recorded,
            "identical": identical,
            "differences": []
            if identical
            else [
                {"key": one.key, "then": one.theirs, "now": one.ours}
                for one in self.repetition.differences
            ],
        }
        save_network(self.folder, trained, origin=origin, card=describe(facts))
        return identical

    @property
    def _named(self) -> str:
        return f"study {self.summary.name!r}, trial {self.trial.number}, trained again"

    @property
    def _searched(self) -> Sections:
        """The definition with the ranges that were searched."""
        assert self.summary.record is not None
        return definition_of(self.summary.record, self.trial)

    def _why(self, recorded: str | None) -> str:
        if recorded is None:
            return "its record has no digest of weights to compare with"
        return differences_line(self.repetition.differences)

    def _facts(self, trained: Trained, identical: bool) -> PublishedTrial:
        """What the card tells: of the weights that are handed on, not of those in the record."""
        result, definition = trained.result, trained.objective.definition
        scored = definition.objective.scored(result)
        plain = result.to_dict()
        trial = replace(
            self.trial,
            value=scored.score if scored else None,
            scored=asdict(scored) if scored else {},
            metrics=asdict(result.last) if result.last else {},
            audit=plain["audit"],
            status=plain["status"],
            reason=plain["reason"],
            environment={
                **trained.environment,
                "optimizer_steps": result.optimizer_steps,
                "weights_digest": result.weights_digest,
            },
        )
        difference = ""
        if not identical:
            difference = self._why(self.trial.environment.get("weights_digest"))
        return PublishedTrial(
            study=self.summary.name,
            trial=trial,
            recorded_score=self.trial.value,
            searched=self._searched,
            definition=definition.to_dict(),
            notices=tuple(definition.notices()),
            identity=asdict(self.repetition.identity),
            sources=trained.objective.tokens.sources,
            data_digest=trained.objective.tokens.digest,
            num_parameters=sum(p.numel() for p in trained.network.parameters()),
            folder=self.folder.name,
            difference=difference,
            trials=self.summary.counts,
        )


def plan_publication(
    summary: Summary,
    trial: TrialRecord,
    folder: Path,
    conditions: Conditions | None,
    notify: Callable[[str], None],
    *,
    allow_drift: bool = False,
) -> Publication:
    """Check everything that can be checked before training.

    Args:
        summary, trial, folder, allow_drift: see Publication.
        conditions: on what to train it.
        notify: told, in a line, what may change numbers.

    Raises:
        CheckpointError: the folder is taken.
        CvfpOptError: the trial is not complete, or can't be trained again, see
            ``prepare_repetition``.
    """
    check_target(folder)
    if trial.state != "complete":
        raise StudyError(
            f"study {summary.name!r}: a complete trial is required, {trial.number} is "
            f"{trial.state}; `cvfp-opt best --study-name {quoted(summary.name)}` names one"
        )
    repetition = prepare_repetition(summary, trial, conditions)
    if repetition.differences:
        notify(f"numbers may differ: {differences_line(repetition.differences)}")
    return Publication(
        summary=summary,
        trial=trial,
        folder=folder,
        repetition=repetition,
        allow_drift=allow_drift,
    )
