"""The sampler and the pruner that a definition names."""

import pytest
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from stock import stock_study, tiny

from cvfp_opt.api.plan import define
from cvfp_opt.training.result import IterationMetrics
from cvfp_opt.tuning.pruner import PromisePruner
from cvfp_opt.tuning.sampler_pruner import falls_behind, pruner_of, sampler_of


@pytest.mark.parametrize(
    ("name", "kind"), [("asha", PromisePruner), ("median", MedianPruner), ("none", NopPruner)]
)
def test_the_pruner_is_the_one_that_is_named(name: str, kind: type[BasePruner]) -> None:
    assert isinstance(pruner_of(tiny(f"search.pruner={name}")), kind)
    assert isinstance(define("quick").set("search.pruner", name).pruner(), kind)


def test_a_fresh_sampler_proposes_the_same() -> None:
    definition = tiny("search.seed=5")
    studies = [stock_study(definition, sampler=sampler_of(definition)) for _ in range(2)]
    one, other = ([study.ask(definition.space.distributions()).params] for study in studies)
    assert one == other
    assert not isinstance(define("quick").sampler(), TPESampler)


def metrics(iteration: int, rank: float) -> IterationMetrics:
    figures = dict.fromkeys(
        (
            "convergence_rate",
            "score",
            "validation_convergence_rate",
            "validation_effective_rank",
            "validation_score",
        ),
        0.5,
    )
    return IterationMetrics(iteration=iteration, effective_rank=rank, residual=None, **figures)


def unasked() -> bool:
    raise AssertionError("nothing was trained yet")


def test_the_first_pass_ends_only_what_is_hopeless() -> None:
    definition = tiny("search.min_untrained_rank=0.4")
    assert falls_behind(definition, metrics(0, 0.39), unasked)
    assert not falls_behind(definition, metrics(0, 0.41), unasked)
    never = tiny("search.min_untrained_rank=0.4", "search.pruner=none")
    assert not falls_behind(never, metrics(0, 0.39), unasked)


def test_later_on_the_studys_pruner_decides() -> None:
    assert falls_behind(tiny(), metrics(1, 0.9), lambda: True)
    assert not falls_behind(tiny(), metrics(1, 0.1), lambda: False)
    assert not falls_behind(tiny(name="honest"), metrics(1, 0.1), unasked)
