"""JSON Schemas (2020-12) made from the types that JSON is made from, so that neither can drift.

A part is a TypedDict, or a dataclass of which ``asdict`` makes the JSON. Its keys are its fields,
and what its docstring says of them under ``Attributes:`` is their description. In the place of a
type, ``Annotated[dict[str, Any], A, B]`` is an object with the keys of the parts A and B, and
``Annotated[dict[str, V], A]`` one that may have further keys with values of type V.
"""

import inspect
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from cvfp_opt.report.json_text import NOT_FINITE

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_PLAIN: Mapping[Any, Schema] = {
    Any: {},
    object: {},
    None: {"type": "null"},
    types.NoneType: {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    str: {"type": "string"},
    dict: {"type": "object"},
    list: {"type": "array"},
}
_NUMBER: Schema = {
    "description": "A number, or a word for what JSON has no number for.",
    "anyOf": [{"type": "number"}, {"enum": list(NOT_FINITE)}],
}
# One attribute in a docstring: its names, its text, and the lines that go on with it.
_ATTRIBUTE = re.compile(r"^    ([\w, ]+): (.*(?:\n {8}.*)*)", re.MULTILINE)


class SchemaMaker:
    """Makes schemas, and keeps the definitions that they refer to.

    Args:
        refs: where definitions are, as the beginning of a reference.
        closed: whether an object may have no keys but those that are named. What is published is
            open: a later version may add keys.

    Attributes:
        definitions: the schema of each named type that was met, by its name.
    """

    def __init__(self, refs: str = "#/$defs/", *, closed: bool = False) -> None:
        self.definitions: dict[str, Schema] = {}
        self._refs, self._closed = refs, closed
        self._types: dict[str, Any] = {}

    def of(self, kind: Any) -> Schema:
        """Make the schema of a type; of one that has a name, a reference."""
        if kind is float:
            return self._named("Number", float, lambda: _NUMBER)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return self._named(kind.__name__, kind, lambda: _of_enum(kind))
        if _is_part(kind):
            return self._named(part_name(kind), kind, lambda: self.object(kind))
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Required, NotRequired):
            return self.of(arguments[0])
        if origin is Annotated:
            return self._annotated(arguments[0], arguments[1:])
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(one) for one in arguments]}
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return self._mapping(*arguments)
        if isinstance(origin, type) and issubclass(origin, Sequence):
            return self._sequence(origin, arguments)
        raise TypeError(f"no schema for {kind!r}")

    def object(self, *parts: Any, extra: Any = Any) -> Schema:
        """Make the schema of an object with the keys of all parts.

        Args:
            parts: TypedDicts and dataclasses; the first one describes the object. What a
                TypedDict builds upon is named beside it, for the sake of the descriptions:
                before Python 3.12 it does not know its bases.
            extra: type of further keys' values; Any if there are none.
        """
        properties: dict[str, Schema] = {}
        required: set[str] = set()
        for part in parts:
            described, names = _attributes(part), getattr(part, "JSON_NAMES", {})
            for field, kind in _hints(part).items():
                name = names.get(field, field)
                schema = properties.setdefault(name, self.of(kind))
                if field in described:
                    schema.setdefault("description", described[field])
                if field in _required(part):
                    required.add(name)
        schema = {
            "type": "object",
            "description": _first_paragraph(parts[0]),
            "properties": properties,
            "required": [name for name in properties if name in required],
        }
        if extra is not Any:
            schema["additionalProperties"] = self.of(extra)
        elif self._closed:
            schema["additionalProperties"] = False
        return schema

    def _named(self, name: str, kind: Any, make: Any) -> Schema:
        if name not in self._types:
            self._types[name] = kind
            self.definitions[name] = {}  # its place, for what refers to itself
            self.definitions[name] = make()
        elif self._types[name] is not kind:
            raise TypeError(f"two types are called {name}: {self._types[name]!r}, {kind!r}")
        return {"$ref": f"{self._refs}{name}"}

    def _annotated(self, base: Any, notes: tuple[Any, ...]) -> Schema:
        parts = [one for one in notes if _is_part(one)]
        if not parts:
            enums = [one for one in notes if isinstance(one, type) and issubclass(one, Enum)]
            return self.of(enums[0] if enums else base)
        extra = get_args(base)[1]
        if len(parts) == 1 and extra is Any:
            return self.of(parts[0])
        return self.object(*parts, extra=extra)

    def _mapping(self, key: Any, value: Any) -> Schema:
        schema: Schema = {"type": "object"}
        if key is int:
            schema["propertyNames"] = {"pattern": "^-?[0-9]+$"}
        if value is not Any:
            schema["additionalProperties"] = self.of(value)
        return schema

    def _sequence(self, origin: type, arguments: tuple[Any, ...]) -> Schema:
        if origin is tuple and arguments[-1] is not Ellipsis:
            kinds = [self.of(one) for one in arguments]
            size = len(kinds)
            return {"type": "array", "prefixItems": kinds, "minItems": size, "maxItems": size}
        return {"type": "array", "items": self.of(arguments[0])}


def part_name(part: Any) -> str:
    """Name a part as schemas do, without what tells where its class is used."""
    name: str = part.__name__
    return name.removesuffix("Json").removeprefix("Stored")


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and (is_typeddict(kind) or is_dataclass(kind))


def _hints(part: Any) -> dict[str, Any]:
    hints = get_type_hints(part, include_extras=True)
    assert not any(isinstance(one, ForwardRef) for one in hints.values()), part
    names = {field.name for field in fields(part)} if is_dataclass(part) else hints.keys()
    return {name: kind for name, kind in hints.items() if name in names}


def _required(part: Any) -> frozenset[str]:
    if is_dataclass(part):
        return frozenset(field.name for field in fields(part))
    found: frozenset[str] = part.__required_keys__
    return found


def _of_enum(kind: type[Enum]) -> Schema:
    return {"description": _first_paragraph(kind), "enum": [one.value for one in kind]}


def _first_paragraph(part: Any) -> str:
    return " ".join((inspect.getdoc(part) or "").partition("\n\n")[0].split())


def _attributes(part: Any) -> dict[str, str]:
    """Read what the docstring of a class says of each attribute."""
    found: dict[str, str] = {}
    _, _, text = (inspect.getdoc(part) or "").partition("Attributes:\n")
    for names, said in _ATTRIBUTE.findall(text):
        words = " ".join(said.split())
        found |= {name.strip(): words[:1].upper() + words[1:] for name in names.split(",")}
    return found
