"""The use of contexts downstream: what a next-token probe reads of a network."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import Chains, sequential_pass, zero_context
from cvfp_opt.model.probe import NextTokens, ProbeResult, fit_probe
from cvfp_opt.training.events import Observer, Phase, Progress
from cvfp_opt.training.seeds import Purpose, torch_generator

if TYPE_CHECKING:
    from cvfp_opt.training.data import Tokens
    from cvfp_opt.training.run import TrainingRun


class PerplexityOverflow(ArithmeticError):
    """The perplexity of a probe is no finite number."""


@dataclass(frozen=True, kw_only=True)
class Downstream:
    """Everything that decides a run's next-token probe, besides its contexts.

    Attributes:
        targets: the tokens to predict.
        generator: source of the order of minibatches (CPU).
    """

    targets: NextTokens
    generator: torch.Generator

    @classmethod
    def of(cls, tokens: "Tokens", seed: int) -> Self:
        """Prepare the probe of a text.

        Args:
            tokens: of the text.
            seed: the trial's; its number is left out, so that the probes of all trials of a study
                read in one order, which is the first of `thresholds --downstream`.
        """
        return cls(targets=next_tokens(tokens), generator=torch_generator(seed, 0, Purpose.PROBE))


def next_tokens(tokens: "Tokens") -> NextTokens:
    """Give the token that follows each position; the last token of all has none after it."""
    ids, count = torch.cat([tokens.train, tokens.held_out]), len(tokens.train)
    return NextTokens(
        train=ids[1 : count + 1],
        held_out=ids[count + 1 :],
        vocabulary_size=tokens.vocabulary_size,
    )


def read_contexts(
    network: ContextNetwork,
    embeddings: Tensor,
    on_tokens: Callable[[int], None] | None = None,
    chains: Chains | None = None,
) -> Tensor:
    """Read both texts once, with frozen weights, from the zero context to the end.

    Args:
        network: with its final weights.
        embeddings: (T + V, E) of the training text and of the held-out one that follows it.
        on_tokens, chains: see ``sequential_passes``.

    Returns:
        (T + V, D) contexts.

    Raises:
        ContextOverflow: contexts explode.
    """
    start = zero_context(network)
    return sequential_pass(network, embeddings, start, on_tokens, chains=chains)


def beside_embedding(contexts: Tensor, embeddings: Tensor) -> Tensor:
    """Put contexts (N, D) and embeddings (N, E) of their tokens side by side: (N, D + E)."""
    return torch.cat([contexts, embeddings], dim=1)


def probe_features(
    features: Tensor,
    targets: NextTokens,
    generator: torch.Generator,
    learning_rate: float | None = None,
    on_step: Callable[[], None] | None = None,
) -> ProbeResult:
    """Fit a probe to features (T + V, F) of both texts; the last one predicts nothing.

    Args:
        features: of the training text, and of the held-out one that follows it.
        targets, generator, learning_rate, on_step: see ``fit_probe``.
    """
    train, held_out = features[: len(targets.train)], features[len(targets.train) : -1]
    return fit_probe(train, held_out, targets, generator, learning_rate, on_step)


def probe_run(
    run: "TrainingRun", downstream: Downstream, iteration: int, observe: Observer
) -> ProbeResult:
    """Probe the contexts of a finished run's network beside the embedding.

    Args:
        run: with its final weights.
        downstream: of its text.
        iteration: the last one.
        observe: notified of progress, which the reading of both texts makes.

    Raises:
        ContextOverflow: contexts explode.
        PerplexityOverflow: held-out features are too far from those that were learnt from.
    """
    embeddings = torch.cat([run.train, run.held_out])  # (T + V, E)
    total = embeddings.shape[0]

    def progress(done: int) -> None:
        observe(Progress(iteration=iteration, phase=Phase.PROBE, done=done, total=total))

    contexts = read_contexts(run.network, embeddings, progress, run.compute.chains)  # (T + V, D)
    features = beside_embedding(contexts, embeddings).to("cpu", torch.float32)
    try:
        found = probe_features(
            features,
            downstream.targets,
            downstream.generator,
            on_step=lambda: progress(total),
        )
    except OverflowError:  # of exp
        found = None
    if found is None or not math.isfinite(found.held_out_perplexity + found.train_perplexity):
        raise PerplexityOverflow("the perplexity of the next-token probe is no finite number")
    return found
