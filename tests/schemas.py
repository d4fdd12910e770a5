"""The JSON that commands print, held against their closed schemas: no key is forgotten."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import click
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from cvfp_opt.api.schemas import schema
from cvfp_opt.cli import cli
from cvfp_opt.report.json_text import plain_json

# A test whose database has what others wrote within our records sets it to False.
CLOSED = True


@cache
def validator(name: str, closed: bool) -> Draft202012Validator:
    return Draft202012Validator(schema(name, closed=closed))


def check(words: Sequence[str], printed: str) -> None:
    """Hold what a command printed against its schema, if it was asked for JSON and printed any."""
    if "--json" in words and printed:
        check_value(command_name(words), json.loads(printed, parse_constant=_refuse))


def check_value(name: str, value: Any) -> None:
    """Hold a value against the schema of a command, as it would be printed."""
    plain = json.loads(json.dumps(plain_json(value)))
    error = best_match(validator(name, CLOSED).iter_errors(plain))
    assert error is None, f"{name}, {error.json_path}: {error.message}"


def command_name(words: Sequence[str]) -> str:
    """The name of the command that the words call: "trial show"."""
    command: click.Command = cli
    names: list[str] = []
    for word in words:
        if not isinstance(command, click.Group):
            break
        if word in command.commands:
            names.append(word)
            command = command.commands[word]
    return " ".join(names)


def _refuse(name: str) -> None:
    raise AssertionError(f"no JSON: {name}")
