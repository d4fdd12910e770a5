"""``docs/cli.md``: every command, from click."""

import inspect
import re
from collections.abc import Iterator

import click
from page_text import MADE, code, first_line, sentence, table

from cvfp_opt.cli import cli

INTRODUCTION = f"""# Commands

{MADE}

Every command, its arguments and options. `cvfp-opt COMMAND --help` prints the same.
[configuration.md](configuration.md) has the keys that `--set` changes,
[environment.md](environment.md) variables, files and [exit codes](environment.md#exit-codes):
0 if all went well, 1 for what you or the machine can mend, 2 for what was mistyped, 3 for a bug of
ours, 130 after ^C. Where a command ends with 1 for another reason, its section says so.
"""

# What exit code 1 means besides an error. 143 is that of SIGTERM, which these give trials back on.
EXIT_ONE = {
    "train": "the run did not come to its end: its numbers broke",
    "verify": "a check failed",
    "trial replay": "something differs",
    "study delete": "you were asked, and said no",
    "study doctor": "something wrong is left",
}
_OPTION = re.compile(r"(?<![\w`-])(--[a-z][\w-]*|\^C)")
_DEFAULT = re.compile(r"\s*\[default: ((?:[^][]|\[[^]]*\])*?)(?:; environment: \w+)?\]")
_NAMES = {"integer": "N", "integer range": "N", "float range": "X", "path": "PATH", "text": "TEXT"}


def page() -> str:
    """Make the page."""
    commands = list(walk(cli))
    index = table(
        ["command", ""],
        [
            (f"[`{name}`](#{name.replace(' ', '-')})", described(first_line(command.help)))
            for name, command in commands
        ],
    )
    sections = [section(name, command) for name, command in commands]
    return "\n".join([INTRODUCTION, index, "", *sections])


def walk(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield all commands by the words that are typed, groups before what they hold."""
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from walk(command, f"{before}{name} ")


def section(name: str, command: click.Command) -> str:
    """Make the section of one command."""
    parts = [f"## {name}", described(inspect.cleandoc(command.help or ""))]
    if isinstance(command, click.Group):
        inner = [f"[`{name} {one}`](#{name}-{one})" for one in command.commands]
        parts.append(f"Has {', '.join(inner)}.")
        if not command.invoke_without_command:
            return "\n\n".join([*parts, ""])
    parts.append(f"```text\n{usage(name, command)}\n```")
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    parts.append(
        table(
            ["option", "default", "range", "variable", "meaning"],
            [option(one) for one in options],
        )
    )
    if name in EXIT_ONE:
        parts.append(f"Exit code 1, besides errors: {EXIT_ONE[name]}.")
    if command.epilog:
        parts.append(f"```sh\n{command.epilog.removeprefix('Example: ')}\n```")
    return "\n\n".join([*parts, ""])


def usage(name: str, command: click.Command) -> str:
    """Write what is typed: the command, its options, its arguments."""
    words = ["cvfp-opt", name, "[OPTIONS]"]
    for one in command.params:
        if isinstance(one, click.Argument):
            shown = str(value(one) if one.metavar or choices(one) else (one.name or "")).upper()
            shown = value(one) if choices(one) else shown
            shown = shown if one.nargs == 1 or "..." in shown else f"{shown} {shown}..."
            words.append(shown if one.required or shown.startswith("[") else f"[{shown}]")
    return " ".join(words)


def option(one: click.Option) -> tuple[str, str, str, str, str]:
    """Make an option's row."""
    names = ", ".join([*one.opts, *one.secondary_opts])
    typed = code(names if one.is_flag else f"{names} {value(one)}")
    said = one.help or ""
    own = _DEFAULT.search(said)
    meaning = described(sentence(_DEFAULT.sub("", said)))
    if own:
        default = described(own[1])
    elif one.required:
        default = "required"
    else:
        default = code(str(one.default)) if one.show_default and not one.is_flag else ""
    if one.multiple:
        bare = meaning.removesuffix("May be repeated.").rstrip(" .").removesuffix("; repeatable")
        meaning = f"{bare}; repeatable."
    return typed, default, limits(one.type), code(str(one.envvar or "")), meaning


def value(one: click.Parameter) -> str:
    """Write what stands for the value of an option or argument."""
    return one.metavar or choices(one) or _NAMES.get(one.type.name, one.type.name.upper())


def choices(one: click.Parameter) -> str:
    """Write the names that a parameter is chosen from; "" if it is no choice."""
    names = getattr(one.type, "valid", None) or getattr(one.type, "choices", None)
    return "{" + "|".join(names) + "}" if names else ""


def limits(kind: click.ParamType) -> str:
    """Write the range of a number; ends that only keep clocks from failing are left out."""
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    if least is None:
        return ""
    return f"at least {least:g}" if most is None or most >= 1e9 else f"{least:g} to {most:g}"


def described(text: str) -> str:
    """Set options in a text as code, outside of what is code already."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _OPTION.sub(r"`\1`", part) for part in parts)
