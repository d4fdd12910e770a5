"""Sending: threads that tell hooks what they are still to be told. No trial waits for them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Self

from cvfp_opt.notify.file import NotifyFile, read_notify_file
from cvfp_opt.notify.hook import Hook, Outcome
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.announcing import untold
from cvfp_opt.store.queue.outbox import Outbox
from cvfp_opt.store.queue.watching import Watch

# Seconds between two looks for events, and for studies that nobody serves.
POLL_SECONDS, WATCH_SECONDS = 2.0, 60.0
# At its end a sender tells what is left within so many seconds; what is not done by then is left
# to whoever sends next.
FAREWELL_SECONDS = 3.0
# A delivery is a sender's own for so much longer than its hook may take.
_MARGIN_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What came of telling one event to one hook.

    Attributes:
        hook: its name.
        event: id of the event.
        outcome: of it.
    """

    hook: str
    event: int
    outcome: Outcome


class Sender:
    """Tells hooks what happens, a thread each, so that one that hangs delays no other.

    A further thread looks for studies that nobody serves. A context manager.

    Args:
        store: the database, open to write, until after ``stop``.
        file: the hooks.
    """

    def __init__(self, store: Store, file: NotifyFile) -> None:
        self._store, self._file = store, file
        self._ended, self._deadline = threading.Event(), 0.0
        self._lines: dict[str, str] = {}
        work: list[Callable[[], None]] = [partial(self._tell, hook) for hook in file.hooks]
        self._threads = [
            threading.Thread(target=one, name="hook", daemon=True) for one in [*work, self._watch]
        ]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Enter the hooks, which are told all that happens from now on, and begin to tell them."""
        for hook in self._file.hooks:
            with untold():
                self._outbox(hook).join()
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = FAREWELL_SECONDS) -> None:
        """Tell what is left, for so many seconds at most, and end.

        A hook that hangs even then is left to its thread, which writes nothing any more.
        """
        self._deadline = time.monotonic() + seconds
        self._ended.set()
        for thread in self._threads:
            thread.join(max(0.0, self._deadline - time.monotonic()))

    def failures(self) -> list[str]:
        """Write a line for each hook that could not be told the last time."""
        return list(self._lines.values())

    def _tell(self, hook: Hook) -> None:
        outbox = self._outbox(hook)
        while True:
            last = self._ended.is_set()
            with untold():
                for sent in send_due(outbox, hook, lambda: not self._is_over()):
                    if sent.outcome.why:
                        self._lines[hook.name] = f"hook {hook.name}: {sent.outcome.why}"
                    else:
                        self._lines.pop(hook.name, None)
                    if sent.outcome.gone:
                        return
            if last or self._is_over():
                return
            self._ended.wait(POLL_SECONDS)

    def _watch(self) -> None:
        watch = Watch(store=self._store, minutes=self._file.no_worker_minutes)
        while not self._ended.wait(WATCH_SECONDS):
            with untold():
                watch.look()

    def _is_over(self) -> bool:
        return self._ended.is_set() and time.monotonic() >= self._deadline

    def _outbox(self, hook: Hook) -> Outbox:
        return outbox_of(self._store, hook)


def outbox_of(store: Store, hook: Hook) -> Outbox:
    """Make what takes a hook's events."""
    seconds = hook.seconds + _MARGIN_SECONDS
    return Outbox(store=store, hook=hook.name, wanted=hook.wants, seconds=seconds)


def send_due(
    outbox: Outbox, hook: Hook, goes_on: Callable[[], bool] = lambda: True
) -> Iterator[Sent]:
    """Tell a hook all that is due, and give what came of each.

    Args:
        outbox: the hook's.
        hook: to tell.
        goes_on: asked before an event is taken, and before what came of it is written.
    """
    while goes_on() and (delivery := outbox.fetch()) is not None:
        outcome = hook.deliver(delivery.event)
        if not goes_on():
            return
        outbox.settle(delivery, outcome.why)
        yield Sent(hook=hook.name, event=delivery.event.id, outcome=outcome)
        if outcome.gone:
            return


@contextmanager
def sending(
    store: Store, notify: Callable[[str], None], *, always: bool = False
) -> Iterator[None]:
    """Tell hooks what happens meanwhile, and at last what is left; see ``Sender``.

    Args:
        store: the database, open to write.
        notify: called in the end with a line for each hook that could not be told.
        always: whether to look for studies that nobody serves even where no hook is named.

    Raises:
        NotifyError: the file that names hooks is not as required; nothing was begun.
    """
    file = read_notify_file(store.location)
    if not file.hooks and not always:
        yield
        return
    with Sender(store, file) as sender:
        yield
    for line in sender.failures():
        notify(f"{line}; `cvfp-opt notify list{store.location.option}` shows what waits")
