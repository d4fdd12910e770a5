"""Numbers and paths of options, as odd as anybody can type them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from support import TINY_ARGUMENTS, Outcome

from cvfp_opt.cli import cli

Invoke = Callable[..., Outcome]

RUN = ("run", "quick", *TINY_ARGUMENTS, "--threads", "1", "--n-jobs", "1")
NO_TIMES = ("nan", "-nan", "-inf", "-1", "", "x", "1,5", "0x10")
# A timer that is set by them would fail in the middle of the work.
ENDLESS = ("inf", "1e400", "1e30", "9223372036854775807")


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--timeout", NO_TIMES),
        ("--wait-for-database", NO_TIMES),
        ("--checkpoint-every", NO_TIMES),
        ("--lease", (*NO_TIMES, *ENDLESS, "0", "-0", "1e-400")),
    ],
)
def test_a_time_that_is_none_is_refused(
    option: str, values: tuple[str, ...], invoke: Invoke
) -> None:
    for value in values:
        outcome = invoke(*RUN, "--n-trials", "1", f"{option}={value}")
        assert outcome.code == 2, value
        assert f"'{option}': seconds from " in outcome.err
        assert f"required, got {value!r}" in outcome.err
    assert not Path("storage").exists()


def test_a_time_from_the_environment_is_looked_at_too(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVFP_OPT_LEASE", "inf")
    outcome = invoke(*RUN, "--n-trials", "1")
    assert outcome.code == 2
    assert "seconds from 1 to 1,000,000,000 are required, got 'inf'" in outcome.err


@pytest.mark.parametrize("value", ["inf", "nan", "1e30"])
def test_no_watch_looks_again_after_all_time(value: str, invoke: Invoke) -> None:
    assert invoke("status", f"--watch={value}").code == 2


def test_the_longest_times_are_no_trouble(run_tiny: Invoke) -> None:
    words = ["--timeout=inf", "--wait-for-database=inf", "--checkpoint-every=inf", "--lease=1e9"]
    outcome = run_tiny("--n-trials", "1", "--n-jobs", "1", *words)
    assert "1 complete" in outcome.out


@pytest.mark.parametrize(
    "count", ["9" * 5000, "+" + "9" * 5000, "1" + "0" * 30, "\uff11\uff12", "-0", ""]
)
def test_no_count_of_trials_is_beyond_counting(count: str, invoke: Invoke) -> None:
    outcome = invoke(*RUN, f"--n-trials={count}")
    assert outcome.code == 2
    assert "or +10 (that many more) is required, got " in outcome.err
    assert len(outcome.err) < 500


def test_runs_that_no_memory_holds_are_refused(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    for seeds in ("4294967296", "1" + "0" * 30, "1"):
        outcome = invoke("confirm", "--seeds", seeds)
        assert outcome.code == 2
        assert "is not in the range 2<=x<=10000" in outcome.err


def test_the_home_is_understood_after_an_equals_sign(
    run_tiny: Invoke, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run_tiny("--n-trials", "1")
    outcome = invoke("study", "export", "quick", "--output=~/quick.zip")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "quick.zip").is_file()
    assert not Path("~").exists()


# There, --study-name is the name of the study to be: what it is made of is the argument.
NAMES_ANOTHER = {"run", "submit", "study import", "study copy", "study merge"}


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def test_a_study_is_named_one_way_everywhere() -> None:
    without = []
    for name, command in commands(cli):
        named = {parameter.name for parameter in command.params}
        arguments = [one for one in command.params if isinstance(one, click.Argument)]
        if "study_name" in named and not {"study", "source", "words"} & {
            one.name for one in arguments
        }:
            without.append(name)
    assert set(without) == NAMES_ANOTHER


def test_a_study_that_is_named_twice_is_refused(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    assert invoke("best", "quick").out == invoke("best", "--study-name", "quick").out
    assert invoke("trial", "show", "0", "quick").code == 0
    outcome = invoke("status", "quick", "--study-name", "quick")
    assert outcome.code == 2
    assert "the study is named twice; give STUDY or --study-name" in outcome.err
