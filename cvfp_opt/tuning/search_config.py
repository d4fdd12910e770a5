"""The section [search] of a study definition: how points are proposed, and trials pruned."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.model.custom_functions import is_foreign
from cvfp_opt.tuning.keyword_settings import check_settings, try_settings
from cvfp_opt.tuning.pruner_kinds import NOT_PRUNERS, PRUNERS, PrunerRequest
from cvfp_opt.tuning.sampler_kinds import NOT_SAMPLERS, SAMPLERS, SamplerRequest


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How points are proposed, and trials pruned.

    Attributes:
        sampler: How points are proposed. Range: one of SAMPLERS, or "package.module:function".
        sampler_settings: Keyword arguments of the sampler, as Optuna names them. Range: those of
            the sampler, see below.
        num_startup_trials: Random points before the sampler begins; with "nsga2" and "nsga3" also
            the trials in a generation. Range: at least 1.
        max_sampler_trials: Finished trials that "tpe" and "gp" look at, the best and the latest
            ones; 0 for all. Range: 0, or at least num_startup_trials.
        first_points: Points that a new study tries before the sampler begins, values by name;
            what a point leaves out is drawn. Range: points of what [space] searches.
        pruner: How trials are ended early. With two objectives, or a frozen score, only "none" is
            possible. Range: one of PRUNERS, or "package.module:function".
        pruner_settings: Keyword arguments of the pruner, as Optuna names them. Range: those of
            the pruner, see below.
        num_pruner_startup_trials: Trials that must have come as far before one is pruned. Range:
            at least 1.
        num_pruner_warmup_steps: Iterations before a trial may be pruned, fewer than
            training.num_iterations; "asha" compares after 1, 2, 4 ... times as many. Range: at
            least 1.
        min_untrained_rank: Effective rank ER / D of the untrained network below which a trial is
            given up after its first pass; 0 for never. The pruner "none" does without it. Range:
            in [0, 1].
        seed: Random seed from which all that is random in the study follows. Range: in [0, 2^63).
    """

    sampler: str = "tpe"
    sampler_settings: dict[str, Any] = field(default_factory=dict)
    num_startup_trials: int = 10
    max_sampler_trials: int = 1000
    first_points: tuple[dict[str, Any], ...] = ()
    pruner: str = "asha"
    pruner_settings: dict[str, Any] = field(default_factory=dict)
    num_pruner_startup_trials: int = 5
    num_pruner_warmup_steps: int = 1
    min_untrained_rank: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        _check_name("sampler", self.sampler, SAMPLERS, NOT_SAMPLERS)
        _check_name("pruner", self.pruner, PRUNERS, NOT_PRUNERS)
        counts = ("num_startup_trials", "num_pruner_startup_trials", "num_pruner_warmup_steps")
        for key in counts:
            if getattr(self, key) < 1:
                raise DefinitionError(
                    f"search.{key}: at least 1 is required, got {getattr(self, key)}"
                )
        if 0 < self.max_sampler_trials < self.num_startup_trials or self.max_sampler_trials < 0:
            raise DefinitionError(
                "search.max_sampler_trials: 0 (all), or at least search.num_startup_trials = "
                f"{self.num_startup_trials} is required, got {self.max_sampler_trials}"
            )
        if not 0.0 <= self.min_untrained_rank <= 1.0:
            raise DefinitionError(
                "search.min_untrained_rank: a share in [0, 1] is required, got "
                f"{self.min_untrained_rank}"
            )
        if not 0 <= self.seed < 2**63:
            raise DefinitionError(
                f"search.seed: a whole number from 0 to 2^63 - 1 is required, got {self.seed}"
            )
        self._check_sampler_settings()
        self._check_pruner_settings()

    def _check_sampler_settings(self) -> None:
        settings = self.sampler_settings
        if self.sampler not in SAMPLERS:  # what code of the user's own takes is known to it
            return
        kind, key = SAMPLERS[self.sampler], "search.sampler_settings"
        check_settings(key, kind.takes, settings, kind.owned)
        if settings and kind.tried:
            request = SamplerRequest(
                seed=0,
                study_seed=0,
                num_startup_trials=self.num_startup_trials,
                space={},
            )
            try_settings(key, lambda: kind.make(request, **settings))

    def _check_pruner_settings(self) -> None:
        settings = self.pruner_settings
        if self.pruner not in PRUNERS:
            return
        make, key = PRUNERS[self.pruner], "search.pruner_settings"
        check_settings(key, make, settings, {})
        request = PrunerRequest(
            num_startup_trials=self.num_pruner_startup_trials,
            num_warmup_steps=self.num_pruner_warmup_steps,
            num_iterations=self.num_pruner_warmup_steps + 1,
            seed=0,
            promise=lambda trial, iteration: None,
        )
        if settings or self.pruner == "threshold":  # it needs one of two
            try_settings(key, lambda: make(request, **settings))


def _check_name(key: str, name: str, known: Collection[str], refused: Mapping[str, str]) -> None:
    """Refuse a name that is neither one of ours nor one of code."""
    if name in known or is_foreign(name):
        return
    if name in refused:
        raise DefinitionError(f"search.{key}: {name!r} is not offered: {refused[name]}")
    raise DefinitionError(
        f"search.{key}: unknown {key} {name!r}; {nearest(name, known)}, or package.module:function"
    )
