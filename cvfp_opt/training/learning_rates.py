"""How the learning rate falls over a training run."""

import math
from collections.abc import Callable, Mapping

LearningRateSchedule = Callable[[int, int, float], float]
"""(iteration, iterations that train, share of its steps done) -> factor on the learning rate."""


def constant(iteration: int, num_trained: int, done: float) -> float:
    """Keep the rate."""
    return 1.0


def linear(iteration: int, num_trained: int, done: float) -> float:
    """Lower the rate in equal steps over the iterations, to the 0 that the next would have."""
    return 1.0 - iteration / num_trained


def cosine(iteration: int, num_trained: int, done: float) -> float:
    """Lower the rate with every optimizer step along half a cosine, to 0 at the last one.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR
    2017, without the restarts.
    """
    return 0.5 + 0.5 * math.cos(math.pi * (iteration + done) / num_trained)


LEARNING_RATE_SCHEDULES: Mapping[str, LearningRateSchedule] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
}
