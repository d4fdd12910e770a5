"""What the interface requires of a value, where the command line has its own types."""

from cvfp_opt.errors import DefinitionError
from cvfp_opt.tuning.typed_values import brief


def require_whole(key: str, value: object, least: int) -> None:
    """Refuse what is no whole number, or too small. Raises DefinitionError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise DefinitionError(f"{key}: a whole number is required, got {brief(value)}")
    if value < least:
        raise DefinitionError(f"{key}: at least {least} is required, got {value}")


def require_text(key: str, value: object) -> None:
    """Refuse what is no text, or none. Raises DefinitionError."""
    if not isinstance(value, str) or not value.strip():
        raise DefinitionError(f"{key}: a text is required, got {brief(value)}")
