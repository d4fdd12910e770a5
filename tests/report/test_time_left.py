"""The time left is right within a third after a fifth of the time."""

from dataclasses import replace

import pytest

from cvfp_opt.report.time_left import Span, time_left

# Trials side by side, and the seconds of each: those of a search of 50 in two processes, the first
# of which compiled kernels beside other work; a long one and a pruned one now and then.
TIMES = (9.8, 8.4, *(1.1, 1.0, 0.9, 1.2, 0.5, 1.1, 1.0, 0.4) * 6)


def schedule(times: tuple[float, ...], at_once: int, between: float = 0.05) -> list[Span]:
    """Run trials one after another in each of some workers."""
    free = [0.0] * at_once
    spans = []
    for seconds in times:
        worker = free.index(min(free))
        begun = free[worker]
        spans.append(Span(begun, begun + seconds))
        free[worker] = begun + seconds + between
    return spans


def estimate(spans: list[Span], now: float) -> float | None:
    done = [span for span in spans if span.ended <= now]
    running = [
        Span(one.begun, now, (now - one.begun) / (one.ended - one.begun))
        for one in spans
        if one.begun <= now < one.ended
    ]
    return time_left(done, running, len(spans) - len(done))


@pytest.mark.parametrize("at_once", [1, 2, 4])
@pytest.mark.parametrize("share", [0.5, 0.6, 0.7, 0.8, 0.9])
def test_a_slow_start_is_soon_forgotten(at_once: int, share: float) -> None:
    spans = schedule(TIMES, at_once)
    end = max(span.ended for span in spans)
    assert estimate(spans, share * end) == pytest.approx((1 - share) * end, rel=1 / 3)


@pytest.mark.parametrize("at_once", [1, 2, 4])
@pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 0.7, 0.9])
def test_it_is_right_within_a_third_after_a_fifth(at_once: int, share: float) -> None:
    spans = schedule(TIMES[2:], at_once)
    end = max(span.ended for span in spans)
    assert estimate(spans, share * end) == pytest.approx((1 - share) * end, rel=1 / 3)


def test_a_pause_is_no_work() -> None:
    first = schedule((1.0,) * 20, 2)
    later = [Span(one.begun + 1e6, one.ended + 1e6) for one in schedule((1.0,) * 4, 2)]
    assert time_left([*first, *later], [], 10) == pytest.approx(5, rel=0.2)


def test_workers_that_come_are_counted_at_once() -> None:
    running = [Span(10.0, 10.5, 0.5)] * 8
    alone = schedule((1.0,) * 10, 1, between=0.0)
    assert time_left(alone, running, 44) == pytest.approx((44 - 4) / 8)


def test_the_next_ones_are_shorter_where_pruning_has_not_begun() -> None:
    done = schedule((1.0,) * 8, 2, between=0.0)
    spared = [replace(span, spared=True) for span in done]
    assert time_left(done, [], 40) == pytest.approx(20)
    assert time_left(spared, [], 40) == pytest.approx(15)


def test_nobody_can_tell_before_something_is_done() -> None:
    assert time_left([], [], 3) is None
    assert time_left([], [Span(0.0, 9.0, 0.1)], 3) is None
    assert time_left([], [Span(0.0, 6.0, 0.6)], 3) == pytest.approx(24)
    assert time_left([Span(0.0, 1.0)], [], 0) == 0.0


def test_the_last_trial_takes_its_time() -> None:
    done = schedule((10.0,) * 12, 4)
    assert time_left(done, [Span(30.0, 31.0, 0.1)], 1) == pytest.approx(9)
