"""What an account leaves out of its author's machine: its folder may be shown to anybody."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Keys whose values are paths, in the sections of a definition and in what text and embeddings
# came from. (There ``tokenizer`` is a digest: it is no path that leads anywhere.)
_PATHS = ("path", "tokenizer")


def disclosed_environment(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Leave the name of the machine out: no number depends on it."""
    return {key: value for key, value in environment.items() if key != "host"}


def disclosed_sections(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Write the paths of the sections ``data`` and ``embedding`` as ``disclosed_path`` does."""
    found: dict[str, Any] = dict(sections)
    for name in found.keys() & {"data", "embedding"}:
        section = found[name]
        paths = {key: disclosed_path(section[key]) for key in _PATHS if section.get(key)}
        found[name] = {**section, **paths}
    return found


def disclosed_path(path: str) -> str:
    """Write a path relative to the current folder; of one that leads out of it only the name.

    Whoever has the same files in the same places below his own current folder can read them.
    """
    here, there = Path.cwd(), Path(os.path.abspath(os.path.expanduser(path)))
    if there != here and there.is_relative_to(here):
        return str(there.relative_to(here))
    return there.name or path
