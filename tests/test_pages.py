"""The blocks of all pages run, in their order, in one folder; links lead somewhere."""

import re
import socket
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pages
import pytest
import tomlkit
from support import REPOSITORY, TINY, Outcome
from typist import Typist, fits, forget_modules

from cvfp_opt.cli import cli
from cvfp_opt.report.figures.kinds import KINDS
from cvfp_opt.tuning import definition_file

RUNNING = [page for page in pages.PAGES if any(block.runs for block in pages.blocks(page))]
# They show what a study's page looks like in the dashboard.
DRAWN = ("README.md", "docs/dashboard.md")
# At its true size: half a minute of computing.
LONG = ("docs/tutorial.md",)
Invoke = Callable[..., Outcome]


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


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dashboard's, which would run for ever, on a port that may be in use."""
    monkeypatch.setattr("waitress.server.BaseWSGIServer.run", lambda self: None)
    anywhere = "cvfp_opt.report.dashboard.server.Address.bind"
    monkeypatch.setattr(anywhere, lambda self: socket.create_server((self.host, 0)))


@pytest.fixture
def type_page(
    invoke: Invoke, tiny_definitions: None, no_server: None
) -> Iterator[Callable[[str], None]]:
    """Type all blocks of a page that run, and look at what it leaves."""

    def run(page: str) -> None:
        Typist(invoke).type_page(page)
        AFTER.get(page, lambda invoke: None)(invoke)

    yield run
    forget_modules()


def after_the_readme(invoke: Invoke) -> None:
    assert re.search(
        r"^recommended +\d+ +\d+ +\d+ +0 +0 +0", invoke("list").out, flags=re.MULTILINE
    )


def after_studies(invoke: Invoke) -> None:
    listed = invoke("list").out
    assert re.search(r"^quick +\d+ +\d+ +\d+ +1 +0 +0", listed, flags=re.MULTILINE)
    assert "narrow" not in listed


def after_drift(invoke: Invoke) -> None:
    status = invoke("status").out
    assert "; 2-3: torch " in status
    assert "drift allowed in training.num_epochs" in status


def after_handing_on(invoke: Invoke) -> None:
    assert {path.name for path in Path().iterdir()} == {"storage", "winner", "second"}


def after_reports(invoke: Invoke) -> None:
    for name in ("report.html", "both.html", "pareto.html", "history.html"):
        assert Path(name).stat().st_size < 6 * 2**20
    assert all(f"| `{kind}` |" in pages.text_of("docs/report.md") for kind in KINDS)


def after_belief(invoke: Invoke) -> None:
    assert invoke("best").out.startswith("on 5 fresh seeds: trial ")


AFTER: dict[str, Callable[[Invoke], None]] = {
    "README.md": after_the_readme,
    "docs/belief.md": after_belief,
    "docs/drift.md": after_drift,
    "docs/handing-on.md": after_handing_on,
    "docs/report.md": after_reports,
    "docs/studies.md": after_studies,
}


@pytest.mark.parametrize("page", [page for page in RUNNING if page not in DRAWN + LONG])
def test_the_blocks_of_a_page_run(page: str, type_page: Callable[[str], None]) -> None:
    type_page(page)


@pytest.mark.processes
@pytest.mark.parametrize("page", LONG)
def test_the_blocks_of_a_long_page_run(page: str, type_page: Callable[[str], None]) -> None:
    type_page(page)


@pytest.mark.parametrize("page", DRAWN)
def test_the_blocks_of_a_page_run_that_speaks_of_figures(
    page: str, figures: None, type_page: Callable[[str], None]
) -> None:
    type_page(page)


@pytest.mark.parametrize("page", pages.PAGES)
def test_what_a_page_types_is_understood(page: str) -> None:
    """Also what does not run: on other machines, for an hour, or in a sentence."""
    lines = [
        line
        for block in pages.blocks(page)
        if block.language in ("console", "sh")
        for line, _ in block.steps
    ]
    typed = [words for line in lines for words in pages.commands(line)]
    assert {" ".join(words): pages.refused(words) for words in typed if pages.refused(words)} == {}


@pytest.mark.parametrize("page", pages.PAGES)
def test_each_mark_is_of_a_block_and_says_why(page: str) -> None:
    marks = [mark for block in pages.blocks(page) for mark in block.marks.items()]
    assert all(said for name, said in marks if name != "printed")
    text = pages.without_blocks(page)
    comments = re.findall(r"^<!-- [a-z].*?-->\n+(?=```)", text, flags=re.MULTILINE | re.DOTALL)
    assert len(comments) == len(marks)


@pytest.mark.parametrize("page", pages.PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    broken = []
    for link in pages.links(page):
        path, _, anchor = link.partition("#")
        target = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        if not target.exists() or (anchor and anchor not in pages.anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_in_the_index() -> None:
    named = {link.partition("#")[0] for link in pages.links("docs/README.md")}
    there = {page.removeprefix("docs/") for page in pages.PAGES if page.startswith("docs/")}
    assert there - {"README.md"} - named == set()


def command_names(group: click.Group = cli, before: str = "") -> list[str]:
    """All commands there are, as they are typed."""
    names = []
    for name, command in group.commands.items():
        full = f"{before}{name}"
        names += command_names(command, f"{full} ") if isinstance(command, click.Group) else [full]
    return names


def test_every_command_is_typed_in_some_page() -> None:
    written = set(pages.PAGES) - {"docs/cli.md"}  # made from the commands
    typed = "\n".join(map(pages.text_of, written))
    assert [name for name in command_names() if f"cvfp-opt {name}" not in typed] == []


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ("a b\n", "a   b\n", True),
        ("score ...\n", "score 0.75\n", True),
        ("first\n...\nlast\n", "first\nx\ny\nlast\n", True),
        ("first\n...\nlast\n", "first\nlast\n", True),
        ("first\n", "first\nlast\n", False),
        ("score 0.7\n", "score 0.75\n", False),
    ],
)
def test_dots_stand_for_anything(shown: str, printed: str, expected: bool) -> None:
    assert fits(shown, printed) is expected


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("cvfp-opt run quick --n-trials 3", ""),
        ("cvfp-opt --version", ""),
        ("cvfp-opt run quick --ntrials 3", "No such option"),
        ("cvfp-opt ran quick", "No such command"),
        ("cvfp-opt study exprot quick", "No such command"),
        ("cvfp-opt trial show", "Missing argument"),
    ],
)
def test_a_mistyped_command_is_found(line: str, refusal: str) -> None:
    [words] = pages.commands(line)
    found = pages.refused(words)
    assert found.startswith(refusal) if refusal else found == ""
