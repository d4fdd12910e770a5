"""How long a search still takes, by what its latest trials took all together."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

# Of a search that changes (trials are pruned, machines join), the latest part says best how fast
# it goes; fewer trials than these say nothing.
_SHARE, _LEAST = 0.5, 8
# Times the usual, from which on a trial's time is its own.
_UNUSUAL = 3.0
_SOME = 3
# Of a trial's time, what pruning spares on average: measured on `quick`, 50 trials.
_PRUNING = 0.25


@dataclass(frozen=True, order=True)
class Span:
    """The time of a trial, and how much of it is done.

    Attributes:
        begun: when, in seconds of any clock.
        ended: when; of a running trial, now.
        share: of the trial that is done.
        spared: whether it came too early to be pruned.
    """

    begun: float
    ended: float
    share: float = 1.0
    spared: bool = False


def time_left(finished: Sequence[Span], running: Sequence[Span], remaining: int) -> float | None:
    """Estimate the seconds until all trials are over.

    ``(remaining - under way) * seconds of a trial / trials at once``. At once are as many as of
    late, on average, which counts what lies between two trials; or as many as run now, if workers
    came or went. The first trial of each worker, and one that took several times the usual (it
    loads and compiles), say nothing of the next ones. Where trials were spared from pruning, the
    next ones are taken to be shorter.

    Args:
        finished: trials that have ended.
        running: trials that run.
        remaining: trials that have not ended, running ones among them.

    Returns:
        None while nobody can tell.
    """
    if remaining <= 0:
        return 0.0
    count = max(_LEAST, round(_SHARE * len(finished)))
    latest = _usual(sorted(_warm(finished), key=lambda span: span.ended)[-count:])
    spans = [*latest, *running]
    spent, busy = sum(span.ended - span.begun for span in spans), _covered(spans)
    if sum(span.share for span in spans) < 0.5 or busy <= 0.0:
        return None
    whole = latest or [replace(one, ended=one.begun + _whole(one)) for one in running if one.share]
    each = statistics.fmean(span.ended - span.begun for span in whole)
    each *= 1.0 - _PRUNING * statistics.fmean(span.spared for span in whole)
    under_way = sum(span.share for span in running)
    at_once = spent / busy
    if len(running) >= 1.5 * at_once or 1 <= len(running) <= at_once - 1:
        at_once = len(running)
    left = (remaining - under_way) * each / at_once
    # no help shortens what a running trial still takes
    return max(left, *((1.0 - span.share) * each for span in running), 0.0)


def _warm(spans: Sequence[Span]) -> Sequence[Span]:
    """Leave out the first trial of each worker, once there are some others."""
    first = min((span.ended for span in spans), default=0.0)
    others = [span for span in spans if span.begun >= first]
    return others if len(others) >= _SOME else spans


def _whole(span: Span) -> float:
    """Estimate how long a running trial takes in all."""
    return (span.ended - span.begun) / span.share


def _usual(spans: Sequence[Span]) -> list[Span]:
    """Leave out trials that took several times the usual."""
    if not spans:
        return []
    most = _UNUSUAL * statistics.median(span.ended - span.begun for span in spans)
    return [span for span in spans if span.ended - span.begun <= most]


def _covered(spans: Iterable[Span]) -> float:
    """Add up the time that lies in any of the spans."""
    total, end = 0.0, float("-inf")
    for span in sorted(spans):
        total += max(0.0, span.ended - max(span.begun, end))
        end = max(end, span.ended)
    return total
