"""Training runs on a tiny net."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from cvfp_opt.model.config import DiversityConfig, ModelConfig
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.schedules import ScheduleConfig
from cvfp_opt.training.config import Hyperparameters, ObjectiveConfig, TrainingConfig
from cvfp_opt.training.run import TrainingRun

D, E, L, T, V = 8, 6, 2, 40, 10


@pytest.fixture
def make_run() -> Callable[..., TrainingRun]:
    """A run with the given seed; other words change hyperparameters, training or the rest."""

    def make(
        seed: int = 0,
        validated: bool = False,
        loss: str = "orthogonality",
        scale: str = "none",
        objective: ObjectiveConfig | None = None,
        schedule: str = "constant",
        parameters: dict[str, float] | None = None,
        dtype: torch.dtype = torch.float64,
        sizes: tuple[int, int] = (D, E),
        **training: Any,
    ) -> TrainingRun:
        def generator(purpose: int) -> torch.Generator:
            return torch.Generator().manual_seed(10 * seed + purpose)

        chosen = replace(
            Hyperparameters(
                dist_reg_weight=0.4,
                phase1_learning_rate=0.01,
                phase1_convergence_threshold=0.5,
                layernorm_mix=0.8,
            ),
            **(parameters or {}),
        )
        settings = {
            "num_iterations": 4,
            "minibatch_size": 16,
            "num_epochs": 2,
            "min_converged_ratio": 1.0,
            "learning_rate_schedule": "constant",
            "precision": "float32",
            "training_pass": "exact",
            "measuring_pass": "sequential",
        }
        width, embedding = sizes
        config = ModelConfig(context_size=width, embedding_size=embedding, num_layers=L)
        network = ContextNetwork(
            config, layernorm_mix=chosen.layernorm_mix, generator=generator(1)
        )
        text = F.layer_norm(torch.randn(T + V, embedding, generator=generator(2)), (embedding,))
        text = text.to(dtype)
        return TrainingRun(
            network=network.to(dtype),
            train=text[:T],
            held_out=text[T:],
            num_validation=0 if validated else V,
            parameters=chosen,
            threshold=chosen.phase1_convergence_threshold,
            training=TrainingConfig(**(settings | training)),
            diversity=DiversityConfig(loss=loss, scale=scale),
            schedule=ScheduleConfig(kind=schedule),
            objective=objective or ObjectiveConfig(),
            minibatch_generator=generator(3),
            audit_generator=generator(4),
        )

    return make
