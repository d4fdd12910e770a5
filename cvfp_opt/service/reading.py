"""What a request sends, read into the types that its route names."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.escaping import excerpt
from cvfp_opt.report.dashboard.request_bodies import BadBody, read_object
from cvfp_opt.service.route import refuse

# Bytes of what is sent to our own routes; a definition of the package has 9 thousand.
MAX_BODY = 1 << 20
_JSON = "application/json"
# An ETag of a study: its version, and of what was shown a digest.
TAG = r'(?:W/)?"([0-9]{1,9})(?:-[0-9a-f]+)?"'
_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


class Between:
    """The least and the largest value of a number in an address.

    Args:
        least, most: both may be had.
    """

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most


def keys_of(kind: Any) -> dict[str, Any]:
    """Give the types of the keys of a TypedDict, or of several, see ``json_schema``."""
    parts = kind.__metadata__ if get_origin(kind) is Annotated else (kind,)
    return {
        key: hint
        for part in parts
        for key, hint in get_type_hints(part, include_extras=True).items()
    }


def read_json(content: bytes, media: str, kind: Any) -> dict[str, Any]:
    """Read the JSON object that was sent.

    Args:
        content: the body; may be empty, which stands for an object without keys.
        media: its type.
        kind: of the route; none of its keys is required.

    Raises:
        Refusal: it is of another type.
        DefinitionError: it is not such an object.
    """
    if content and media.partition(";")[0].strip().lower() != _JSON:
        raise refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type: {_JSON} is required")
    try:
        value = read_object(content)
    except BadBody as error:
        raise DefinitionError(str(error)) from None
    hints = keys_of(kind)
    for key, one in value.items():
        if key not in hints:
            raise DefinitionError(f"{excerpt(key)}: unknown key; {nearest(key, hints)}")
        if not _fits(one, hints[key]):
            raise DefinitionError(f"{key}: {_required(hints[key])} is required, got {_brief(one)}")
    return value


def read_query(text: str, kind: type | None) -> dict[str, Any]:
    """Read what an address says.

    Args:
        text: what follows the question mark.
        kind: a TypedDict; None where nothing may be said.

    Raises:
        DefinitionError: it is not what the type has.
    """
    hints = {} if kind is None else keys_of(kind)
    found: dict[str, Any] = {}
    for key, word in parse_qsl(text, keep_blank_values=True, max_num_fields=None):
        if key not in hints:
            valid = nearest(key, hints) if hints else "nothing is asked here"
            raise DefinitionError(f"{excerpt(key)}: unknown in an address; {valid}")
        hint = hints[key]
        if get_origin(hint) is list:
            value = _read_word(key, word, get_args(hint)[0])
            found.setdefault(key, []).append(value)
        elif key in found:
            raise DefinitionError(f"{key}: one value is required, got several")
        else:
            found[key] = _read_word(key, word, hint)
    return found


def read_version(environ: Mapping[str, Any]) -> int | None:
    """Read the version of a study that a change requires; None for any.

    Raises:
        Refusal: none is named.
        DefinitionError: it is none.
    """
    header = environ.get("HTTP_IF_MATCH")
    if header is None:
        raise refuse(
            HTTPStatus.PRECONDITION_REQUIRED,
            "If-Match is required: the ETag of the study as it was looked at, or * for any",
        )
    if header.strip() == "*":
        return None
    if found := re.fullmatch(TAG, header.strip(), re.ASCII):
        return int(found[1])
    raise DefinitionError(
        f"If-Match: one ETag of a study is required, or *, got {excerpt(header, 80)}"
    )


def _read_word(key: str, word: str, hint: Any) -> Any:
    base = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if get_origin(base) is Literal:
        if word not in get_args(base):
            raise DefinitionError(
                f"{key}: unknown value {excerpt(word)!r}; {nearest(word, get_args(base))}"
            )
        return word
    if base is str:
        return word
    if base is bool:
        if word not in ("true", "false"):
            raise DefinitionError(f"{key}: true or false is required, got {excerpt(word)!r}")
        return word == "true"
    least, most = bounds(hint)
    if not _WHOLE.fullmatch(word) or not least <= int(word) <= most:
        raise DefinitionError(
            f"{key}: a whole number from {least} to {most} is required, got {excerpt(word)!r}"
        )
    return int(word)


def bounds(hint: Any) -> tuple[int, int]:
    """Give the least and the largest value of a number in an address."""
    notes = hint.__metadata__ if get_origin(hint) is Annotated else ()
    found = next((note for note in notes if isinstance(note, Between)), Between(0, 10**9 - 1))
    return found.least, found.most


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _fits(value, arguments[0])
    if origin is UnionType:
        return any(_fits(value, one) for one in arguments)
    if origin is list:
        return isinstance(value, list) and all(_fits(one, arguments[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(one, arguments[1]) for one in value.values())
    if hint is Any:
        return True
    if hint is NoneType:
        return value is None
    return type(value) is hint or (hint is float and type(value) is int)


def _required(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _required(arguments[0])
    if origin is UnionType:
        return " or ".join("null" if one is NoneType else _required(one) for one in arguments)
    if origin is list:
        return f"a list, each {_required(arguments[0])},"
    if origin is dict:
        return "an object"
    return _WORDS[hint]


def _brief(value: Any) -> str:
    return excerpt(json.dumps(value), 80)
