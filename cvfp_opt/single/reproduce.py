"""The original report's bugs and tests, run again: our figures beside the report's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from cvfp_opt.single.train import FileKeeper, run_resumable
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.events import Observer
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition
from cvfp_opt.tuning.objective import Objective

STANDARD_TOKENS = 6400

# The report's runs all have these settings; the variants add to them.
COMMON = (
    "space.phase1_learning_rate=0.002",
    "space.phase1_convergence_threshold=0.1",
    "space.layernorm_mix=1.0",
    "search.pruner=none",
)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One run: its name, what it adds to the definition `seed`, and the report's figures."""

    label: str
    settings: tuple[str, ...]
    report: str


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The figures of the original report and ours, side by side.

    Attributes:
        title: one line.
        tokens: training tokens by default; the report's own are 6400.
        num_iterations: passes.
        variants: in the order to run.
        explanation: one sentence.
    """

    title: str
    tokens: int
    num_iterations: int
    variants: tuple[Variant, ...]
    explanation: str


EXPERIMENTS: Mapping[str, Experiment] = {
    "bug-1": Experiment(
        title="the normalised fixed-point loss",
        tokens=256,
        num_iterations=8,
        variants=(
            Variant(
                label="normalised (the bug)",
                settings=("space.dist_reg_weight=0.01", "training.cvfp_loss=normalized"),
                report="0 % converged, residual far above the threshold",
            ),
            Variant(
                label="raw (the fix)",
                settings=("space.dist_reg_weight=0.01",),
                report="converges",
            ),
        ),
        explanation=(
            "The mean square between two unit vectors is at most 4 / D, so the normalised loss is "
            "about 0.002 where the raw one is about 1: against 0.01 times a deviation of -27 the "
            "total is never positive, the original's rule never steps, the net stays untrained."
        ),
    ),
    "bug-2": Experiment(
        title="the incoming context that is not detached",
        tokens=64,
        num_iterations=2,
        variants=(
            Variant(
                label="not detached (the bug)",
                settings=(
                    "space.dist_reg_weight=0.5",
                    "training.detach_context=false",
                    "training.step_rule=always",
                ),
                report='"backward through the graph a second time"',
            ),
            Variant(
                label="detached (the fix)",
                settings=("space.dist_reg_weight=0.5", "training.step_rule=always"),
                report="runs",
            ),
        ),
        explanation=(
            "Each token's backward frees the graph that led to its context; the next token's "
            "context still hangs on it, so its backward meets a graph that is gone."
        ),
    ),
    "test-1": Experiment(
        title="a weight of 0.01",
        tokens=STANDARD_TOKENS,
        num_iterations=10,
        variants=(
            Variant(
                label="w = 0.01",
                settings=("space.dist_reg_weight=0.01",),
                report="96.0 % / 100 % converged, rank 6.9 % / 1.1 %",
            ),
        ),
        explanation=(
            "Almost alone, the fixed-point loss finds the easy fixed point: contexts shrink and "
            "become alike, so they hardly move, and carry little of their tokens."
        ),
    ),
    "test-2": Experiment(
        title="a weight of 0.5",
        tokens=STANDARD_TOKENS,
        num_iterations=10,
        variants=(
            Variant(
                label="w = 0.5",
                settings=("space.dist_reg_weight=0.5",),
                report="0 % / 0 % converged, rank 88.7 % / 81.7 %",
            ),
        ),
        explanation=(
            "Half of -27 outweighs half of 1.4 for every token: the total loss is never positive, "
            "the original's rule never steps, and the figures are those of the untrained network."
        ),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """Our figures for one variant; train / validation where there are two.

    Attributes:
        label, report: see Variant.
        convergence, validation_convergence, rank, validation_rank: of the last iteration; None
            if the run raised or diverged at once.
        residual: mean over tokens, of the last iteration.
        optimizer_steps: taken.
        outcome: how the run ended, or what torch raised.
    """

    label: str
    report: str
    convergence: float | None = None
    validation_convergence: float | None = None
    rank: float | None = None
    validation_rank: float | None = None
    residual: float | None = None
    optimizer_steps: int | None = None
    outcome: str = ""


def define(experiment: Experiment, variant: Variant, tokens: int) -> StudyDefinition:
    """Take the definition `seed` with a variant's settings, on the first ``tokens`` tokens."""
    size = [
        f"data.train_tokens={tokens}",
        f"training.minibatch_size={min(256, tokens)}",
        f"training.num_iterations={experiment.num_iterations}",
    ]
    settings = [*COMMON, *size, *variant.settings]
    return resolve_definition(read_sections("seed"), settings, where="seed")


def reproduce(
    definition: StudyDefinition,
    variant: Variant,
    observe: Observer,
    environment: StoredEnvironment,
    notify: Callable[[str], None],
) -> Reproduction:
    """Run one variant, from where it was stopped if it was.

    What torch raises about a graph that is gone is a result.

    Args:
        definition: see ``define``.
        variant: its words.
        observe: notified of progress.
        environment: see tuning.environment; names the device.
        notify: given a line on an earlier stop.
    """
    tokens = definition.load_tokens()
    objective = Objective(
        definition=definition, tokens=tokens, device=torch.device(environment["device"])
    )
    run = objective.prepare({}, 0)
    keeper = FileKeeper(definition, tokens, environment, notify)
    try:
        result = run_resumable(run, observe, keeper)
        keeper.finished()
    except RuntimeError as error:
        if "backward through the graph" not in str(error):
            raise
        outcome = "torch: " + str(error).split(" (")[0]
        return Reproduction(label=variant.label, report=variant.report, outcome=outcome)
    last = result.last
    return Reproduction(
        label=variant.label,
        report=variant.report,
        convergence=last.convergence_rate if last else None,
        validation_convergence=last.validation_convergence_rate if last else None,
        rank=last.effective_rank if last else None,
        validation_rank=last.validation_effective_rank if last else None,
        residual=last.residual if last else None,
        optimizer_steps=result.optimizer_steps,
        outcome=f"{result.status.value}: {result.reason}",
    )
