"""The heavy work of a training run, as few functions: what others may do for several runs."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from torch import Tensor

from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import Chains
from cvfp_opt.model.products import PRODUCTS


class Compute(Protocol):
    """Who reads texts, and who computes a minibatch and its gradients, for one run."""

    @property
    def chains(self) -> Chains | None:
        """Reads with frozen weights; None for the default of each kind of pass."""

    def forward(
        self, network: ContextNetwork, contexts: Tensor, tokens: Tensor, precision: str
    ) -> Tensor:
        """The network's step for a minibatch, to train on: (B, D), (B, E) -> (B, D)."""

    def backward(self, network: ContextNetwork, total: Tensor, contexts: Tensor) -> None:
        """Leave the gradients of ``total`` in the network's parameters.

        Args:
            network: of the last ``forward``.
            total: a scalar that was computed from ``contexts``.
            contexts: what ``forward`` gave.
        """


class Alone:
    """A run by itself: torch's own forward and backward."""

    chains = None

    def forward(
        self, network: ContextNetwork, contexts: Tensor, tokens: Tensor, precision: str
    ) -> Tensor:
        after: Tensor = network(contexts, tokens, PRODUCTS[precision])
        return after

    def backward(self, network: ContextNetwork, total: Tensor, contexts: Tensor) -> None:
        total.backward()


ALONE = Alone()


def alone() -> AbstractContextManager[Compute]:
    """A place to compute, for as long as a run goes on: here, one of its own."""
    return nullcontext(ALONE)
