"""A run between two iterations, as data, so that it can go on elsewhere to the same bits."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything that the rest of a run depends on, besides its definition.

    Attributes:
        tensors: weights, optimizer, contexts and generator states, by dotted names.
        values: plain JSON.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    def below(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors named ``prefix.NAME``, by NAME."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }


class Keeper(Protocol):
    """Keeps snapshots for a trainer, and gives the one to go on from."""

    def load(self) -> Snapshot | None:
        """Return the snapshot to go on from, or None; its tensors become the trainer's own."""

    def save(self, snapshot: Snapshot) -> None:
        """Keep this snapshot instead of the last; called after each iteration but the last.

        Its tensors are the trainer's own, and change once this returns.
        """


class NoKeeper:
    """A ``Keeper`` that keeps nothing."""

    def load(self) -> None:
        return None

    def save(self, snapshot: Snapshot) -> None:
        pass


NOTHING = NoKeeper()
