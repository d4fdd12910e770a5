"""What a reader of a narrow terminal sees: whole figures, whole words, lines that fit."""

import io
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from known_studies import STUDIES, complete, point, study
from rich.cells import cell_len
from rich.console import Console
from support import TINY, Outcome

from cvfp_opt.api.display.console import PlainConsole
from cvfp_opt.api.display.search import RunDisplay
from cvfp_opt.api.display.training import TrainingTable
from cvfp_opt.cli import main
from cvfp_opt.report.confirmation import confirmation_of
from cvfp_opt.report.confirmation_words import confirmation_lines, confirmation_table
from cvfp_opt.report.fitted import wrapped
from cvfp_opt.report.tables import checks_table, probe_table
from cvfp_opt.report.watch import WatchView
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.queue_entry import QueueEntry
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.training.events import IterationFinished, IterationTrained, Phase, Progress
from cvfp_opt.training.result import IterationMetrics
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition

WIDTHS = (60, 80, 100, 120, 200)
Invoke = Callable[..., Outcome]
# So wide that nothing is left out or goes on in a next line.
ENDLESS = 2000
# Escapes of a terminal; times, and pictures made of characters.
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
DRAWN = re.compile(r"\d\d:\d\d:\d\d|[━╸╺─▁▂▃▄▅▆▇█#-]+")
# What only a narrow terminal is told.
SAID = {"no", "room", "for", "and", "more", "\\"}

DEFINITION = resolve_definition(read_sections("quick"), TINY, where="quick")
METRICS = IterationMetrics(
    iteration=3,
    convergence_rate=0.98765,
    effective_rank=0.8765,
    score=0.932,
    validation_convergence_rate=0.91234,
    validation_effective_rank=0.8123,
    validation_score=0.862,
    residual=0.012345,
    weight=0.85,
    learning_rate=0.00123,
    cvfp_loss=12.3456,
    diversity_loss=-123.4567,
)


class Terminal(io.StringIO):
    """A file that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def known(name: str) -> Summary:
    """A study of which all is known, among them what runs and how many are wanted."""
    summary = STUDIES[name]()
    running = TrialRecord(
        number=len(summary.trials), state="running", params=point(0.123), started=time.time() - 9
    )
    running = replace(running, reported={0: 0.41234}, iterations=[{}])
    trials = [
        replace(t, started=10.0 * t.number, completed=10.0 * t.number + 9) for t in summary.trials
    ]
    return replace(summary, trials=[*trials, running], queue=QueueEntry(total=50))


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find the known studies by their names."""

    @contextmanager
    def open_study(location: object, name: str, *words: Any) -> Iterator[Callable[[], Summary]]:
        yield lambda: known(name)

    monkeypatch.setattr("cvfp_opt.api.opening.open_study", open_study)
    monkeypatch.setattr("cvfp_opt.cli.show.open_study", open_study)


def command(width: int, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """Run a command on a terminal, and return what it printed."""
    with monkeypatch.context() as patch:
        shown = Terminal()
        patch.setattr(sys, "argv", ["cvfp-opt", *words])
        patch.setattr(sys, "stdout", shown)
        patch.setattr(sys, "stderr", shown)
        patch.setenv("COLUMNS", str(width))
        patch.setenv("LINES", "50")
        patch.setenv("TERM", "xterm")
        patch.delenv("NO_COLOR", raising=False)
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code in (0, 1, 2), shown.getvalue()
    return shown.getvalue()


def console(width: int) -> PlainConsole:
    return PlainConsole(
        file=Terminal(), width=width, height=50, force_terminal=True, markup=False, highlight=False
    )


def printed(on: Console) -> str:
    assert isinstance(on.file, Terminal)
    return on.file.getvalue()


def live(width: int) -> str:
    """A search while it runs: its bars at several times, and the lines of ended trials."""
    on = console(width)
    display = RunDisplay(on, DEFINITION, total=50, processes=2)
    best = known("small").best
    for number in (8, 9):
        display.trial_started(number, point(0.234))
        on.print(display.bars())
        display.trial_event(number, Progress(iteration=3, phase=Phase.BASELINE, done=1, total=2))
        display.trial_event(number, IterationFinished(metrics=METRICS))
        display.trial_event(number, Progress(iteration=3, phase=Phase.TRAINING, done=1, total=2))
        on.print(display.bars())
    for trial in known("small").trials[:6]:
        display.trial_finished(trial, StudyProgress(finished=trial.number + 1, best=best))
        on.print(display.bars())
    return printed(on)


def end(width: int) -> str:
    """What a search prints at its end."""
    on = console(width)
    display = RunDisplay(on, DEFINITION, total=50, processes=2)
    location = resolve_location("sqlite:///some/folder/studies.db")
    display.summary(known("small"), location)
    display.stopped(known("confirmed"), location)
    return printed(on)


def watched(width: int) -> str:
    on = console(width)
    for name in ("empty", "confirmed"):
        view = WatchView(known(name))
        view.seen = 0.0
        on.print(view)
    return printed(on)


def training(width: int) -> str:
    on = console(width)
    table = TrainingTable(on, DEFINITION, notices=False)
    table.observe(Progress(iteration=3, phase=Phase.BASELINE, done=1, total=2))
    on.print(table.bars())
    table.observe(IterationFinished(metrics=METRICS))
    table.observe(IterationTrained(metrics=METRICS))
    return printed(on)


def confirmation(width: int) -> str:
    on = console(width)
    found = confirmation_of(known("confirmed"))
    assert found is not None
    on.print(confirmation_table(found))
    for line in confirmation_lines(found):
        for one in wrapped(line, width):
            on.print(one, soft_wrap=True)
    return printed(on)


def checks(width: int) -> str:
    on = console(width)
    one = {
        "name": "converged tokens",
        "split": "validation text",
        "shown": "98.7%",
        "limit": "at least 95.0%",
        "passed": True,
        "meaning": "tokens whose context moves less than 0.1 between two reads",
    }
    on.print(checks_table([one, one | {"passed": False, "name": "effective rank"}]))
    kinds = [f"{t}_{k}" for k in ("perplexity", "accuracy") for t in ("train", "held_out")]
    probe = dict.fromkeys(kinds, 0.51234)
    features = {"features": "contexts of the untrained net", "probes": [probe, probe]}
    on.print(probe_table([features]))
    return printed(on)


SCREENS: dict[str, Callable[[int], str]] = {
    "run": live,
    "the end of run": end,
    "status --watch": watched,
    "train": training,
    "verify": checks,
    "confirm": confirmation,
}
COMMANDS: dict[str, list[str]] = {
    "status": ["status", "confirmed"],
    "best": ["best", "confirmed"],
    "best --combiners": ["best", "small", "--combiners"],
    "plot": ["plot", "confirmed", "--kind", "confirmation"],
    "compare": ["compare", "small", "confirmed"],
    "thresholds": ["thresholds", "small"],
    "trial show": ["trial", "show", "1", "small"],
    "trial show, running": ["trial", "show", "7", "small"],
    "trial list": ["trial", "list", "small"],
    "trial list, another program's": ["trial", "list", "foreign"],
    "study show": ["study", "show", "confirmed"],
    "study show, another program's": ["study", "show", "foreign"],
}
# What they refuse, on a database of one study that waits for somebody to run it.
ERRORS: dict[str, tuple[str, list[str]]] = {
    "nobody to be asked": ("to delete it, type `cvfp-opt study", ["study", "delete", "known"]),
    "no complete trial": ("at least one complete trial is required", ["best", "known"]),
    "no such trial": ("it has no trial yet", ["trial", "show", "99", "known"]),
    "no such study": ("did you mean", ["status", "knwon"]),
    "a wrong value": ("Invalid value for 'N'", ["trial", "show", "first", "known"]),
    "no such option": ("No such option", ["best", "known", "--tomll"]),
}
FAR = "a/folder/that/lies/far/away"


def words_of(text: str) -> list[str]:
    """The words and figures, without pictures and the marks around them."""
    words = DRAWN.sub(" ", ESCAPES.sub("", text)).split()
    return [word.strip(",") for word in words]


def commands_of(text: str) -> list[str]:
    """The commands in backticks, each with its line feeds, if a shell takes them for none."""
    joined = re.sub(r" \\\n +", " ", ESCAPES.sub("", text))
    return re.findall(r"`[^`]+`", joined)


def check(narrow: str, wide: str, width: int) -> None:
    """Refuse lines that are too long, cut figures, broken words and broken commands."""
    assert commands_of(narrow) == commands_of(wide)
    assert "…" not in narrow
    for line in ESCAPES.sub("", narrow).splitlines():
        assert cell_len(line.rstrip()) <= width or len(line.split()) == 1, line
    shown = re.sub(r"no room for [^;]*;\s+--csv\s+has\s+all\s+columns", "", narrow)
    broken = set(words_of(shown)) - set(words_of(wide)) - SAID
    assert not broken


@pytest.mark.parametrize("name", SCREENS)
def test_no_figure_is_cut_and_no_word_is_broken_on(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    wide = SCREENS[name](ENDLESS)
    for width in WIDTHS:
        check(SCREENS[name](width), wide, width)


@pytest.mark.usefixtures("look")
@pytest.mark.parametrize("name", COMMANDS)
def test_no_figure_is_cut_and_no_word_is_broken_by(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = COMMANDS[name]
    wide = command(ENDLESS, monkeypatch, *words)
    assert len(words_of(wide)) > 20
    for width in WIDTHS:
        check(command(width, monkeypatch, *words), wide, width)


@pytest.mark.parametrize("name", ERRORS)
def test_no_command_is_broken_by_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    says, words = ERRORS[name]
    Path(FAR).mkdir(parents=True)
    optuna.create_study(study_name="known", storage=f"sqlite:///{FAR}/studies.db")
    words = [*words, "--storage", f"{FAR}/studies.db"]
    wide = command(ENDLESS, monkeypatch, *words)
    assert says in wide
    for width in WIDTHS:
        narrow = command(width, monkeypatch, *words)
        check(narrow, wide, width)
        assert max(map(cell_len, wide.splitlines())) <= width or len(narrow) > len(wide)


def test_an_error_is_one_line_where_nobody_looks(invoke: Invoke) -> None:
    refused = invoke("study", "delete", "a name " * 20, "--storage", f"{FAR}/studies.db")
    assert refused.code == 1
    assert len(refused.err.splitlines()) == 1
    assert len(refused.err) > 120


def test_no_finding_of_the_doctor_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    made = optuna.create_study(study_name="known", storage="sqlite:///known.db")
    for key, value in study().user_attrs.items():
        made.set_user_attr(key, value)
    made.add_trials([complete(0.2, 0.2, 0.95), complete(0.4, 0.98, 0.9)])
    made.ask()  # it runs, and nobody has a lease on it
    words = ("study", "doctor", "--storage", "known.db")
    wide = command(ENDLESS, monkeypatch, *words)
    assert len(words_of(wide)) > 20
    for width in WIDTHS:
        check(command(width, monkeypatch, *words), wide, width)
