"""Every command that README and the pages on studies show runs, in its order, in one folder."""

import re
import shlex
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import tomlkit
from support import REPOSITORY, TINY, Outcome

from cvfp_opt.cli import cli
from cvfp_opt.report.figures.kinds import KINDS
from cvfp_opt.tuning import definition_file

pytestmark = pytest.mark.usefixtures("figures")


def commands(page: str) -> list[str]:
    text = (REPOSITORY / page).read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture
def tiny_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in definitions, on a net so small that 50 trials take seconds."""
    tiny = {}
    for name, text in definition_file.builtin_definitions().items():
        sections = tomllib.loads(text)
        for setting in [*TINY, "search.num_pruner_warmup_steps=2"]:
            section, key, value = definition_file.parse_setting(setting)
            sections.setdefault(section, {})[key] = value
        tiny[name] = tomlkit.dumps(sections)
    monkeypatch.setattr(definition_file, "builtin_definitions", lambda: tiny)


def run_page(page: str, invoke: Callable[..., Outcome]) -> set[str]:
    """Type all commands of a page; the names of those that are ours."""
    ran = set()
    for line in commands(page):
        words = shlex.split(line.split("&&")[-1])
        if words[0] in ("pip", "pytest"):
            continue
        assert words[0] == "cvfp-opt", line
        target = None
        if ">" in words:
            target = words[words.index(">") + 1]
            words = words[: words.index(">")]
        outcome = invoke(*words[1:])
        # a check may fail on a net this small; that is a result
        allowed = {0, 1} if words[1] == "verify" else {0}
        assert outcome.code in allowed, f"{line}\n{outcome.err}"
        assert "Error" not in outcome.err
        if target is not None:
            Path(target).write_text(outcome.out)
        ran.add(words[1])
    return ran


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dashboard's, which would run for ever, on a port that may be in use."""
    monkeypatch.setattr("waitress.server.BaseWSGIServer.run", lambda self: None)
    anywhere = "cvfp_opt.report.dashboard.server.Address.bind"
    monkeypatch.setattr(anywhere, lambda self: socket.create_server((self.host, 0)))


def test_every_command_of_the_readme_runs(
    invoke: Callable[..., Outcome], tiny_definitions: None, no_server: None
) -> None:
    ran = {"run", "report", "dashboard", "trial", "confirm", "best", "study"}
    assert run_page("README.md", invoke) == ran
    listed = invoke("list").out
    assert re.search(r"^recommended +\d+ +\d+ +0 +0 +0", listed, flags=re.MULTILINE)


def test_every_command_of_the_page_on_searching_runs(
    invoke: Callable[..., Outcome], tiny_definitions: None
) -> None:
    Path("my-text.txt").write_text(" ".join(f"some words, number {i}." for i in range(200)))
    looking = {"list", "status", "best", "thresholds"}
    assert run_page("docs/searching.md", invoke) == {"run", *looking}


def test_every_command_of_the_page_on_single_runs_runs(
    invoke: Callable[..., Outcome], tiny_definitions: None
) -> None:
    ran = {"train", "verify", "thresholds", "reproduce"}
    assert run_page("docs/single-runs.md", invoke) == ran


def test_every_command_of_the_page_on_studies_runs(
    invoke: Callable[..., Outcome], tiny_definitions: None
) -> None:
    assert run_page("docs/studies.md", invoke) == {"run", "study", "trial"}
    listed = invoke("list").out
    assert re.search(r"^quick +\d+ +\d+ +1 +0 +0", listed, flags=re.MULTILINE)
    assert "narrow" not in listed


def test_every_command_of_the_page_on_drift_runs(
    invoke: Callable[..., Outcome], tiny_definitions: None
) -> None:
    assert run_page("docs/drift.md", invoke) == {"run", "status"}
    status = invoke("status").out
    assert "; 2-3: torch " in status
    assert "drift allowed in training.num_epochs" in status


def test_every_command_of_the_page_on_handing_on_runs(
    invoke: Callable[..., Outcome], tiny_definitions: None
) -> None:
    assert run_page("docs/handing-on.md", invoke) == {"run", "best", "study", "status"}
    assert {path.name for path in Path().iterdir()} == {"storage", "winner", "second"}


def test_every_command_of_the_page_on_reports_runs(
    invoke: Callable[..., Outcome], tiny_definitions: None
) -> None:
    assert run_page("docs/report.md", invoke) == {"run", "report", "plot", "compare"}
    for name in ("report.html", "both.html", "pareto.html", "history.html"):
        assert Path(name).stat().st_size < 6 * 2**20
    text = (REPOSITORY / "docs" / "report.md").read_text()
    assert all(f"| `{kind}` |" in text for kind in KINDS)


def test_every_command_of_the_page_on_belief_runs(
    invoke: Callable[..., Outcome], tiny_definitions: None
) -> None:
    assert run_page("docs/belief.md", invoke) == {"run", "trial", "confirm", "best"}
    assert invoke("best").out.startswith("on 5 fresh seeds: trial ")


def test_every_command_of_the_page_on_the_dashboard_runs(
    invoke: Callable[..., Outcome], tiny_definitions: None, no_server: None
) -> None:
    assert run_page("docs/dashboard.md", invoke) == {"run", "dashboard"}


def command_names(group: click.Group = cli, before: str = "") -> list[str]:
    """All commands there are, as they are typed."""
    names = []
    for name, command in group.commands.items():
        full = f"{before}{name}"
        names += command_names(command, f"{full} ") if isinstance(command, click.Group) else [full]
    return names


def test_every_command_is_typed_in_some_page() -> None:
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    typed = "\n".join(page.read_text() for page in pages)
    assert [name for name in command_names() if f"cvfp-opt {name}" not in typed] == []


def test_the_set_up_commands_are_the_promised_ones() -> None:
    text = (REPOSITORY / "README.md").read_text()
    assert "pip install -e . && cvfp-opt run --n-trials 50\n" in text
    assert "pip install -e '.[test]' && pytest\n" in text
    assert "pip install -e '.[test]' && pytest\n" in (REPOSITORY / ".ci" / "run").read_text()


def test_every_definition_is_in_its_page_and_in_the_help(invoke: Callable[..., Outcome]) -> None:
    text = (REPOSITORY / "docs" / "searching.md").read_text()
    helped = invoke("run", "--help").out
    for name in definition_file.builtin_definitions():
        assert f"`{name}`" in text
        assert name in helped
