"""Runs without a study, and networks that were saved: the public functions."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvfp_opt.api.audits import audit_of_folder, audit_of_trial
from cvfp_opt.api.display.choose import training_view
from cvfp_opt.api.interrupts import interruptible
from cvfp_opt.api.plan import Plan, define
from cvfp_opt.api.study import Study
from cvfp_opt.api.trial import Trial
from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.report.judgement import judge_trial
from cvfp_opt.report.trial_rows import threshold_rows
from cvfp_opt.store.record.records import TrialRecord

if TYPE_CHECKING:
    from cvfp_opt.rerun.loaded import LoadedNetwork
    from cvfp_opt.single.train import Trained
    from cvfp_opt.single.verify import Check

_PROTOCOLS = ("quick", "standard")


@dataclass(frozen=True, repr=False)
class TrainedNetwork:
    """A single training run that came to its end.

    Attributes:
        trained: definition, network and result.
        record: its figures, as a study would have them.
    """

    trained: "Trained"
    record: TrialRecord

    @property
    def score(self) -> float:
        """Its score, from 0 to 1; NaN if it diverged."""
        return math.nan if self.record.value is None else self.record.value

    @property
    def status(self) -> str:
        """How training ended: "finished", "converged_early" or "diverged"."""
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
    def audit(self) -> Mapping[str, Any]:
        """What the score does not say, see docs/audit.md; empty if it diverged."""
        return self.record.audit

    @property
    def judgement(self) -> str:
        """Whether to believe it, in one or two sentences."""
        if not self.record.audit:
            return f"The run {self.status}: {self.reason}."
        definition = self.trained.objective.definition.to_dict()
        return judge_trial(self.record, definition, subject="The run")

    def load(self) -> "LoadedNetwork":
        """Give its network with tokenizer and embeddings: what `load` gives for a folder."""
        from cvfp_opt.rerun.trial_network import loaded_run

        return loaded_run(self.trained)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write it to a new folder, which `load` opens; return its path.

        Raises:
            CheckpointError: the folder is taken, or the disk refuses.
        """
        from cvfp_opt.single.train import save_network
        from cvfp_opt.store.files.saved_networks import check_target

        path = Path(folder)
        check_target(path)
        save_network(path, self.trained)
        return path

    def __repr__(self) -> str:
        score = "no score" if math.isnan(self.score) else f"score {self.score:.4f}"
        return f"TrainedNetwork({score}, {self.status}: {self.reason})"

    def _repr_html_(self) -> str:
        return self.load()._repr_html_()


def train(
    plan: Plan | str | os.PathLike[str] | None = None,
    *,
    seed: int | None = None,
    data: str | os.PathLike[str] | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: bool | None = None,
    **params: float,
) -> TrainedNetwork:
    """Train once, with fixed parameters, and audit the result; no study.

    It is the run that trial 0 of a study with these parameters and this seed would be. One that
    was stopped goes on after its last whole iteration, when the same is called again.

    Args:
        plan: from `define`, or what it takes; None for "recommended".
        seed: the seed of everything random; None for the plan's.
        data: text to train on, as for `define`; None for the plan's.
        device: "auto", "cpu" or "cuda".
        threads: number of torch's threads; None for all processors.
        progress: show it; None to choose by where it is shown.
        params: values of the parameters that the plan searches, by name.

    Raises:
        DefinitionError: a parameter has no value.
        CvfpOptError: what `cvfp-opt train` refuses, with the same words.
        KeyboardInterrupt: it was stopped.

    Example:
        ``train("quick", dist_reg_weight=0.85, phase1_learning_rate=0.002,
        phase1_convergence_threshold=0.5, layernorm_mix=1.0).score``
    """
    from cvfp_opt.api.single_runs import train_once
    from cvfp_opt.single.run_card import record_of

    plan = _plan(plan).searching(params) if params else _plan(plan)
    if plan.space:
        missing = ", ".join(f"{name}=..." for name in plan.space)
        raise DefinitionError(
            f"one training run needs a value for each parameter that {plan.name} searches; add "
            f"{missing}"
        )
    if seed is not None:
        plan = plan.set("search.seed", seed)
    if data is not None:
        plan = define(plan.to_dict(), name=plan.name, data=data)
    with interruptible():
        trained = train_once(
            plan.definition, training_view(progress), device=device, threads=threads
        )
    return TrainedNetwork(trained, record_of(trained))


def load(source: str | os.PathLike[str], *, revision: str | None = None) -> "LoadedNetwork":
    """Open a network that `best --save`, `train --save` or `Trial.save` wrote to a folder.

    Nothing in the folder is executed, and a file that was changed is refused.

    Args:
        source: the folder; or, where there is none of that name, ``user/name`` of a repository
            on the Hugging Face hub that has its files. They are kept in the hub's cache.
        revision: commit, tag or branch on the hub; None for the newest. With the full hash of a
            commit it is always the same network, and needs the hub only once.

    Raises:
        CheckpointError: no such folder or repository, another format, damaged, or another
            tokenizer than this version ships; or the hub cannot be reached.
    """
    from cvfp_opt.rerun import loaded  # torch takes seconds, and not all need it

    return loaded.load(source, revision=revision)


def verify(
    source: Plan | str | os.PathLike[str] = "standard",
    *,
    protocol: str = "quick",
    threads: int | None = None,
    progress: bool | None = None,
) -> "list[Check]":
    """Make the original report's checks of a network: effective rank, identity map, convergence.

    Args:
        source: a folder that a network was saved to; or a plan, or what `define` takes, which
            fixes all parameters and is trained first.
        protocol: "quick" (100 tokens, 5 iterations) or "standard" (6400 and 1280 tokens, 10
            iterations).
        threads: number of torch's threads; None for all processors.
        progress: show it; None to choose by where it is shown.

    Returns:
        The checks, each with ``passed``.

    Raises:
        CvfpOptError: what `cvfp-opt verify` refuses, with the same words.
    """
    from cvfp_opt.api.single_runs import verify_network_of

    if protocol not in _PROTOCOLS:
        raise DefinitionError(
            f"protocol: unknown name {protocol!r}; {nearest(str(protocol), _PROTOCOLS)}"
        )
    folder = _folder(source)
    found = folder or _plan(source).definition
    with interruptible():
        return verify_network_of(found, protocol, training_view(progress), threads=threads)


def thresholds(source: Trial | Study | str | os.PathLike[str]) -> list[dict[str, float]]:
    """List how the convergence rate depends on the threshold, absolute and scale-free.

    The rates come from the stored residuals between the last two passes of training; nothing is
    computed anew.

    Args:
        source: a trial; a study, for its best trial; or a folder that a network was saved to.

    Returns:
        For each threshold the rates, from 0 to 1, within 1.6 points and one token.

    Raises:
        StudyError, CheckpointError: it was not audited.
    """
    if isinstance(source, Study):
        source = source.best
    if isinstance(source, Trial):
        return threshold_rows(audit_of_trial(source.summary, source.record))
    if not isinstance(source, str | os.PathLike):
        raise DefinitionError(
            f"a trial, a study or a folder is required, got {type(source).__name__} {source!r}"
        )
    return threshold_rows(audit_of_folder(Path(source)))


def _plan(source: Plan | str | os.PathLike[str] | None) -> Plan:
    return source if isinstance(source, Plan) else define(source)


def _folder(source: object) -> Path | None:
    from cvfp_opt.disk import is_folder

    if isinstance(source, str | os.PathLike) and is_folder(Path(source)):
        return Path(source)
    return None
