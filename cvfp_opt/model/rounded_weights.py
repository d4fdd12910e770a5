"""A network's matrices in bfloat16, kept beside them: rounded once a step, not at each use."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from cvfp_opt.model.matrix_products import rounded, rounded_linear
from cvfp_opt.model.network import ContextNetwork


@dataclass
class _Copy:
    """A matrix rounded, and the version of the matrix that it is of."""

    weight: Tensor
    rounded: Tensor
    version: int


class RoundedWeights:
    """Rounded copies of a network's matrices; a copy that is out of date is made anew.

    A matrix that was changed is known by torch's count of its versions, which operations in place
    raise. Fused optimizers and kernels do not: who uses one raises it, or writes the copy too and
    says so by ``written``.
    """

    def __init__(self, network: ContextNetwork) -> None:
        weights = [layer.linear.weight for layer in network.context_layers]
        # by where they begin: a product is given the first rows of the last layer's matrix
        self._copies: Mapping[int, _Copy] = {
            w.data_ptr(): _Copy(weight=w, rounded=rounded(w.detach()), version=w._version)
            for w in weights
        }

    def linear(self, input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Apply a ``Product``: ``bfloat16_linear``, to the bit."""
        operand = self._current(self._copies[weight.data_ptr()])[: weight.shape[0]]
        return rounded_linear(input, weight, bias, operand)

    def copy_of(self, parameter: Tensor) -> Tensor | None:
        """Return the copy of a parameter, to write to; None if it is no matrix of the network."""
        copy = self._copies.get(parameter.data_ptr())
        return None if copy is None else copy.rounded

    def written(self, parameter: Tensor) -> None:
        """Note that a parameter's copy is of the parameter as it is now."""
        self._copies[parameter.data_ptr()].version = parameter._version

    @staticmethod
    def _current(copy: _Copy) -> Tensor:
        if copy.version != copy.weight._version:
            # not in place: a graph that has not gone backward may hold the former one
            copy.rounded, copy.version = rounded(copy.weight.detach()), copy.weight._version
        return copy.rounded
