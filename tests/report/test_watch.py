"""The picture of a running search fits its terminal; the line of a log holds the state."""

import io

import pytest
from rich.console import Console

from cvfp_opt.report.history import ASCII
from cvfp_opt.report.watch import MAX_RUNNING, WatchView, watch_line
from cvfp_opt.store.record.records import StudyRecord, TrialRecord
from cvfp_opt.store.record.summary import Summary

RECORD = StudyRecord(
    definition={
        "objective": {},
        "space": {},
        "search": {"seed": 0},
        "training": {"num_iterations": 7},
    },
    definition_digest="",
    data_digest="",
    created=0.0,
    environment={},
)
PARAMS = {"dist_reg_weight": 0.55, "phase1_learning_rate": 0.0006}


def complete(number: int, value: float) -> TrialRecord:
    return TrialRecord(number=number, state="complete", value=value, params=PARAMS)


def running(number: int) -> TrialRecord:
    return TrialRecord(
        number=number,
        state="running",
        params=PARAMS,
        reported={0: 0.1, 1: 0.4},
        iterations=[{}, {}],
    )


def summary(*trials: TrialRecord, name: str = "quick") -> Summary:
    return Summary(name=name, url="u", record=RECORD, trials=list(trials))


def drawn(view: WatchView, width: int = 80, height: int = 50) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_it_shows_counts_history_what_runs_and_what_is_best() -> None:
    lines = drawn(WatchView(summary(complete(0, 0.5), complete(1, 0.75), running(2))))
    text = "\n".join(lines)
    assert lines[0].startswith("quick  ")
    assert "2 complete  1 running" in lines[1]
    assert "best so far: ▁█  0.500 to 0.750" in text
    place = next(i for i, line in enumerate(lines) if line.startswith("running"))
    assert lines[place].split() == ["running", "passes", "score", "weight", "lr"]
    assert lines[place + 1].split() == ["2", "2/7", "0.400", "0.55", "0.0006"]
    assert "   1  0.750" in text
    assert "Trial 1 scores 0.750, but carries no audit." in text


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    trials = [complete(n, n / 100) for n in range(100)] + [running(100)]
    assert max(map(len, drawn(WatchView(summary(*trials)), width))) <= width


def test_more_running_trials_than_fit_are_counted() -> None:
    lines = drawn(WatchView(summary(*(running(n) for n in range(MAX_RUNNING + 3)))))
    assert "and 3 more" in lines
    lines = drawn(WatchView(summary(*(running(n) for n in range(9)))), height=24)
    assert "and 7 more" in lines
    assert len(lines) <= 24


def test_an_empty_study_and_a_strange_name_are_drawn() -> None:
    lines = drawn(WatchView(summary(name="[red]x[/]")))
    assert lines[0].startswith("[red]x[/]  ")
    assert lines[1] == "no trial yet"


def test_another_picture_after_another_look() -> None:
    view = WatchView(summary(complete(0, 0.5)), ASCII)
    view.show(summary(complete(0, 0.5), complete(1, 0.75)))
    text = "\n".join(drawn(view))
    assert "2 complete" in text
    assert "best so far: _#  0.500 to 0.750" in text
    assert text.isascii()


def test_a_line_of_a_log() -> None:
    assert watch_line(summary(), 0.0) == "1970-01-01 00:00:00 UTC  no trial yet"
    line = watch_line(summary(complete(0, 0.5), complete(1, 0.75), running(2)), 0.0)
    assert line == (
        "1970-01-01 00:00:00 UTC  2 complete, 1 running  best: trial 1 with score 0.7500  ▁█"
    )
