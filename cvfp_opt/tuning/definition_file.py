"""Reading study definitions: built-in names, paths, and ``--set`` overrides.

Precedence: ``--set`` and the options that stand for one, then the TOML file, then the defaults.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from cvfp_opt.disk import read_file, what_it_is
from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.point_fitting import fit
from cvfp_opt.tuning.space import flattened
from cvfp_opt.tuning.typed_values import read_toml, read_value, written

Sections = dict[str, Any]
# A definition may have so many bytes; the longest one of the package has 9 thousand.
_MAX_SIZE = 1 << 20


def builtin_definitions() -> dict[str, str]:
    """Read the text of each definition that comes with the package, by name."""
    files = resources.files("cvfp_opt.definitions").iterdir()
    texts = {f.name.removesuffix(".toml"): f for f in files if f.name.endswith(".toml")}
    return {name: texts[name].read_text(encoding="utf-8") for name in sorted(texts)}


def read_sections(name_or_path: str) -> Sections:
    """Read the sections of a definition, unchecked.

    Raises:
        DefinitionError: no such name or file, not UTF-8, not TOML.
    """
    texts = builtin_definitions()
    text = texts[name_or_path] if name_or_path in texts else _read_file(name_or_path, texts)
    return read_toml(text, name_or_path)


def _read_file(name_or_path: str, builtins: Iterable[str]) -> str:
    path = Path(name_or_path)
    try:
        found = what_it_is(path)
    except OSError as error:
        raise DefinitionError(f"{path}: cannot be read: {error.strerror}") from None
    if found is None:
        raise DefinitionError(
            f"definition {name_or_path!r}: neither a built-in name nor a file; "
            f"{nearest(name_or_path, builtins)}, or give the path of a .toml file"
        )
    try:
        text = read_file(path, error=DefinitionError, limit=_MAX_SIZE).decode()
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise DefinitionError(
            f"{path}: UTF-8 text is required, the byte at offset {error.start} is not"
        ) from None


def parse_setting(setting: str) -> tuple[str, str, Any]:
    """Split ``section.key=value`` into the three; the value is read as TOML, else as bare text.

    Raises:
        DefinitionError: not of that form.
    """
    name, equals, text = setting.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        raise DefinitionError(
            f"--set {setting}: section.key=value is required, "
            "for instance --set training.num_epochs=1"
        )
    return section, key, read_value(f"--set {name.strip()}", text)


def resolve_definition(
    sections: Sections, settings: Sequence[str] = (), *, where: str
) -> StudyDefinition:
    """Overlay the defaults with a file's sections, and these with ``--set`` settings.

    Raises:
        DefinitionError: see ``StudyDefinition.from_dict``; says whether the file (``where``) or
            a setting is to blame.
    """
    try:
        StudyDefinition.from_dict(sections)
    except DefinitionError as error:
        raise DefinitionError(f"{error} ({where})") from None
    try:
        merged, _ = overlaid(sections, settings)
        return StudyDefinition.from_dict(merged)
    except DefinitionError as error:
        raise DefinitionError(f"{error} (--set)") from None


def overlaid(sections: Sections, settings: Sequence[str]) -> tuple[Sections, list[str]]:
    """Overlay a file's sections with settings; also say which first points do not fit any more.

    Those that the settings give are kept as they are, to be refused if they do not fit.

    Raises:
        DefinitionError: a setting is not of its form; or apart from first points they are not
            valid.
    """
    values = {}
    for setting in settings:
        section, key, value = parse_setting(setting)
        values[f"{section}.{key}"] = value
    return with_values(sections, values)


def with_values(sections: Sections, values: Mapping[str, Any]) -> tuple[Sections, list[str]]:
    """Put values by ``section.key`` into sections; also say which first points fit no more.

    What was written for another sampler or pruner goes with it, as do first points outside of a
    changed space; what the values themselves give is kept, to be refused if it does not fit.

    Raises:
        DefinitionError: apart from first points they are not valid.
    """
    merged = {name: dict(section) for name, section in sections.items()}
    for name, value in values.items():
        section, _, key = name.partition(".")
        merged.setdefault(section, {})[key] = value
    for kind in ("sampler", "pruner"):
        before = sections.get("search", {}).get(kind)
        if values.get(f"search.{kind}", before) != before:
            settings = f"{kind}_settings"
            if f"search.{settings}" not in values:
                merged["search"].pop(settings, None)
    if "search.first_points" in values or not any(key.startswith("space.") for key in values):
        return merged, []
    return _with_fitting_points(merged)


def _with_fitting_points(sections: Sections) -> tuple[Sections, list[str]]:
    """Leave out of a definition's first points what its space, changed since, does not search.

    Returns:
        The sections, and a sentence for each point that is left out or loses a parameter.

    Raises:
        DefinitionError: apart from first points they are not valid.
    """
    search = sections.get("search", {})
    if not search.get("first_points"):
        return sections, []
    definition = StudyDefinition.from_dict({**sections, "search": {**search, "first_points": []}})
    points, notes = [], []
    for place, point in enumerate(search["first_points"]):
        name = f"search.first_points[{place}]"
        fitted = fit(definition, dict(flattened(point)), drop_fixed=True)
        if fitted.problems:
            notes.append(f"{name} is not tried: {fitted.problems[0]}")
            continue
        points.append(fitted.params)
        notes += [f"{name}: {note}" for note in fitted.notes]
    return {**sections, "search": {**search, "first_points": points}}, notes


def data_settings(path: str | None) -> list[str]:
    """Give the settings that ``--data PATH`` stands for; none where it was not typed.

    Raises:
        DefinitionError: it is empty, as from a variable that is not set.
    """
    if path is None:
        return []
    if not path.strip():
        raise DefinitionError(
            f'--data "{path}": a path is required, got an empty one (a variable that is not '
            "set?); type --data text.txt, or --data . for the current folder"
        )
    absolute = str(Path(os.path.expanduser(path)).absolute())
    return ["data.source=text", f"data.path={written(absolute)}"]
