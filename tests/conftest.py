"""What all tests share: an isolated folder, small studies, the command line in process."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import schemas
from alembic.config import Config
from alembic.script import ScriptDirectory
from databases import KINDS, copy_tables, drop_databases, empty_database, fresh_database
from processes import Process
from support import REPOSITORY, TINY_ARGUMENTS, Outcome, Start, start_cvfp_opt

from cvfp_opt.store.database import kinds
from cvfp_opt.store.database.location import Location

REAL_STORAGE = str(REPOSITORY / "storage") + os.sep


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "sqlite3.connect") and str(arguments[0]).startswith(REAL_STORAGE):
        raise AssertionError(f"a test touched the real storage folder: {arguments[0]}")


sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def isolated_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder, with no setting from outside."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("CVFP_OPT_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture(autouse=True)
def one_processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread and, where a test does not ask for more, one worker."""
    import torch

    monkeypatch.setattr("cvfp_opt.training.device.available_threads", lambda: 1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def verbosity_of_optuna() -> Iterator[None]:
    """Check that what is tested leaves Optuna as talkative as it was: users' scripts go on."""
    before = optuna.logging.get_verbosity()
    yield
    assert optuna.logging.get_verbosity() == before


@pytest.fixture(autouse=True)
def tables_from_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a new SQLite file begin as a copy of one with all tables, see ``databases``."""
    copied = replace(kinds.KINDS["sqlite"], create=copy_tables)
    monkeypatch.setitem(kinds.KINDS, "sqlite", copied)  # type: ignore[arg-type]


@pytest.fixture(scope="session", autouse=True)
def schema_history() -> Iterator[None]:
    """Let Optuna read the history of its schema once, and not whenever a database is opened."""
    read = ScriptDirectory.from_config
    known: list[ScriptDirectory] = []

    def read_once(config: Config) -> ScriptDirectory:
        if not known:
            known.append(read(config))
        return known[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", read_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def dropped_databases() -> Iterator[None]:
    """Drop the servers' databases that the tests have shared."""
    yield
    drop_databases()


@pytest.fixture(params=KINDS)
def location(request: pytest.FixtureRequest) -> Iterator[Location]:
    """A database of each kind in turn, with all tables and no studies."""
    with fresh_database(request.param) as found:
        yield found


@pytest.fixture(params=KINDS)
def empty_location(request: pytest.FixtureRequest) -> Iterator[Location]:
    """A database of each kind in turn without any tables."""
    with empty_database(request.param) as found:
        yield found


@pytest.fixture
def figures() -> None:
    """Let the commands of a test draw the figures of a study's page; see ``no_figures``."""


@pytest.fixture
def no_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a search from drawing its study's page, which takes as long as all the rest of it."""
    if "figures" not in request.fixturenames:
        monkeypatch.setattr("cvfp_opt.report.dashboard.page.drawings", dict)


@pytest.fixture
def invoke(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_figures: None,
) -> Callable[..., Outcome]:
    """Run ``cvfp-opt WORDS...`` in this process, through its real entry point."""
    from cvfp_opt.cli import main

    def run(*words: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["cvfp-opt", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        schemas.check(words, printed.out)
        return Outcome(code=int(exit_.value.code or 0), out=printed.out, err=printed.err)

    return run


@pytest.fixture
def run_tiny(invoke: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """``cvfp-opt run quick`` on a tiny net, with further words."""

    def run(*words: str) -> Outcome:
        outcome = invoke("run", "quick", *TINY_ARGUMENTS, "--threads", "1", *words)
        assert outcome.code == 0, outcome.err
        return outcome

    return run


@pytest.fixture
def start() -> Iterator[Start]:
    """``start_cvfp_opt``, with every process and its children ended after the test."""
    started: list[Process] = []

    def run(*words: str, cwd: Path) -> Process:
        started.append(start_cvfp_opt(*words, cwd=cwd))
        return started[-1]

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
