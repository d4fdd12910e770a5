"""The progress that `run` draws when several trials run at once."""

import io
import time
from typing import Any

import pytest
from rich.console import Console
from support import TINY

from cvfp_opt.api.display.search import RunDisplay, shares_words
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.training.events import Phase, Progress
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition

PARAMS = {
    "dist_reg_weight": 0.853,
    "phase1_learning_rate": 0.000596,
    "phase1_convergence_threshold": 0.0519,
    "layernorm_mix": 0.933,
}


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)


def make_display(console: Console, total: int, processes: int) -> RunDisplay:
    return RunDisplay(
        console, resolve_definition(read_sections("quick"), TINY, where="quick"), total, processes
    )


def drawn(display: RunDisplay, console: Console) -> list[str]:
    """The bars as they stand now."""
    with console.capture() as capture:
        console.print(display._bars.get_renderable())
    return capture.get().splitlines()


def finish(display: RunDisplay, number: int, **values: Any) -> None:
    record = TrialRecord(number=number, state="pruned", status="pruned", **values)
    display.trial_finished(record, StudyProgress(finished=1, best=None))


def test_each_running_trial_has_a_bar_of_one_line_at_80_columns(console: Console) -> None:
    display = make_display(console, total=50, processes=2)
    display.trial_started(10, PARAMS)
    display.trial_started(11, PARAMS)
    display.trial_event(11, Progress(iteration=2, phase=Phase.BASELINE, done=1, total=2))
    lines = drawn(display, console)
    assert [line.split()[:2] for line in lines[1:]] == [["trial", "10"], ["trial", "11"]]
    assert "iteration 3/4  untrained baseline" in lines[2]
    assert all(len(line.rstrip()) <= 80 for line in lines)
    finish(display, 10)
    assert [line.split()[0:2] for line in drawn(display, console)[1:]] == [["trial", "11"]]
    # its process died: another one begins it again
    display.trial_started(11, PARAMS)
    assert len(drawn(display, console)) == 2


@pytest.mark.parametrize(
    ("processes", "total", "left"),
    [(1, 11, "1 min 40 s"), (4, 11, "25.0 s"), (4, 3, "10.0 s"), (4, 1, "0.0 s")],
)
def test_the_time_left_counts_the_processes(
    processes: int, total: int, left: str, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    display = make_display(console, total, processes)
    display.trial_started(0, {})
    monkeypatch.setattr(time, "monotonic", lambda: 10.0)
    finish(display, 0)
    assert f"1/{total}  {left} left" in drawn(display, console)[0]


@pytest.mark.parametrize(
    ("processes", "lanes", "threads", "words"),
    [
        (1, 1, 1, " with 1 thread"),
        (1, 1, 4, " with 4 threads"),
        (2, 1, 1, ", 2 processes of 1 thread"),
        (1, 8, 2, " with 2 threads, 8 lanes"),
    ],
)
def test_who_computes_is_said(processes: int, lanes: int, threads: int, words: str) -> None:
    assert shares_words(processes, lanes, threads) == words
