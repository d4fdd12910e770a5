"""The online trainer, which takes a step after each token."""

import torch

from benchmarks.setting import make_network, make_text
from benchmarks.timing import Result, in_turn
from cvfp_opt.model.config import DiversityConfig
from cvfp_opt.model.schedules import ScheduleConfig
from cvfp_opt.training.config import Hyperparameters, ObjectiveConfig, TrainingConfig
from cvfp_opt.training.events import ignore
from cvfp_opt.training.online import OnlineMethod
from cvfp_opt.training.reading import Reading
from cvfp_opt.training.run import TrainingRun

TOKENS = {"plain": 128, "compiled": 384}


def online(repeats: int) -> Result:
    """Compare autograd with Adam, and the kernel."""
    names = {"plain": "autograd, fused Adam", "compiled": "compiled"}
    variants = in_turn(
        {name: (_passes(kind), TOKENS[kind]) for kind, name in names.items()}, repeats=repeats
    )
    return Result(
        row="online",
        title="online trainer, a step a token",
        unit="token",
        variants=variants,
        notes=("the compiled trainer uses one thread, whatever torch may use",),
    )


def _passes(kind: str):
    """Train pass after pass on a short text, by the deviation loss, towards the first pass."""
    text = make_text(TOKENS[kind])
    run = TrainingRun(
        network=make_network(),
        train=text,
        held_out=text[:4],
        num_validation=4,
        parameters=Hyperparameters(
            dist_reg_weight=0.02,
            phase1_learning_rate=2e-4,
            phase1_convergence_threshold=0.1,
            layernorm_mix=1.0,
        ),
        threshold=0.1,
        training=TrainingConfig(
            trainer="online", precision="float32", training_pass="exact", num_iterations=1000
        ),
        diversity=DiversityConfig(loss="deviation"),
        schedule=ScheduleConfig(),
        objective=ObjectiveConfig(),
        minibatch_generator=torch.Generator(),
        audit_generator=torch.Generator(),
    )
    method = OnlineMethod(run, ignore, kind)
    state: dict[str, Reading | None] = {"previous": None}

    def once() -> None:
        state["previous"], _ = method.read(1, state["previous"], 0.02)

    return once
