"""Whatever standard output is, a command ends as it should, and says what was lost."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from running import DATABASE
from support import TINY_ARGUMENTS, Outcome
from terminals import Case, Ended, Terminals

NAME = "naïve 研😀"
OF = ["--study-name", NAME]
RUN = ["run", "quick", *TINY_ARGUMENTS, "--threads", "1", "--n-trials", "1"]


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Terminals:
    """Commands in a folder with a study whose name no old terminal can spell."""
    folder = tmp_path_factory.mktemp("terminals")
    (folder / "storage").mkdir()
    found = Terminals(folder)
    assert found.run(Case(words=[*RUN, "--study-name", NAME])).code == 0
    return found


READING = (
    ["list"],
    ["status"],
    ["best", "--json"],
    ["best", "--toml"],
    ["plot", "--kind", "history"],
)


def test_what_cannot_be_written_is_told_and_no_bug(console: Terminals) -> None:
    for words, (out, says) in itertools.product(
        READING, (("full", "No space left"), ("closed", "it is closed"), ("pipe", ""))
    ):
        ended = console.run(Case(words=words, out=out))
        assert ended.code == 1
        assert says in ended.text
        assert len(ended.text.splitlines()) <= 1
    for out, err in itertools.product(("full", "closed", "pipe"), repeat=2):
        assert console.run(Case(words=["list"], out=out, err=err)).code == 1
    assert console.run(Case(words=["list"], err="closed")).code == 0


def test_characters_that_an_encoding_lacks_are_replaced(console: Terminals) -> None:
    for words, encoding in itertools.product(READING, ("ascii", "latin-1", "utf-16")):
        ended = console.run(Case(words=words, encoding=encoding))
        assert ended.code == 0, ended.text
        assert ended.out


def test_a_definition_is_utf_8_on_every_terminal(console: Terminals) -> None:
    in_utf_8 = console.run(Case(words=READING[-1]))
    assert console.run(Case(words=READING[-1], encoding="latin-1")).out == in_utf_8.out


def test_a_search_ends_whole_where_its_output_goes_nowhere(console: Terminals) -> None:
    def search(name: str, **streams: str) -> tuple[Ended, list[str]]:
        ended = console.run(Case(words=[*RUN, "--study-name", name], **streams))
        study = optuna.load_study(
            study_name=name, storage=f"sqlite:///{console.folder / DATABASE}"
        )
        return ended, [trial.state.name for trial in study.trials]

    ended, found = search("full", out="full")
    assert (ended.code, found) == (1, ["COMPLETE"])
    assert "Traceback" not in ended.text
    # the next file to be opened must not be standard output: here, the database
    ended, found = search("closed", out="closed", err="closed")
    assert (ended.code, found) == (1, ["COMPLETE"])
    ended, found = search("ascii", encoding="ascii")
    assert (ended.code, found) == (0, ["COMPLETE"])
    ended, found = search("pipe", out="pipe")  # as `| head`: stops, and gives the trial back
    assert (ended.code, ended.err, len(found)) == (1, b"", 1)
    assert found[0] in ("COMPLETE", "WAITING")


def test_a_process_that_was_started_without_streams(isolated_folder: Path) -> None:
    words = [sys.executable, "-m", "cvfp_opt", "--version"]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], check=False)
    assert done.returncode == 1


def test_watching_ends_with_whoever_watched(console: Terminals) -> None:
    ended = console.run(Case(words=["status", *OF, "--watch", "30"], out="pipe"))
    assert ended.code == 1
    assert ended.err == b""


def test_a_removed_current_folder_is_named(console: Terminals) -> None:
    for words in (["list"], ["run", "quick"], ["train", "quick"]):
        ended = console.run(Case(words=words, gone=True))
        assert ended.code == 1
        assert ended.text.startswith("Error: the current folder: cannot be used")


@pytest.mark.parametrize("word", ["caf\udce9", "a\0b"])
def test_an_argument_that_is_no_text_is_refused(invoke: Callable[..., Outcome], word: str) -> None:
    for words in (["list", "--storage"], ["status", "--study-name"], ["report", "-o"]):
        outcome = invoke(*words, word)
        assert outcome.code == 2
        assert "UTF-8 text is required" in outcome.err
        assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device", "x.db"), "x.db: the system refuses: No space"),
        (MemoryError(), "memory of this machine or device does not suffice"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "does not suffice"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates"), r"'caf\udce9': UTF-8"),
    ],
)
def test_what_others_did_is_no_bug(
    invoke: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    says: str,
) -> None:
    def fail(*words: object) -> None:
        raise error

    monkeypatch.setattr("cvfp_opt.store.database.location.resolve_location", fail)
    outcome = invoke("list")
    assert outcome.code == 1
    assert says in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_the_account_of_a_bug_is_written_whatever_it_says(
    invoke: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, isolated_folder: Path
) -> None:
    def fail(*words: object) -> None:
        raise RuntimeError("a name like caf\udce9, 研 and \x1b[2J")

    monkeypatch.setattr("cvfp_opt.store.database.location.resolve_location", fail)
    assert invoke("list").code == 3
    [log] = (isolated_folder / "storage" / "logs").iterdir()
    assert r"caf\udce9, 研" in log.read_text(encoding="utf-8")
