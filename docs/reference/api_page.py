"""``docs/api.md``: what ``import cvfp_opt`` offers, from the docstrings."""

import inspect
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

import griffe
from page_text import MADE, code, first_line, inline, sentence, table

import cvfp_opt

INTRODUCTION = f"""# The Python interface

{MADE}

What the package offers to programs and notebooks:

```python
import cvfp_opt as cv
```

Importing it is quick: torch is imported by the first call that computes. All but the first
argument are given by name. Errors that are meant for you are `CvfpOptError`s, and their text is
what the command line would have printed.
"""
WIDTH = 88
KINDS = ("function", "class", "error")
Documented = griffe.Function | griffe.Class | griffe.Attribute
_KINDS = griffe.DocstringSectionKind
_TABLES = {
    _KINDS.parameters: "Arguments",
    _KINDS.attributes: "Attributes",
    _KINDS.raises: "Raises",
}
_RESULTS = {_KINDS.returns: "Returns", _KINDS.yields: "Yields"}


def public_names() -> list[str]:
    """List the names of the interface, in their order."""
    return list(getattr(cvfp_opt, "__all__", ["load"]))


def page() -> str:
    """Make the page."""
    package = griffe.load("cvfp_opt", docstring_parser="google", submodules=True)
    found = {name: look_up(package, name) for name in public_names() if name[:2] != "__"}
    found = dict(sorted(found.items(), key=lambda item: KINDS.index(kind_of(item[1]))))
    parts = [INTRODUCTION.rstrip()]
    for kind in KINDS:
        rows = [
            (f"[`{name}`](#{name.lower()})", summary(one))
            for name, one in found.items()
            if kind_of(one) == kind
        ]
        parts += [table([kind, "what it is for"], rows)] if rows else []
    parts += [part for name, one in found.items() for part in describe(name, one)]
    return "\n\n".join(parts) + "\n"


def kind_of(one: Documented) -> str:
    """Tell functions, classes and errors apart."""
    if isinstance(one, griffe.Function):
        return "function"
    return "error" if one.name.endswith("Error") else "class"


def look_up(package: griffe.Object | griffe.Alias, name: str) -> Documented:
    """Find what a public name stands for, in the module where it is defined."""
    value: Any = getattr(cvfp_opt, name)
    module = getattr(value, "__module__", "cvfp_opt").removeprefix("cvfp_opt").lstrip(".")
    path = f"{module}.{getattr(value, '__qualname__', name)}".lstrip(".")
    found = package[path]
    return found.final_target if isinstance(found, griffe.Alias) else found


def summary(one: Documented) -> str:
    """Give the first sentence of what is documented."""
    return first_line(one.docstring.value if one.docstring else "")


def describe(name: str, one: Documented) -> Iterator[str]:
    """Make the parts of a public name: signature, text, and for a class its members."""
    yield f"## {name}"
    if kind_of(one) == "function" or (kind_of(one) == "class" and is_made(one)):
        yield signature(f"cv.{name}", one)
    yield from docstring(one)
    if isinstance(one, griffe.Class):
        if bases := [str(base) for base in one.bases if str(base) != "Exception"]:
            yield f"A kind of {', '.join(map(code, bases))}."
        yield from members(name, one)


def is_made(one: Any) -> bool:
    """Tell whether users make objects of a class: its arguments are described, or all optional."""
    needed = [p for p in one.parameters if p.name != "self"]
    described = one.docstring is not None and "\nArgs:" in inspect.cleandoc(one.docstring.value)
    return described or (bool(needed) and all(p.default is not None for p in needed))


def members(name: str, one: griffe.Class) -> Iterator[str]:
    """Make the parts of a class's public members: its own, then those that it inherits of ours."""
    everything = {**one.inherited_members, **one.members}
    public = [m for key, m in everything.items() if is_public(key, m)]
    owners = [owner.canonical_path for owner in (one, *one.mro())]
    public.sort(
        key=lambda m: (
            not is_value(m),
            owners.index(m.canonical_path.rpartition(".")[0]),
            m.lineno or 0,
        )
    )
    if values := [m for m in public if is_value(m)]:
        yield table(
            ["property", "type", "meaning"],
            [(code(m.name), code(annotation(m)), summary(m)) for m in values],
        )
        # what a property says beyond its first sentence
        for m in values:
            if m.docstring and "\n" in m.docstring.value.strip():
                yield f"### {name}.{m.name}"
                yield from docstring(m)
    for m in public:
        if not is_value(m):
            yield f"### {name}.{m.name}"
            yield signature(m.name, m)
            yield from docstring(m)


def is_public(key: str, member: Any) -> bool:
    """Tell whether a member is for users: named so, and documented."""
    own = isinstance(member, griffe.Alias) is False or member.target_path.startswith("cvfp_opt.")
    shown = key in ("__iter__", "__len__", "__getitem__") or not key.startswith("_")
    return own and shown and member.docstring is not None


def is_value(member: Any) -> bool:
    """Tell whether a member is read, and not called."""
    return bool(member.is_attribute or "property" in member.labels)


def signature(name: str, one: Any) -> str:
    """Write a function's signature, a parameter a line where it is long."""
    words = list(parameters(one.parameters, one.module.path))
    returned = f" -> {annotation(one)}" if getattr(one, "returns", None) is not None else ""
    short = f"{name}({', '.join(words)}){returned}"
    if len(short) > WIDTH:
        short = "\n".join([f"{name}(", *(f"    {word}," for word in words), f"){returned}"])
    return f"```text\n{short}\n```"


def default_of(one: griffe.Parameter, module: str) -> str:
    """Write a default; a constant of the module by its value."""
    written = str(one.default)
    value = getattr(import_module(module), written) if written.isupper() else None
    if value is not None:
        return repr(value)
    return written.replace("'", '"') if '"' not in written else written


def parameters(found: Iterable[griffe.Parameter], module: str) -> Iterator[str]:
    """Write parameters as Python does; ``self`` is left out."""
    keyword_only = False
    for one in found:
        if one.name in ("self", "cls"):
            continue
        kind = one.kind
        if kind is griffe.ParameterKind.keyword_only and not keyword_only:
            keyword_only = True
            yield "*"
        keyword_only = keyword_only or kind is griffe.ParameterKind.var_positional
        stars = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
        typed = f": {plain(one.annotation)}" if one.annotation is not None else ""
        default = "" if one.default is None or kind in stars else f" = {default_of(one, module)}"
        yield f"{stars.get(kind, '')}{one.name}{typed}{default}"


def annotation(one: Any) -> str:
    """Write the type that a member has, or a function returns."""
    return plain(one.returns if one.is_function else one.annotation)


def plain(expression: Any) -> str:
    """Write a type without the quotes of what is imported later."""
    return str(expression).replace('"', "").replace("'", "") if expression is not None else ""


def docstring(one: Any) -> Iterator[str]:
    """Make the parts of a docstring: text, tables of arguments and errors, examples."""
    if one.docstring is None:
        return
    for part in one.docstring.parse("google"):
        if part.kind is _KINDS.text:
            yield inline(part.value)
        elif part.kind in _TABLES:
            rows = [(code(label(item)), sentence(inline(item.description))) for item in part.value]
            yield table([_TABLES[part.kind].lower(), ""], rows)
        elif part.kind in _RESULTS:
            said = " ".join(sentence(inline(item.description)) for item in part.value)
            yield f"{_RESULTS[part.kind]}: {said}"
        elif part.kind is _KINDS.examples:
            yield from (example(text) for _, text in part.value)
        elif part.kind is _KINDS.admonition and part.value.kind == "example":
            yield example(part.value.description)
        else:
            raise ValueError(
                f"{one.path}: a section of a docstring that is not known: {part.kind}"
            )


def label(item: Any) -> str:
    """Name an argument, an attribute, or the class of an error."""
    return str(getattr(item, "name", None) or plain(item.annotation).strip("()"))


def example(text: str) -> str:
    """Set an example as a block that can be typed, or a single call as it is."""
    # in its own module a name has no prefix
    own = rf"(?<![\w.])({'|'.join(public_names())})\("
    text = re.sub(own, r"cv.\1(", inspect.cleandoc(text))
    if not text.startswith(">>> "):
        return f"For example {inline(' '.join(text.split()))}."
    return f"```pycon\n{text}\n```"
