"""Several training runs as lanes of one device: their requests of one moment are one product.

Each run keeps its own code, in a thread of its own: loop, losses, clip and optimizer, with its own
learning rate, weight and mix. For reading and for minibatches it hands in a request and waits.
When every lane waits, the last one to come computes for all: requests of one kind and shape as one
(model.stacked), the others after them.

Lanes in a pass are served until none is left, then all that train. A lane that begins later waits
for the next such change, and is in step with the others from there on.
"""

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import ChainReader
from cvfp_opt.model.stacked import StackedForward, StackedReader
from cvfp_opt.training.events import Phase


@dataclass(frozen=True, kw_only=True)
class _Inputs:
    """The input of a network in a request: contexts (B, D), tokens (B, E) or (B, T, E)."""

    network: ContextNetwork
    contexts: Tensor
    tokens: Tensor
    precision: str

    @property
    def shape(self) -> Hashable:
        """A key that is equal for what can be computed together."""
        contexts, tokens = self.contexts, self.tokens
        kind = (contexts.dtype, contexts.device, self.precision)
        return (self.network.config, contexts.shape, tokens.shape, *kind)


@dataclass(frozen=True, kw_only=True)
class _Outer:
    """The gradient (B, D) of a lane's loss with respect to what its network gave."""

    forward: StackedForward
    index: int
    gradient: Tensor


@dataclass(eq=False)
class _Request:
    """A piece of work that a lane waits for.

    Attributes:
        phase: PASS or TRAINING.
        key: equal for requests that are computed together.
        together: (argument of each) -> (result of each).
    """

    phase: Phase
    key: Hashable
    together: Callable[[Sequence[Any]], Sequence[Any]]
    argument: Any
    result: Any = None
    error: BaseException | None = None
    done: bool = False


class Lanes:
    """The runs that compute together; ``with lanes.lane() as compute`` takes part.

    Whatever happens to a lane, its ``with`` ends and the others go on without it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._num_lanes = 0
        self._waiting: list[_Request] = []
        self._phase = Phase.PASS
        self._reader = StackedReader()

    @contextmanager
    def lane(self) -> Iterator["LaneCompute"]:
        """Take part, from a thread of your own."""
        with self._changed:
            self._num_lanes += 1
        try:
            yield LaneCompute(self)
        finally:
            with self._changed:
                self._num_lanes -= 1
                self._serve()  # all others may have waited for this lane

    def ask(
        self,
        phase: Phase,
        key: Hashable,
        together: Callable[[Sequence[Any]], Sequence[Any]],
        argument: Any,
    ) -> Any:
        """Hand in a ``_Request``, wait until all lanes have, and return its result."""
        request = _Request(phase, key, together, argument)
        with self._changed:
            self._waiting.append(request)
            self._serve()
            while not request.done:
                self._changed.wait()
        if request.error is not None:
            raise request.error
        return request.result

    def read(self, inputs: Sequence[_Inputs]) -> list[Tensor]:
        """Read the chains of several networks at once: (B, T, D) for each."""
        stacked = self._reader.read(*_stacked(inputs))
        return list(stacked)

    def _serve(self) -> None:
        """Compute what the lanes of one phase wait for, if no lane is busy.

        The lock is kept meanwhile: all lanes wait anyway, and a new one has to.
        """
        if not self._waiting or len(self._waiting) < self._num_lanes:
            return
        if all(request.phase is not self._phase for request in self._waiting):
            self._phase = self._waiting[0].phase
        groups: dict[Hashable, list[_Request]] = {}
        for request in self._waiting:
            if request.phase is self._phase:
                groups.setdefault(request.key, []).append(request)
        self._waiting = [r for r in self._waiting if r.phase is not self._phase]
        for group in groups.values():
            try:
                results = group[0].together([request.argument for request in group])
                for request, result in zip(group, results, strict=True):
                    request.result = result
            except BaseException as error:  # each lane raises it; none may be left waiting
                for request in group:
                    request.error = error
            for request in group:
                request.done = True
        self._changed.notify_all()


class LaneCompute:
    """The ``Compute`` of one run that is a lane."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._last: tuple[StackedForward, int] | None = None

    def chains(self, network: ContextNetwork, precision: str) -> ChainReader:
        def read(contexts: Tensor, tokens: Tensor) -> Tensor:
            inputs = _Inputs(
                network=network, contexts=contexts, tokens=tokens, precision=precision
            )
            key = ("read", inputs.shape)
            return cast(Tensor, self._lanes.ask(Phase.PASS, key, self._lanes.read, inputs))

        return read

    def forward(
        self, network: ContextNetwork, contexts: Tensor, tokens: Tensor, precision: str
    ) -> Tensor:
        inputs = _Inputs(network=network, contexts=contexts, tokens=tokens, precision=precision)
        key = ("forward", inputs.shape)
        forward, index = self._lanes.ask(Phase.TRAINING, key, _forward, inputs)
        self._last = forward, index
        found: Tensor = forward.contexts[index].requires_grad_()  # a leaf: the graph ends here
        return found

    def backward(self, network: ContextNetwork, total: Tensor, contexts: Tensor) -> None:
        # no lane may wait inside autograd: on CUDA one thread works for all lanes' graphs
        (gradient,) = torch.autograd.grad(total, contexts)
        assert self._last is not None, "backward without a forward"
        (forward, index), self._last = self._last, None
        outer = _Outer(forward=forward, index=index, gradient=gradient)
        key = ("backward", id(forward))
        gradients = self._lanes.ask(Phase.TRAINING, key, _backward, outer)
        for name, parameter in network.named_parameters():
            parameter.grad = gradients.get(name)


def _stacked(inputs: Sequence[_Inputs]) -> tuple[list[ContextNetwork], Tensor, Tensor, str]:
    return (
        [i.network for i in inputs],
        torch.stack([i.contexts for i in inputs]),  # (N, B, D)
        torch.stack([i.tokens for i in inputs]),  # (N, B, E) or (N, B, T, E)
        inputs[0].precision,
    )


def _forward(inputs: Sequence[_Inputs]) -> list[tuple[StackedForward, int]]:
    forward = StackedForward(*_stacked(inputs))
    return [(forward, index) for index in range(len(inputs))]


def _backward(outers: Sequence[_Outer]) -> list[dict[str, Tensor]]:
    """Return the gradients of each lane that one forward served.

    Those lanes come here together or not at all: what the forward gave is all that they do.
    """
    gradients = outers[0].forward.gradients({o.index: o.gradient for o in outers})
    return [gradients[o.index] for o in outers]
