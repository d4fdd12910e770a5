"""A run between two iterations, so that it can go on elsewhere to the same bits."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything that the rest of a run depends on, but for what the definition gives.

    Attributes:
        tensors: weights, optimizer, contexts and generator states, by dotted names.
        values: plain JSON.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    def below(self, prefix: str) -> dict[str, Tensor]:
        """The tensors named ``prefix.NAME``, by NAME."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }


class Keeper(Protocol):
    """Where a trainer leaves snapshots, and finds the one to go on from."""

    def load(self) -> Snapshot | None:
        """The snapshot to go on from; None to begin. Its tensors become the trainer's own."""

    def save(self, snapshot: Snapshot) -> None:
        """Keep this one instead; called after each iteration that is not the last.

        Its tensors are the trainer's own, and change once this returns.
        """


class NoKeeper:
    """Keeps nothing."""

    def load(self) -> None:
        return None

    def save(self, snapshot: Snapshot) -> None:
        pass


NOTHING = NoKeeper()
