"""Findings of a check: in words, with a repair."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from cvfp_opt.store.database.storage import Store

# A repair is given what opens the database, once for all repairs; it returns what was done, in one
# sentence. It looks again before it changes anything: time has passed since the examination.
Repair = Callable[[Callable[[], Store]], str]

MAX_NAMED = 10


class FindingJson(TypedDict):
    """A fault, with its cause and its remedy.

    Attributes:
        where: "study quick, trial 3", or a path.
        what: what was found.
        cause: what it comes from, as far as can be known.
        help: what `--repair` does, if it can; else what to do or type.
        repairable: whether `--repair` mends it.
        harmless: whether nothing has to be mended.
    """

    where: str
    what: str
    cause: str
    help: str
    repairable: bool
    harmless: bool


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A fault, with its cause and its remedy.

    Attributes:
        where: "study quick, trial 3", or a path.
        what: was found.
        cause: what it comes from, as far as can be known.
        help: what ``--repair`` does, if there is a ``repair``; else what to do or type.
        repair: mends it; None where that is not safe or not possible.
        harmless: reported, but nothing that has to be mended.
    """

    where: str
    what: str
    cause: str
    help: str
    repair: Repair | None = None
    harmless: bool = False

    @property
    def line(self) -> str:
        """Write the finding in one line."""
        note = "note: " if self.harmless else ""
        mends = "--repair " if self.repair else ""
        return f"{note}{self.where}: {self.what} ({self.cause}); {mends}{self.help}"

    def to_dict(self) -> FindingJson:
        """Convert the finding to plain JSON values."""
        return {
            "where": self.where,
            "what": self.what,
            "cause": self.cause,
            "help": self.help,
            "repairable": self.repair is not None,
            "harmless": self.harmless,
        }


def of_trials(study: str, numbers: Sequence[int]) -> str:
    """Write "study quick, trials 3, 5"; of many trials only the first are named."""
    named = ", ".join(str(number) for number in numbers[:MAX_NAMED])
    more = len(numbers) - MAX_NAMED
    several = "s" if len(numbers) > 1 else ""
    return f"study {study}, trial{several} {named}{f' and {more} more' if more > 0 else ''}"


def counted(number: int, noun: str) -> str:
    """Write "1 trial", "2 trials" or "3 studies"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {f'{noun[:-1]}ies' if noun.endswith('y') else f'{noun}s'}"


def size(num_bytes: int) -> str:
    """Write a number of bytes in the unit that reads best."""
    amount, unit = float(num_bytes), "bytes"
    for larger in ("kB", "MB", "GB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
