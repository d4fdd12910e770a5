"""Whether the server is fit for requests: its database answers, and soon enough."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import select

from cvfp_opt.store.database.retry import DATABASE_ERRORS
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import VERSIONS

READY_SECONDS = 2.0
# Anybody may ask: so many of them cost the database one question a second.
_KEPT_SECONDS = 1.0


class Readiness:
    """Asks the database whether it answers. Safe to use from threads.

    A database behind a dead line keeps whoever asks it for minutes: so a thread asks, one at a
    time however many wait for it.

    Args:
        store: the database.
        seconds: within which it has to answer.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        store: Store,
        seconds: float = READY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._question: _Question | None = None

    def is_ready(self) -> bool:
        """Check whether the database answers now, or did a second ago."""
        with self._lock:
            now, question = self._clock(), self._question
            over = question is not None and question.over.is_set()
            if question is None or (over and now - question.asked >= _KEPT_SECONDS):
                question = self._question = _Question(asked=now)
                work = threading.Thread(target=self._ask, args=(question,), name="readiness")
                work.daemon = True  # one that hangs keeps nobody from ending
                work.start()
        return question.over.wait(self._seconds) and question.answered

    def _ask(self, question: "_Question") -> None:
        try:
            self._store.check()
            with self._store.engine.connect() as connection:
                found = connection.scalar(select(VERSIONS.c.schema_version))
            question.answered = found is not None
        except DATABASE_ERRORS:
            pass
        finally:
            question.over.set()


@dataclass
class _Question:
    """A question to the database: when it was asked, whether that is over, and was answered."""

    asked: float
    over: threading.Event = field(default_factory=threading.Event)
    answered: bool = False
