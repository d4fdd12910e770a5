"""``docs/configuration.md``: every key of a study definition, from its sections' classes."""

import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from page_text import MADE, attributes, code, first_line, prose, table

from cvfp_opt.model.diversity import DIVERSITY_LOSSES
from cvfp_opt.model.schedules import WEIGHT_SCHEDULES
from cvfp_opt.training.config import Hyperparameters
from cvfp_opt.training.embedding import EMBEDDING_SOURCES
from cvfp_opt.training.text import TEXT_SOURCES
from cvfp_opt.training.trainers import TRAINERS
from cvfp_opt.tuning.definition import LOCATED, StudyDefinition
from cvfp_opt.tuning.keyword_settings import plain_arguments
from cvfp_opt.tuning.pruner_kinds import PRUNERS
from cvfp_opt.tuning.sampler_kinds import SAMPLERS
from cvfp_opt.tuning.space import LIMITS, SETTINGS, SearchSpace
from cvfp_opt.tuning.typed_values import shown

INTRODUCTION = f"""# Study definitions

{MADE}

A study definition decides all that a trial does. It is a TOML file with the sections below.
[studies/recommended.toml](../studies/recommended.toml) writes out every default; a file of your
own has only what differs:

```toml
[model]
context_size = 128
embedding_size = 128

[space]
dist_reg_weight = {{ low = 0.4, high = 0.95 }}
layernorm_mix = 1.0
```

`cvfp-opt run FILE.toml` takes it, `--set SECTION.KEY=VALUE` changes a key for one study. Options
go before the file, the file before the defaults. A key or section that is none is refused with the
nearest one, a value out of its range with the range. The definition is frozen into a study when it
is created: [drift.md](drift.md) says what may change later.

"Searched" marks the keys that `[space]` may hold too; "since" is the release in which a key
appeared: a study that is older does what was done before there was the key.
"""

SPACE = """What is searched: a number from `low` to `high`, with `log = true` by its logarithm; a
word from a list. What is given one value is fixed:

```toml
[space]
phase1_learning_rate = { low = 0.0005, high = 0.005, log = true }
layernorm_mix = 1.0
"diversity.loss" = ["orthogonality", "coding_rate"]
"schedule.stage_weights[0]" = { low = 0.5, high = 0.9 }
```

These are the four main parameters, in the table below, and settings of other sections by their
full names, places of a list as `[0]`, `[1]` and so on:"""

# The members of what is chosen by name, whose docstrings say what each is.
MEMBERS: Mapping[str, Mapping[str, object]] = {
    "diversity.loss": DIVERSITY_LOSSES,
    "schedule.kind": WEIGHT_SCHEDULES,
    "training.trainer": TRAINERS,
    "data.source": TEXT_SOURCES,
    "embedding.source": EMBEDDING_SOURCES,
    "search.sampler": {name: kind.make for name, kind in SAMPLERS.items()},
    "search.pruner": PRUNERS,
}
# What the settings of these are keyword arguments of, with those that other keys give.
TAKING: Mapping[str, list[tuple[Callable[..., Any], Mapping[str, str]]]] = {
    "search.sampler": [(kind.takes, kind.owned) for kind in SAMPLERS.values()],
    "search.pruner": [(make, {}) for make in PRUNERS.values()],
}
_TYPES = {int: "whole number", float: "number", str: "string", bool: "true or false"}


def page() -> str:
    """Make the page."""
    sections = get_type_hints(StudyDefinition)
    return (
        "\n\n".join([INTRODUCTION.rstrip(), *(section(*one) for one in sections.items())]) + "\n"
    )


def section(name: str, kind: type) -> str:
    """Make a section's part: what it is, its keys, and the names that they choose from."""
    rows = space_rows() if kind is SearchSpace else list(key_rows(name, kind))
    heads = ["key", "type", "default", "range", "searched", "since", "meaning"]
    if kind is SearchSpace:
        parts = [f"## [{name}]", SPACE, ", ".join(map(code, SETTINGS)) + ".", table(heads, rows)]
    else:
        parts = [f"## [{name}]", prose(kind.__doc__ or ""), table(heads, rows)]
    if located := [key for key in LOCATED if key.startswith(f"{name}.")]:
        listed = ", ".join(code(key.partition(".")[2]) for key in located)
        parts.append(
            f"Where things lie ({listed}) is no part of what a study is: it goes on with the same "
            "ones elsewhere."
        )
    for key, members in MEMBERS.items():
        if key.startswith(f"{name}."):
            heads = ["name", "what it does"]
            rows = [(code(one), first_line(member.__doc__)) for one, member in members.items()]
            if key in TAKING:
                heads.append("settings")
                rows = [
                    (*row, settings(takes)) for row, takes in zip(rows, TAKING[key], strict=True)
                ]
            parts += [f"### {key}", table(heads, rows)]
    return "\n\n".join(parts)


def key_rows(name: str, kind: type) -> Iterator[tuple[str, ...]]:
    """Make the rows of a section's keys."""
    said, hints, releases = attributes(kind.__doc__ or ""), get_type_hints(kind), since()
    for one in fields(kind):
        meaning, limits = meaning_and_range(said[one.name], kind)
        full = f"{name}.{one.name}"
        yield (
            code(one.name),
            type_name(hints[one.name]),
            code(toml(default_of(one))),
            limits,
            "yes" if full in SETTINGS else "",
            releases[full],
            meaning,
        )


def space_rows() -> list[tuple[str, ...]]:
    """Make the rows of the main parameters."""
    said, releases, defaults = attributes(Hyperparameters.__doc__ or ""), since(), SearchSpace()
    rows = []
    for name in LIMITS:
        meaning, limits = meaning_and_range(said[name], Hyperparameters)
        default = defaults.to_dict()[name]
        if not default["log"]:
            default = {end: default[end] for end in ("low", "high")}
        kind = "number or range"
        cells = (code(name), kind, code(shown(default)), limits, "yes", releases[f"space.{name}"])
        rows.append((*cells, meaning))
    return rows


def default_of(one: Field[Any]) -> Any:
    """Give a key's default."""
    return one.default if one.default_factory is MISSING else one.default_factory()


def settings(takes: tuple[Callable[..., Any], Mapping[str, str]]) -> str:
    """List the settings of a sampler or pruner that a definition can give."""
    return ", ".join(map(code, plain_arguments(*takes)))


def meaning_and_range(text: str, kind: type) -> tuple[str, str]:
    """Cut a key's description where its range begins; names that it is one of are listed."""
    meaning, _, limits = text.partition(" Range: ")
    return meaning, re.sub(
        r"one of ([A-Z_]+)",
        lambda found: ", ".join(code(toml(name)) for name in names(found[1], kind)),
        limits.removesuffix("."),
    )


def names(constant: str, kind: type) -> list[str]:
    """Look up the names that a key is one of, by the constant that its docstring mentions."""
    return list(vars(sys.modules[kind.__module__])[constant])


def type_name(kind: Any) -> str:
    """Name a type as a reader of TOML does."""
    if get_origin(kind) is tuple:
        return f"list of {type_name(get_args(kind)[0])}s"
    if get_origin(kind) is dict:
        return "table"
    if kind in _TYPES:
        return _TYPES[kind]
    return " or ".join(map(type_name, get_args(kind)))


def toml(value: Any) -> str:
    """Write a value as TOML does."""
    return shown(list(value) if isinstance(value, tuple) else value)


def since() -> dict[str, str]:
    """Read the release in which each key appeared."""
    releases = tomllib.loads((Path(__file__).parent / "since.toml").read_text(encoding="utf-8"))
    return {key: release for release, keys in releases.items() for key in keys}
