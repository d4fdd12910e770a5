"""The number of trials that somebody asks for."""

from typing import NamedTuple

from cvfp_opt.errors import DefinitionError
from cvfp_opt.escaping import excerpt

# Of a study for which nobody has said how many.
DEFAULT_TRIALS = 50
# No database numbers more, and Python reads no number of 5000 digits.
_MOST_DIGITS = 9


class TrialCount(NamedTuple):
    """A study's total of trials, or so many more than it has.

    Attributes:
        number: at least 1.
        more: whether it is more than the study has.
    """

    number: int
    more: bool = False

    def total(self, taken: int) -> int:
        """Give the study's total, of which so many trials have finished or run."""
        return self.number + (taken if self.more else 0)


def trial_count(value: object) -> TrialCount:
    """Read ``50`` (the study's total) or ``"+10"`` (that many more).

    Raises:
        DefinitionError: it is neither.
    """
    text = "" if isinstance(value, bool) else str(value)
    digits = text.removeprefix("+")
    fits = digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
    if not fits or int(digits) < 1:
        raise DefinitionError(
            "50 (the study's total) or +10 (that many more) is required, got "
            f"{excerpt(repr(value), 60)}"
        )
    return TrialCount(int(digits), text.startswith("+"))
