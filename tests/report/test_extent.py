"""How far a study is, in words."""

from dataclasses import replace

import pytest

from cvfp_opt.report.extent import extent_lines, seconds_left, trials_words
from cvfp_opt.store.record.queue_entry import QueueEntry, QueueState
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary


def study(total: int | None, running: int, state: QueueState = QueueState.OPEN) -> Summary:
    """Three trials that have ended, of 10 s each, and some that run."""
    ended = [
        TrialRecord(
            number=n, state="complete", value=0.5, started=10.0 * n, completed=10.0 * n + 10
        )
        for n in range(3)
    ]
    runs = [TrialRecord(number=3 + n, state="running", started=30.0) for n in range(running)]
    entry = QueueEntry(total=total, state=state)
    return Summary(
        name="quick", url="sqlite:///x.db", record=None, trials=[*ended, *runs], queue=entry
    )


def test_the_total_stands_before_the_counts() -> None:
    assert trials_words(study(50, 1)) == "3 of 50: 3 complete, 1 running"
    assert trials_words(study(None, 0)) == "3 complete"
    empty = replace(study(5, 0), trials=[])
    assert trials_words(empty) == "0 of 5: none yet"


def test_the_time_left_goes_by_the_latest_trials() -> None:
    assert seconds_left(study(13, 2), 35.0) == pytest.approx((10 - 1) / 2 * 10)  # one ran before
    assert seconds_left(study(4, 1), 35.0) == pytest.approx(5)
    assert seconds_left(study(None, 1), 35.0) is None  # nobody has said how many
    assert seconds_left(study(13, 0), 35.0) is None  # nobody runs any
    assert extent_lines(study(13, 2)) == ["about 45 s left"]
    assert extent_lines(study(13, 0)) == []


def test_a_closed_study_says_how_to_open_it() -> None:
    [line] = extent_lines(study(13, 1, QueueState.PAUSED), " --storage x.db")
    assert line == (
        "paused: no trial begins; to go on, type `cvfp-opt study resume --storage x.db quick`"
    )
    [line] = extent_lines(study(13, 0, QueueState.CANCELLED))
    assert line.startswith("cancelled: no trial begins")
