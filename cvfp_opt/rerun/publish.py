"""Publishing a trial: trained again, compared with its record, written with a model card."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cvfp_opt.errors import StudyError
from cvfp_opt.escaping import positional, quoted
from cvfp_opt.rerun.repeat import Conditions, Repetition, prepare_repetition
from cvfp_opt.single.run_card import facts_of
from cvfp_opt.single.train import Trained, save_network
from cvfp_opt.store.files.saved_networks import check_target
from cvfp_opt.store.record.definition_sections import Sections
from cvfp_opt.store.record.differences import changing_numbers, in_words
from cvfp_opt.store.record.published import PublishedTrial
from cvfp_opt.store.record.records import TrialRecord, definition_of
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.training.events import Observer


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A trial about to be published; everything checked, nothing trained yet.

    Attributes:
        summary: of its study.
        folder: to be written.
        repetition: of the trial.
        allow_drift: whether to publish a network with other weights than the record's.
    """

    summary: Summary
    folder: Path
    repetition: Repetition
    allow_drift: bool

    def write(
        self,
        observe: Observer,
        describe: Callable[[PublishedTrial], str],
        confirmation: dict[str, Any] | None = None,
    ) -> bool:
        """Train and write it; return whether the weights are the record's, to the bit.

        Args:
            observe: notified of the training.
            describe: writes the model card.
            confirmation: what fresh seeds gave the trial, as plain JSON values.

        Raises:
            StudyError: they are not and that was not allowed; or training diverged.
            CheckpointError: the disk refuses.
        """
        trained = self.repetition.train(observe)
        recorded = self.repetition.trial.environment.get("weights_digest")
        identical = trained.result.weights_digest == recorded
        if trained.result.audit is None:
            raise StudyError(
                f"{self._named}: it {trained.result.status.value} this time "
                f"({trained.result.reason}); {self._reason(recorded)}; nothing was written"
            )
        if not identical and not self.allow_drift:
            raise StudyError(
                f"{self._named}: it ended with other weights ({self._reason(recorded)}). Nothing "
                "was written. Train it where these are the same, or publish what comes out here, "
                f"marked as not identical: `cvfp-opt study publish --trial "
                f"{self.repetition.trial.number} --allow-drift{self.summary.option} "
                f"{positional(self.summary.name)} "
                f"{quoted(self.folder)}`"
            )
        facts = self._facts(trained, identical)
        origin = {
            "study": self.summary.name,
            "trial": self.repetition.trial.number,
            "uuid": self.repetition.identity.uuid,
            "score": facts.trial.value,
            "recorded_score": self.repetition.trial.value,
            "confirmation": confirmation,
            "recorded_weights_digest": recorded,
            "identical": identical,
            "differences": []
            if identical
            else [
                {"key": one.key, "then": one.theirs, "now": one.ours}
                for one in changing_numbers(self.repetition.differences)
            ],
        }
        save_network(self.folder, trained, origin=origin, card=describe(facts))
        return identical

    @property
    def _named(self) -> str:
        return f"study {self.summary.name!r}, trial {self.repetition.trial.number}, trained again"

    @property
    def _searched(self) -> Sections:
        """Give the definition with the ranges that were searched."""
        assert self.summary.record is not None
        return definition_of(self.summary.record, self.repetition.trial)

    def _reason(self, recorded: str | None) -> str:
        if recorded is None:
            return "its record has no digest of weights to compare with"
        differences = changing_numbers(self.repetition.differences)
        return in_words(differences) or "nothing that is recorded differs"

    def _facts(self, trained: Trained, identical: bool) -> PublishedTrial:
        """Collect what the model card says, of the published weights and not of those recorded."""
        difference = ""
        if not identical:
            difference = self._reason(self.repetition.trial.environment.get("weights_digest"))
        return replace(
            facts_of(trained, self.folder.name, self.repetition.trial),
            study=self.summary.name,
            recorded_score=self.repetition.trial.value,
            searched=self._searched,
            identity=asdict(self.repetition.identity),
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
        conditions: what to train it on.
        notify: given a line on what may change numbers.

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
    if differences := changing_numbers(repetition.differences):
        notify(f"numbers may differ: {in_words(differences)}")
    return Publication(
        summary=summary,
        folder=folder,
        repetition=repetition,
        allow_drift=allow_drift,
    )
