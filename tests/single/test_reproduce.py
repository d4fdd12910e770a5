"""The original report's bugs and tests, on a tiny network."""

from dataclasses import replace

import pytest
import torch
from support import TINY

from cvfp_opt.model.config import ModelConfig
from cvfp_opt.single.reproduce import EXPERIMENTS, Reproduction, define, reproduce
from cvfp_opt.training.events import ignore
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import resolve_definition
from cvfp_opt.tuning.environment import describe_environment

ENVIRONMENT = describe_environment(torch.device("cpu"), 1)


def tiny(definition: StudyDefinition) -> StudyDefinition:
    """The same run on a small net, wide enough for the report's proportions of the losses."""
    small = resolve_definition({}, [*TINY, "search.pruner=none"], where="x")
    iterations = small.training.num_iterations
    return replace(
        definition,
        model=ModelConfig(context_size=128, embedding_size=128, num_layers=1),
        data=small.data,
        training=replace(definition.training, num_iterations=iterations, minibatch_size=16),
    )


def ours(name: str, index: int) -> Reproduction:
    experiment = EXPERIMENTS[name]
    variant = experiment.variants[index]
    definition = tiny(define(experiment, variant, experiment.tokens))
    return reproduce(definition, variant, ignore, ENVIRONMENT, print)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_the_seeds_algorithm_at_the_standard_size(name: str) -> None:
    experiment = EXPERIMENTS[name]
    for variant in experiment.variants:
        definition = define(experiment, variant, experiment.tokens)
        assert definition.model == StudyDefinition().model
        assert definition.training.trainer == "online"
        assert definition.diversity.loss == "deviation"


def test_the_first_bug_never_steps_and_its_fix_does() -> None:
    bug, fix = ours("bug-1", 0), ours("bug-1", 1)
    assert bug.optimizer_steps == 0
    assert "0 optimizer steps: this is the untrained network" in bug.outcome
    assert fix.optimizer_steps is not None
    assert fix.optimizer_steps > 0


def test_the_second_bug_is_torchs_error_and_its_fix_runs() -> None:
    bug, fix = ours("bug-2", 0), ours("bug-2", 1)
    assert bug.outcome == "torch: Trying to backward through the graph a second time"
    assert bug.convergence is None
    assert fix.convergence is not None


def test_the_second_test_is_the_untrained_network() -> None:
    assert ours("test-2", 0).optimizer_steps == 0
    assert ours("test-1", 0).optimizer_steps != 0


def test_another_error_is_no_reproduction() -> None:
    def broken(event: object) -> None:
        raise RuntimeError("out of memory")

    experiment = EXPERIMENTS["bug-2"]
    variant = experiment.variants[0]
    definition = replace(tiny(define(experiment, variant, 64)))
    definition = replace(definition, training=replace(definition.training, detach_context=True))
    with pytest.raises(RuntimeError, match="out of memory"):
        reproduce(definition, variant, broken, ENVIRONMENT, print)
