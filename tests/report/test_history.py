"""The line of history: best so far, and its drawing in a given width."""

import math
from dataclasses import replace
from typing import Any

import pytest

from cvfp_opt.report.history import ASCII, BLOCKS, best_so_far, history_line, sparkline
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary


def summary(*trials: tuple[str, float | None], **more: Any) -> Summary:
    records = [
        TrialRecord(number=n, state=state, value=value) for n, (state, value) in enumerate(trials)
    ]
    return Summary(name="s", url="", record=None, trials=records, **more)


MIXED = (
    ("fail", None),
    ("complete", 0.2),
    ("pruned", 0.9),
    ("complete", 0.1),
    ("complete", math.nan),
    ("complete", 0.5),
    ("running", None),
)


def test_only_complete_trials_raise_it_and_all_finished_ones_count() -> None:
    assert best_so_far(summary(*MIXED)) == [0.2, 0.2, 0.2, 0.2, 0.5]


def test_feasible_trials_count_alone_from_the_first_one_on() -> None:
    found = summary(*[("complete", value) for value in (0.5, 0.9, 0.4, 0.95, 0.6, math.nan)])
    against = ({"a": 0.1}, {"a": 0.1}, {"a": -0.1}, {"a": 0.1}, {}, {})
    trials = [replace(t, constraints=c) for t, c in zip(found.trials, against, strict=True)]
    assert best_so_far(replace(found, trials=trials)) == [0.5, 0.9, 0.4, 0.4, 0.6, 0.6]


def test_what_is_minimized_falls() -> None:
    assert best_so_far(summary(*MIXED, directions=("minimize",))) == [0.2, 0.2, 0.1, 0.1, 0.1]


def test_several_objectives_of_another_program_have_no_one_history() -> None:
    assert best_so_far(summary(*MIXED, directions=("maximize", "minimize"))) == []


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([], 5, ""),
        ([0.0, 7.0], 5, "▁█"),
        (list(range(8)), 8, BLOCKS),
        (list(range(16)), 8, BLOCKS),
        (list(range(1000)), 1, "▅"),
        ([3.0, 3.0], 5, "▅▅"),
    ],
)
def test_a_sparkline(values: list[float], width: int, drawn: str) -> None:
    assert sparkline(values, width) == drawn


def test_the_last_value_is_always_drawn() -> None:
    for count in range(41, 200):
        values = [0.0] * (count - 1) + [1.0]
        line = sparkline(values, 40)
        assert (len(line), line[-1]) == (40, "█")


def test_a_terminal_without_blocks_gets_letters() -> None:
    assert sparkline(list(range(8)), 8, ASCII) == ASCII
    assert ASCII.isascii()
    assert len(ASCII) == len(BLOCKS)


def test_the_line_names_both_ends_and_needs_two_trials() -> None:
    assert history_line(summary(("complete", 0.25), ("complete", 0.5))) == (
        "best so far: ▁█  0.25 to 0.5"
    )
    assert history_line(summary(("complete", 0.25))) == ""
    assert history_line(summary()) == ""
