"""``--help``: commands by what somebody wants, and an example at the end of each."""

import re
from collections.abc import Callable, Iterator

import click
import pytest
from support import Outcome

from cvfp_opt.cli import cli
from cvfp_opt.cli.sections import SECTIONS

Invoke = Callable[..., Outcome]


def commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, group
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


EVERY = dict(commands(cli, "cvfp-opt"))


@pytest.mark.parametrize("name", EVERY)
def test_a_command_ends_with_an_example_of_itself(name: str) -> None:
    same = {"cvfp-opt study list": "cvfp-opt list"}  # one command in two places
    assert (EVERY[name].epilog or "").startswith(f"Example: {same.get(name, name)}")


def test_each_command_stands_once_in_its_section(invoke: Invoke) -> None:
    out = invoke("--help").out
    assert "Others:" not in out
    listed = re.findall(r"^  ([a-z]+)  ", out.partition("Search:")[2], flags=re.MULTILINE)
    expected = [name for names in SECTIONS.values() for name in names if name in cli.commands]
    assert listed == expected
    assert sorted(listed) == sorted(cli.commands)
    assert "..." not in out.partition("Search:")[2].replace("STUDY...", "")


def test_what_has_no_section_is_listed_last() -> None:
    group = type(cli)(commands=[click.Command("new", help="Do something new.")])
    help_text = group.get_help(click.Context(group))
    assert "Others:\n  new  Do something new." in help_text


STUDY = ("status", "best", "confirm", "report", "thresholds", "study show", "study export")
STUDY += ("study delete", "study adopt", "study publish", "trial list", "dashboard", "plot")


@pytest.mark.parametrize("name", STUDY)
def test_a_study_is_named_by_an_argument_or_an_option(name: str) -> None:
    command = EVERY[f"cvfp-opt {name}"]
    usage = command.get_usage(click.Context(command))
    assert "STUDY" in usage
    assert any("--study-name" in option.opts for option in command.params)


def test_a_study_that_must_be_named_is_asked_for(invoke: Invoke) -> None:
    for words in (("delete",), ("export", "-o", "x.zip"), ("adopt",), ("publish", "folder")):
        outcome = invoke("study", *words)
        assert outcome.code == 2
        assert "required; give STUDY" in outcome.err
    twice = invoke("study", "show", "a", "--study-name", "b")
    assert (twice.code, "named twice" in twice.err) == (2, True)
    assert "give --study-name NAME" in invoke("study", "merge", "a", "b").err
