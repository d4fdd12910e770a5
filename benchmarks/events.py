"""The cost of events: instant trials whose ends are told, by nobody, to nobody, and to a hook."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from benchmarks.bookkeeping import BLOCK, FileWatch, filled, num_trials, search
from benchmarks.timing import Result, taken_in_turn
from cvfp_opt.notify.command import Command
from cvfp_opt.notify.file import NotifyFile
from cvfp_opt.notify.hook import Hook
from cvfp_opt.notify.sender import Sender
from cvfp_opt.store.queue import announcing

NOBODY, TOLD, HANGING = "nothing is told", "events", "events, and a hook that hangs"


@contextmanager
def told_nothing() -> Iterator[None]:
    """Let no trial's end be told."""

    def _tell_nothing(*_: object, **__: object) -> None:
        pass

    before = announcing.Announcer.trial_ended, announcing.Announcer.search_ended
    kind: type = announcing.Announcer
    kind.trial_ended = _tell_nothing  # type: ignore[attr-defined]
    kind.search_ended = _tell_nothing  # type: ignore[attr-defined]
    try:
        yield
    finally:
        kind.trial_ended, kind.search_ended = before  # type: ignore[attr-defined]


def events(repeats: int, count: int = 100) -> Result:
    """Compare instant trials of one study, whose ends are told or not."""
    processor: dict[str, list[float]] = {}
    hook = Hook(name="hangs", kind="command", channel=Command(words=("sleep", "60")), seconds=60.0)
    with filled(count, "search.pruner=none", "search.sampler=random") as (store, plan):
        study = plan.load(store)

        def timer(name: str) -> Callable[[], float]:
            def median() -> float:
                watch, spent, started = FileWatch(), time.process_time(), time.perf_counter()
                with ExitStack() as stack:
                    if name == NOBODY:
                        stack.enter_context(told_nothing())
                    if name == HANGING:
                        sender = Sender(store, NotifyFile(path=Path("none"), hooks=(hook,)))
                        sender.start()
                        stack.callback(sender.stop, 0.0)
                    search(store, study, plan, watch, num_trials(study) + BLOCK)
                processor.setdefault(name, []).append((time.process_time() - spent) / BLOCK)
                moments = [started, *watch.ended]
                return statistics.median(end - begin for begin, end in pairwise(moments))

            return median

        ways = {name: timer(name) for name in (NOBODY, TOLD, HANGING)}
        variants = taken_in_turn(ways, repeats=4 * repeats)
    each = {name: 1e3 * statistics.median(spent) for name, spent in processor.items()}
    return Result(
        row="events",
        title=f"an instant trial in a study of {count}",
        unit="trial",
        variants=variants,
        notes=(
            f"medians of {BLOCK} trials; processor time a trial, with what a search begins and "
            "ends with: " + ", ".join(f"{name} {value:.2f} ms" for name, value in each.items()),
        ),
    )
