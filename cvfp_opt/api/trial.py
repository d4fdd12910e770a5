"""A trial of a study, as it was recorded."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvfp_opt.api.interrupts import interruptible
from cvfp_opt.report.trial import trial_json
from cvfp_opt.report.trial_rows import scored
from cvfp_opt.report.words import parameters_line, trial_definition
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary, untrained_score

if TYPE_CHECKING:
    from cvfp_opt.api.looking import ReadableStudy
    from cvfp_opt.api.plan import Plan
    from cvfp_opt.rerun.loaded import LoadedNetwork
    from cvfp_opt.rerun.repeat import Conditions


@dataclass(frozen=True, repr=False)
class Trial:
    """A trial, as its study had it at one moment. It never changes; ask the study again.

    Attributes:
        study: that it belongs to.
        summary: of the study, at that moment.
        record: all that was recorded of it.
    """

    study: "ReadableStudy"
    summary: Summary
    record: TrialRecord

    @property
    def number(self) -> int:
        """Its number in the study, from 0."""
        return self.record.number

    @property
    def state(self) -> str:
        """Its state: "complete", "pruned", "fail", "running" or "waiting"."""
        return self.record.state

    @property
    def params(self) -> dict[str, Any]:
        """Its searched parameters, by Optuna's names."""
        return dict(self.record.params)

    @property
    def score(self) -> float:
        """Its score, from 0 to 1, or another program's single value; NaN while it has none."""
        return _number(self.record.value)

    @property
    def values(self) -> tuple[float, ...]:
        """The value of each objective of the study."""
        return tuple(self.record.values)

    @property
    def convergence(self) -> float:
        """The share of tokens that had converged, from 0 to 1, as it was scored; NaN without."""
        return _number(scored(self.record).get("convergence_rate"))

    @property
    def effective_rank(self) -> float:
        """The effective rank of its contexts / D, from 0 to 1, as it was scored; NaN without."""
        return _number(scored(self.record).get("effective_rank"))

    @property
    def perplexity(self) -> float:
        """The held-out perplexity of its next-token probe, lower is better; NaN without one.

        Only a study with ``objective.downstream`` has probes.
        """
        return _number(self.record.downstream.get("held_out_perplexity"))

    @property
    def untrained_score(self) -> float:
        """The score of the same network before training; NaN if it was not audited."""
        return _number(untrained_score(self.record))

    @property
    def status(self) -> str:
        """How training ended: "finished", "converged_early", "pruned", "diverged", "error", ..."""
        return self.record.status

    @property
    def reason(self) -> str:
        """Why it ended so, in a sentence."""
        return self.record.reason

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What was measured in its last iteration, on training and validation text."""
        return self.record.metrics

    @property
    def iterations(self) -> list[Mapping[str, Any]]:
        """What was measured in each iteration."""
        return list(self.record.iterations)

    @property
    def audit(self) -> Mapping[str, Any]:
        """What the score does not say, see docs/audit.md; empty unless it came to its end."""
        return self.record.audit

    @property
    def downstream(self) -> Mapping[str, Any]:
        """Perplexity and accuracy of its next-token probe on both texts; empty without one."""
        return self.record.downstream

    @property
    def seconds(self) -> Mapping[str, float]:
        """Its wall time in seconds, by phase."""
        return self.record.seconds

    @property
    def environment(self) -> Mapping[str, Any]:
        """What it ran on: versions, host, device, threads, digests."""
        return self.record.environment

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as plain JSON values."""
        return trial_json(self.summary, self.record)

    def to_plan(self) -> "Plan":
        """Give the definition that it was trained by, with its parameters fixed, as a plan.

        Raises:
            StudyError: its study has no definition.
        """
        from cvfp_opt.api.plan import define
        from cvfp_opt.report.best import fixed_sections

        name = f"{self.summary.name}-{self.number}"
        return define(fixed_sections(self.summary, self.record), name=name)

    def load(self, conditions: "Conditions | None" = None) -> "LoadedNetwork":
        """Load its trained network: the kept one, or else one that is trained again now.

        A study keeps the networks of its three best trials.

        Args:
            conditions: where text and device are now, see `Conditions`.

        Raises:
            StudyError: it is not complete, or ends with other weights than it had.
            CvfpOptError: its text is not there, or is another one.

        Returns:
            What `load` gives for a folder.
        """
        from cvfp_opt.rerun.trial_network import load_trial

        place = self.study.place
        return load_trial(self.summary, self.record, place.location, place.artifacts, conditions)

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        conditions: "Conditions | None" = None,
        allow_drift: bool = False,
        progress: bool | None = None,
    ) -> bool:
        """Train it again, and write weights, configuration, metrics and a model card to a folder.

        Args:
            folder: a new one.
            conditions: where text and device are now, see `Conditions`.
            allow_drift: write the network even if its weights are not the recorded ones; its card
                says so.
            progress: show it; None to choose by where it is shown.

        Returns:
            Whether the weights are the recorded ones, to the bit.

        Raises:
            StudyError: they are not, and that was not allowed; or it is not complete.
            CheckpointError: the folder is taken, or the disk refuses.
        """
        from cvfp_opt.api.display.choose import training_view
        from cvfp_opt.api.repeating import save_trial

        view = training_view(progress)
        with interruptible():
            return save_trial(
                self.summary, self.record, Path(folder), conditions, view, allow_drift=allow_drift
            )

    def replay(
        self, *, conditions: "Conditions | None" = None, progress: bool | None = None
    ) -> dict[str, Any]:
        """Run it again from its record alone, and compare all figures; nothing is written.

        Args:
            conditions: where text and device are now, see `Conditions`.
            progress: show it; None to choose by where it is shown.

        Returns:
            Whether all is ``identical``, and what is not.

        Raises:
            StudyError: it has not finished, or reported nothing.
        """
        from cvfp_opt.api.display.choose import training_view
        from cvfp_opt.api.repeating import replay_trial
        from cvfp_opt.rerun.repeat import Conditions

        view = training_view(progress)
        with interruptible():
            return replay_trial(self.summary, self.number, conditions or Conditions(), view)

    def retry(self) -> "Trial":
        """Enqueue its point again, under a new number and so with other seeds.

        Raises:
            StudyError: it is not finished, or was repeated three times.
        """
        return self.study.enqueue(retry=self.number)[0]

    def fail(self, reason: str = "ended by hand") -> None:
        """End it as failed, if it runs or waits; a worker that runs it goes on to the next.

        Raises:
            StudyError: it has ended already.
        """
        self.study.fail(self.number, reason)

    @property
    def definition(self) -> dict[str, Any]:
        """The sections of the definition that it was trained by; empty where there is none."""
        return trial_definition(self.summary, self.record)

    def __repr__(self) -> str:
        word = "score" if self.summary.record else "value"
        score = "" if math.isnan(self.score) else f", {word} {self.score:.4f}"
        params = f": {parameters_line(self.params)}" if self.params else ""
        return f"Trial {self.number} of {self.summary.name!r} ({self.state}{score}){params}"

    def _repr_html_(self) -> str:
        from cvfp_opt.report.html import trial_html

        return trial_html(self.summary, self.record)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trial):
            return NotImplemented
        return self.study == other.study and self.record == other.record

    def __hash__(self) -> int:
        return hash((self.study, self.number))


def _number(value: float | None) -> float:
    """Give NaN for no number: it compares with numbers, and is better than none of them."""
    return math.nan if value is None else value
