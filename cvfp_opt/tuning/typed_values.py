"""Values as TOML and JSON bring them, and as somebody types them after ``--set``."""

import json
import math
import tomllib
from collections.abc import Collection, Mapping
from typing import Any

import tomlkit
from tomlkit.items import Item

from cvfp_opt.errors import DefinitionError

# Every key has enough with this; what is nested deeper is an accident, or made to do harm.
_MAX_DEPTH = 8
_MOST = 2**63
_SHOWN = 80
_NESTED = "this one is nested too deeply"


def read_value(name: str, text: str) -> Any:
    """Read what stands behind ``=`` in a setting: one value of TOML, else the bare text.

    Args:
        name: what it is to be the value of.
        text: as it was typed.

    Raises:
        DefinitionError: it has several lines or values, or is a value that no key takes.
    """
    try:
        found = tomllib.loads(f"value = {text.strip()}")
    except tomllib.TOMLDecodeError:
        lines = text.strip().splitlines()
        found = {"value": "".join(lines)} if len(lines) < 2 else {}
    except (ValueError, RecursionError) as error:
        raise DefinitionError(f"{name}: a value is required, {_too_much(error)}") from None
    if found.keys() != {"value"}:
        raise DefinitionError(
            f"{name}: one value on one line is required, got {brief(text)}; give each setting a "
            "--set of its own"
        )
    check_value(name, found["value"])
    return found["value"]


def read_toml(text: str, where: str) -> dict[str, Any]:
    """Read the tables of a TOML document.

    Raises:
        DefinitionError: it is none; ``where`` names it.
    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))  # Windows' editors put one there
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"{where}: not valid TOML: {error}") from None
    except (ValueError, RecursionError) as error:
        raise DefinitionError(f"{where}: values are required, {_too_much(error)}") from None


def written(value: Any) -> str:
    """Write a value as TOML does; JSON's strings are others with a character beyond U+FFFF."""
    return _item(value).as_string()


def _item(value: Any) -> Item:
    """Make an item of one line: tomlkit's own for a table is a section."""
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update({key: _item(one) for key, one in value.items()})
        return table
    if isinstance(value, list | tuple):
        array = tomlkit.array()
        array.extend(_item(one) for one in value)
        return array
    item: Item = tomlkit.item(value)
    return item


def check_value(name: str, value: Any, depth: int = 0) -> None:
    """Refuse values that TOML and JSON have and no key takes.

    Raises:
        DefinitionError: a date, a number of over 64 bits, or lists in lists in lists.
    """
    if depth > _MAX_DEPTH:
        raise DefinitionError(f"{name}: a value is required, {_NESTED}")
    if isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            check_value(name, one, depth + 1)
    elif isinstance(value, int) and not -_MOST <= value < _MOST:
        raise DefinitionError(f"{name}: a number of 64 bits at most is required, got a larger one")
    elif not isinstance(value, str | int | float | None):
        raise DefinitionError(
            f"{name}: a number, a word or a list is required, got a date or time; a word that "
            f'looks like one is written in quotes: "{value}"'
        )


def _too_much(error: Exception) -> str:
    """Say what Python cannot read, whatever it says itself: a nesting, or a number."""
    return _NESTED if isinstance(error, RecursionError) else "this has thousands of digits"


def brief(value: Any) -> str:
    """Write a value for a message: as JSON, and no longer than a line."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):
        return "a value that is too large to show"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def shown(value: Any) -> str:
    """Write a value of a definition as TOML does, or nearly."""
    if isinstance(value, dict) and value:
        return "{ " + ", ".join(f"{k} = {shown(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    if value is None:  # a key of [space] that is not in the definition
        return "none"
    return json.dumps(value)


def hint(value: Any, kinds: Collection[type]) -> str:
    """Suggest how to type a value that was typed as another kind: ``; type 0.5`` for ``,5``."""
    if str in kinds:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return f'; type it in quotes: "{value}"' if is_number else ""
    word = str(value).strip().lower()
    if bool in kinds:
        found = {"true": "true", "1": "true", "false": "false", "0": "false"}.get(word)
        return f"; type {found}" if found else ""
    try:
        number = float(word.replace(",", "."))
    except ValueError:
        return ""
    if not isinstance(value, str | float) or not math.isfinite(number):
        return ""
    if float in kinds:
        return f"; type {number!r}"
    return f"; type {int(number)}" if number.is_integer() and abs(number) < _MOST else ""
