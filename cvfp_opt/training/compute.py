"""The heavy work of a training run behind one interface: alone, or together with other runs."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from torch import Tensor

from cvfp_opt.model.matrix_products import PRODUCTS
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import Chains


class Compute(Protocol):
    """How a run reads texts and computes minibatches and their gradients."""

    @property
    def chains(self) -> Chains | None:
        """The reader for passes with frozen weights; None for the default of each kind of pass."""

    def forward(
        self, network: ContextNetwork, contexts: Tensor, tokens: Tensor, precision: str
    ) -> Tensor:
        """Compute the network's step for a minibatch, to train on: (B, D), (B, E) -> (B, D)."""

    def backward(self, network: ContextNetwork, total: Tensor, contexts: Tensor) -> None:
        """Leave the gradients of ``total`` in the network's parameters.

        Args:
            network: the network of the last ``forward``.
            total: a scalar that was computed from ``contexts``.
            contexts: the result of ``forward``.
        """


class Alone:
    """The ``Compute`` of a run by itself: torch's own forward and backward."""

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
    """Return a context manager for a run that computes by itself."""
    return nullcontext(ALONE)
