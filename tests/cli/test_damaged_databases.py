"""Damaged databases and attributes of other programs: one line each, and never a bug of ours."""

import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from damaging import KINDS
from support import REPOSITORY, Outcome

from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.queue.confirmation_runs import add_runs, enter_confirmation
from cvfp_opt.store.record.confirmation import ConfirmationPoint
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.studies import load_study

pytestmark = pytest.mark.usefixtures("figures")
Invoke = Callable[..., Outcome]

NAME = "quick"
SECONDS = 60
# They change nothing, whatever they find.
READING = (
    *(("status", "--study-name", NAME), ("status", "--study-name", NAME, "--json")),
    *(("list",), ("list", "--json"), ("study", "show", NAME), ("study", "show", NAME, "--json")),
    *(("best", "--study-name", NAME), ("best", "--study-name", NAME, "--toml")),
    ("best", "--study-name", NAME, "--combiners"),
    *(("trial", "show", str(n), "--study-name", NAME) for n in (0, 2)),
    *(("thresholds", "--study-name", NAME), ("report", NAME, "-o", "out.html")),
    *(("plot", NAME, "--kind", "history", "-o", "out.html"),),
    *(("compare", NAME, NAME), ("study", "export", NAME, "-o", "out.zip")),
    ("study", "copy", NAME, "--to", "copy.db"),
    *(("study", "doctor"), ("study", "doctor", "--json")),
)  # fmt: skip
WRITING = (
    ("study", "doctor", "--repair"),
    ("trial", "enqueue", "--study-name", NAME, "--set", "dist_reg_weight=0.5"),
    ("trial", "enqueue", "--study-name", NAME, "--retry", "0"),
    ("trial", "fail", "3", "--study-name", NAME),
    ("study", "rename", NAME, "other"),
    ("study", "merge", NAME, NAME, "-o", "both"),
    ("study", "delete", NAME, "--yes"),
)
RUNNING = (
    ("run", "--study-name", NAME, "--n-trials", "5", "--n-jobs", "1", "--threads", "1"),
    ("trial", "replay", "0", "--study-name", NAME, "--threads", "1"),
)


class Hangs(BaseException):
    """A command takes longer than any should."""


@pytest.fixture
def base(isolated_folder: Path) -> Path:
    """A study of an older version with a confirmation, three trials and one that waits."""
    path = isolated_folder / "base.db"
    shutil.copy(REPOSITORY / "tests" / "fixtures" / "format-2" / "study.db", path)
    with open_for_search(resolve_location(str(path))) as store:
        study = load_study(store, NAME)
        record = StudyRecord.of(study)
        assert record is not None
        confirmation = enter_confirmation(store, NAME, record.identity, record)
        points = [ConfirmationPoint(key="default", params={"dist_reg_weight": 0.5})]
        add_runs(store, confirmation, points, 2, seed=record.seed)
    return path


@pytest.fixture
def bell() -> Iterator[None]:
    """Ends a command that hangs."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Fuzzer:
    """Damages a copy of a database again and again, and tries commands on it."""

    def __init__(self, base: Path, invoke: Invoke, kind: str, seed: int) -> None:
        self._base, self._invoke, self._damage = base, invoke, KINDS[kind]
        self._chance = random.Random(f"{kind} {seed}")

    def try_once(self, reading: int, *others: tuple[str, ...]) -> None:
        """Try so many commands that read, and others after them."""
        path = self._base.with_name("x.db")
        for left in self._base.parent.iterdir():
            if left != self._base:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        shutil.copy(self._base, path)
        done = self._damage(path, self._chance)
        for words in self._chance.sample(READING, reading):
            before = path.read_bytes()
            self._try(words, done)
            assert path.read_bytes() == before, (words, done)
        for words in others:
            self._try(words, done)

    def one_of(self, commands: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
        return self._chance.choice(commands)

    def _try(self, words: tuple[str, ...], done: str) -> None:
        signal.alarm(SECONDS)
        try:
            outcome = self._invoke(*words, "--storage", "x.db")
        finally:
            signal.alarm(0)
        assert outcome.code in (0, 1), (words, done, outcome.err)
        # another processor may give other bits than the one that made the study
        is_answer = words[:2] == ("study", "doctor") or "not identical (" in outcome.out
        if outcome.code == 1 and not is_answer:
            assert "Error: " in outcome.err, (words, done)
        written = {path.name for path in self._base.parent.glob("out.*")}
        if outcome.code and "-o" in words:
            assert not written, (words, done)
        for name in written:
            Path(name).unlink()
        hidden = [p.name for p in self._base.parent.iterdir() if p.suffix in (".tmp", ".part")]
        assert hidden == [], (words, done)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("bell")
@pytest.mark.filterwarnings("ignore")  # of Optuna and rich, over what they are given
def test_a_few_damaged_databases(kind: str, base: Path, invoke: Invoke) -> None:
    fuzzer = Fuzzer(base, invoke, kind, 1)
    for _ in range(10):
        fuzzer.try_once(2, fuzzer.one_of(WRITING))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.usefixtures("bell")
@pytest.mark.filterwarnings("ignore")
def test_a_hundred_damaged_databases(kind: str, seed: int, base: Path, invoke: Invoke) -> None:
    fuzzer = Fuzzer(base, invoke, kind, 100 + seed)
    for place in range(100):
        others = [fuzzer.one_of(WRITING)]
        if place % 5 == 0:
            others.insert(0, fuzzer.one_of(RUNNING))
        fuzzer.try_once(5, *others)
