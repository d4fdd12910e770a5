"""What the interface requires of a value, where the command line has its own types."""

from collections.abc import Sequence

from cvfp_opt.errors import DefinitionError
from cvfp_opt.tuning.typed_values import brief

# No database has a larger number.
_MOST = 2**31 - 1


def require_whole(key: str, value: object, least: int, most: int = _MOST) -> None:
    """Refuse what is no whole number, too small or too large. Raises DefinitionError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise DefinitionError(f"{key}: a whole number is required, got {brief(value)}")
    if value < least:
        raise DefinitionError(f"{key}: at least {least} is required, got {value}")
    if value > most:
        raise DefinitionError(f"{key}: at most {most} is required, got {brief(value)}")


def require_text(key: str, value: object) -> None:
    """Refuse what is no text, or none. Raises DefinitionError."""
    if not isinstance(value, str) or not value.strip():
        raise DefinitionError(f"{key}: a text is required, got {brief(value)}")


def require_seconds(key: str, value: object) -> None:
    """Refuse what is no time from 0 on, in seconds. Raises DefinitionError."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not value >= 0:  # type: ignore[operator]
        raise DefinitionError(f"{key}: seconds from 0 on are required, got {brief(value)}")


def texts(key: str, value: object) -> tuple[str, ...]:
    """Take one text, or a sequence of them. Raises DefinitionError for anything else."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise DefinitionError(f"{key}: a text or a list of texts is required, got {brief(value)}")
    return tuple(value)
