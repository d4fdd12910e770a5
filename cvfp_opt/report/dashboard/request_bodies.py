"""Bodies of requests that change something: JSON whose fields have the required types.

optuna-dashboard takes any JSON, fails half-way through some, and stores what it cannot read again.
"""

import json
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, NoReturn

from cvfp_opt.report.dashboard.dashboard_private import parse_data_uri

MAX_NOTE = 1_000_000  # characters: each 2045 of them are a transaction
_MAX_NAME = 500  # Optuna's column has 512, ours add to it
_MAX_LIST = 1000
_MAX_DEPTH = 50
_MAX_NUMBER = 2**31 - 1


class BadBody(ValueError):
    """A body is not what is required; its text says what is."""


def read_body(content: bytes, kind: str) -> dict[str, Any]:
    """Read what was sent to the dashboard.

    Args:
        content: the body; may be empty.
        kind: its media type.

    Returns:
        A field's value by its name: those in ``_FIELDS`` are what is said there.

    Raises:
        BadBody: it is not such JSON.
    """
    if content and kind.partition(";")[0].strip().lower() != "application/json":
        raise BadBody("Content-Type: application/json is required")
    value = read_object(content)
    for name, (fits, words) in _FIELDS.items():
        if name in value and not fits(value[name]):
            raise BadBody(f"{name}: {words} is required")
    return value


def read_object(content: bytes) -> dict[str, Any]:
    """Read a JSON object, whose text every database keeps.

    Args:
        content: may be empty, which stands for an object without keys.

    Raises:
        BadBody: it is none.
    """
    if not content:
        return {}
    try:
        value = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise BadBody("JSON is required") from None
    if not isinstance(value, dict):
        raise BadBody("a JSON object is required")
    _check_text(value, _MAX_DEPTH)
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _check_text(value: Any, depth: int) -> None:
    """Refuse text, at any depth, that not every database keeps."""
    if depth == 0:
        raise BadBody(f"at most {_MAX_DEPTH} levels are taken")
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= one <= "\udfff" for one in value):
            raise BadBody("a text has a null character, or half a character")
    elif isinstance(value, dict):
        for key, one in value.items():
            _check_text(key, depth - 1)
            _check_text(one, depth - 1)
    elif isinstance(value, list):
        for one in value:
            _check_text(one, depth - 1)


def _text(longest: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= longest


def _name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= _MAX_NAME


def _list(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, list) and len(value) <= _MAX_LIST and all(map(fits, value))
    )


def _or_null(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _whole(value: Any) -> bool:
    return type(value) is int and -1 <= value <= _MAX_NUMBER


def _finite(value: Any) -> bool:
    try:
        return type(value) in (int, float) and isfinite(value)
    except OverflowError:  # of a whole number
        return False


def _attributes(value: Any) -> bool:
    return isinstance(value, dict) and all(len(key) <= _MAX_NAME for key in value)


def _data(value: Any) -> bool:
    try:
        parse_data_uri(value)
    except (ValueError, AttributeError):
        return False
    return True


_TEXT = f"text of at most {_MAX_NAME} characters"
_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "study_name": (_name, _TEXT),
    "directions": (_list(_text(_MAX_NAME)), "a list of minimize and maximize"),
    "remove_associated_artifacts": (lambda value: isinstance(value, bool), "true or false"),
    "version": (_whole, "a whole number"),
    "body": (_text(MAX_NOTE), f"text of at most {MAX_NOTE:,} characters"),
    "mode": (_text(_MAX_NAME), _TEXT),
    "candidates": (_list(_whole), "a list of trial numbers"),
    "clicked": (_whole, "a trial number"),
    "output_type": (_text(_MAX_NAME), _TEXT),
    "artifact_key": (_or_null(_text(_MAX_NAME)), _TEXT),
    "state": (_text(_MAX_NAME), _TEXT),
    "values": (_or_null(_list(_finite)), "a list of finite numbers"),
    "user_attrs": (_attributes, "an object of attributes by name"),
    "file": (_data, "data:TYPE;base64,DATA"),
    "filename": (_text(_MAX_NAME), _TEXT),
}
