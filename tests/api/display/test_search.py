"""The progress that `run` draws when several trials run at once."""

import io
import time
from dataclasses import replace

import pytest
from support import TINY

from cvfp_opt.api.display.console import PlainConsole
from cvfp_opt.api.display.search import RunDisplay, shares_words, trial_line
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
def console() -> PlainConsole:
    return PlainConsole(file=io.StringIO(), force_terminal=True, width=80, color_system=None)


def make_display(console: PlainConsole, total: int, processes: int) -> RunDisplay:
    return RunDisplay(
        console,
        resolve_definition(read_sections("quick"), [*TINY, "search.pruner=none"], where="quick"),
        total,
        processes,
    )


def drawn(display: RunDisplay, console: PlainConsole) -> list[str]:
    """The bars as they stand now."""
    with console.capture() as capture:
        console.print(display.bars())
    return [line.rstrip() for line in capture.get().splitlines()]


def finish(display: RunDisplay, number: int, finished: int = 1) -> None:
    record = TrialRecord(number=number, state="pruned", status="pruned")
    display.trial_finished(record, StudyProgress(finished=finished, best=None))


def test_each_running_trial_has_a_bar_of_one_line_at_80_columns(console: PlainConsole) -> None:
    display = make_display(console, total=50, processes=2)
    display.trial_started(10, PARAMS)
    display.trial_started(11, PARAMS)
    display.trial_event(11, Progress(iteration=2, phase=Phase.BASELINE, done=1, total=2))
    lines = drawn(display, console)
    assert [line.split()[:2] for line in lines[1:]] == [["trial", "10"], ["trial", "11"]]
    assert "pass 3/4  untrained baseline" in lines[2]
    assert all(len(line.rstrip()) <= 80 for line in lines)
    finish(display, 10)
    assert [line.split()[0:2] for line in drawn(display, console)[1:]] == [["trial", "11"]]
    # its process died: another one begins it again
    display.trial_started(11, PARAMS)
    assert len(drawn(display, console)) == 2


@pytest.mark.parametrize(
    ("at_once", "total", "left"),
    [(1, 11, "about 1 min 40 s left"), (4, 14, "about 25 s left"), (4, 4, "")],
)
def test_the_time_left_counts_the_trials_at_once(
    at_once: int, total: int, left: str, console: PlainConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    display = make_display(console, total, at_once)
    for number in range(at_once):
        display.trial_started(number, {})
    monkeypatch.setattr(time, "monotonic", lambda: 10.0)
    for number in range(at_once):
        finish(display, number, at_once)
    assert drawn(display, console)[0].endswith(f"{at_once}/{total}  {left}".strip())


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


def test_80_columns_have_what_a_trial_is_worth_its_time_and_whether_it_is_the_best() -> None:
    record = TrialRecord(
        number=39,
        state="complete",
        status="finished",
        value=0.965,
        params=PARAMS,
        metrics={"convergence_rate": 1.0, "effective_rank": 0.93},  # type: ignore[typeddict-item]
        environment={"optimizer_steps": 1},
    )
    best = StudyProgress(finished=39, best=record)
    figures = "score 0.965  convergence 100.0%  rank 93.0%"
    assert (
        trial_line(record, 50.4, best, 50, 80) == f"[39/50] trial 39  {figures}  50.4 s  new best"
    )
    other = StudyProgress(finished=39, best=None)
    assert trial_line(record, 50.4, other, 50, 80) == f"[39/50] trial 39  {figures}  50.4 s"
    point = "weight 0.853  lr 0.000596  threshold 0.0519  mix 0.933"
    whole = f"[39/50] trial 39  {figures}  {point}  finished  50.4 s  new best"
    assert trial_line(record, 50.4, best, 50) == whole
    stopped = replace(record, status="converged early")
    assert "converged early" in trial_line(stopped, 50.4, other, 50, 80)


def test_a_trial_that_its_audit_speaks_against_says_so_beside_its_score() -> None:
    record = TrialRecord(
        number=7,
        state="complete",
        status="finished",
        value=0.969,
        constraints={"scale": 0.1, "threshold": 0.1, "untrained": 0.1, "optimizer_steps": -1.0},
    )
    progress = StudyProgress(finished=7, best=record)  # where none can win yet
    begin = "[7/50] trial 7  score 0.969  contexts have shrunk"
    assert trial_line(record, 50.4, progress, 50, 80) == f"{begin}  50.4 s"
    more = "rests on its threshold  no better than untrained"
    assert trial_line(record, 50.4, progress, 50) == f"{begin}  {more}  finished  50.4 s"
