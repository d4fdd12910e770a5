"""The objective for studies that stock Optuna runs: ``study.optimize(objective)``.

What takes seconds to import, torch, and to read, the text, waits for the first trial.
"""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna

from cvfp_opt.errors import StudyError
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.stock_study import check_study

if TYPE_CHECKING:
    from cvfp_opt.tuning.stock_trial import StockTrials


@dataclass(kw_only=True)
class StockObjective:
    """A function of an ``optuna.Trial`` that trains the CVFP model at the trial's parameters.

    It suggests the parameters, reports the score after each iteration, prunes by the study's
    pruner and by the untrained network's rank, audits the network, and records with the trial what
    `cvfp-opt run` records. All that is random follows from the definition's seed and the trial's
    number. There are no leases: a trial whose process is killed runs for ever, as Optuna's do.

    It can be pickled, and used by several threads (``n_jobs``) and studies at once.

    Attributes:
        definition: what a trial does; its text is read once, by the first trial.
        name: of the definition, for messages.
        device: "auto" (CUDA if there is one), "cpu" or "cuda".
        threads: number of torch's threads, at least 1, set for the whole process; None to leave
            it as it is.
    """

    definition: StudyDefinition
    name: str = "recommended"
    device: str = "auto"
    threads: int | None = None
    _lock: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )
    _trials: "StockTrials | None" = field(default=None, init=False, repr=False, compare=False)

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, ...]:
        """Train a trial of a study; see ``check`` for what the study has to be.

        Returns:
            The score; for a definition with several objectives convergence rate, effective rank
            and, with `objective.downstream`, minus the logarithm of the probe's perplexity.
            NaN of a trial that diverged, or whose enqueued point the space does not have: Optuna
            lets it fail, and goes on. Why it failed is its user attribute "reason".

        Raises:
            optuna.TrialPruned: the trial is pruned.
            StudyError: the study is none that this definition fits.
            CvfpOptError: text, device or threads are not as required.
        """
        if not isinstance(trial, optuna.Trial):
            raise StudyError(
                f"a trial of a study is required, got a {type(trial).__name__}; for one training "
                "run type `cvfp-opt train`"
            )
        self.check(trial.study)
        return self._prepared().run(trial)

    def check(self, study: optuna.Study) -> None:
        """Refuse a study whose trials this objective does not fit, before one is begun.

        Raises:
            StudyError: its directions are not those of the definition; it is a mirror or a
                confirmation; or a newer cvfp-opt wrote it.
        """
        check_study(study, self.definition)

    def _prepared(self) -> "StockTrials":
        from cvfp_opt.tuning.stock_trial import StockTrials

        with self._lock:  # of threads, the first reads the text
            if self._trials is None:
                self._trials = StockTrials.prepare(
                    self.definition, self.name, self.device, self.threads
                )
        return self._trials

    def __getstate__(self) -> dict[str, Any]:
        """Leave out tokens and lock: another process reads the text itself."""
        return self.__dict__ | {"_lock": None, "_trials": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_lock": threading.Lock()})
