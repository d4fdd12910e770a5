"""Events, and the hooks that are told them."""

import os
import time
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from cvfp_opt.api.opening import locate
from cvfp_opt.api.required import require_text, require_whole
from cvfp_opt.errors import NotifyError
from cvfp_opt.notify.file import NotifyFile, read_notify_file
from cvfp_opt.notify.hook import Hook
from cvfp_opt.notify.sender import Sent, outbox_of, send_due
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_editing, open_for_reading
from cvfp_opt.store.queue.events import LONGEST_LIST, read_events
from cvfp_opt.store.queue.outbox import HookState, read_hooks
from cvfp_opt.store.queue.watching import Watch
from cvfp_opt.store.record.event import Event, EventKind
from cvfp_opt.store.record.studies import load_study

NEWEST = 50


def events(
    study: str | None = None,
    *,
    after: int | None = None,
    limit: int | None = None,
    storage: str | os.PathLike[str] | Location | None = None,
) -> list[Event]:
    """List what happened to studies, in its order.

    Whoever asks again with the last id that it was given misses none; events are kept for 30 days.

    Args:
        study: name of the one whose events are wanted; None for all.
        after: id of the last event that is known; None for the newest events.
        limit: how many at most; None for the newest 50, or for 1000 after one.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.

    Raises:
        StudyError: there is no such study.
        StorageError: there is no such database.

    Example:
        ``for event in events("quick", after=120): print(event.text)``
    """
    if study is not None:
        require_text("study", study)
    newest = after is None
    require_whole("after", 0 if after is None else after, 0)
    limit = (NEWEST if newest else LONGEST_LIST) if limit is None else limit
    require_whole("limit", limit, 1)
    with open_for_reading(locate(storage)) as store:
        return store.patiently(
            lambda: read_events(
                store,
                None if study is None else load_study(store, study),
                after=after or 0,
                limit=min(limit, LONGEST_LIST),
                newest=newest,
            )
        )


@dataclass(frozen=True, kw_only=True)
class HookStanding:
    """A hook, and how it stands in a database.

    Attributes:
        name: of the hook.
        kind: "webhook", "command" or "apprise"; "" if only others' files name it.
        receiver: whom it tells, without secrets.
        events: kinds of events that it is told; empty for all.
        studies: names of studies that it is told of, with wildcards; empty for all.
        state: how it stands; None if no process has told it anything from here yet.
    """

    name: str
    kind: str = ""
    receiver: str = ""
    events: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    state: HookState | None = None

    def to_dict(self) -> dict[str, Any]:
        """Convert it to plain JSON values."""
        return asdict(self)


def hooks(*, storage: str | os.PathLike[str] | Location | None = None) -> list[HookStanding]:
    """List the hooks that notify.toml names, and those that a database knows besides.

    Args:
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.

    Raises:
        NotifyError: the file is not as required.
    """
    location = locate(storage)
    file = read_notify_file(location)
    states: dict[str, HookState] = {}
    if kind_of(location).has_database(location):
        with open_for_reading(location) as store:
            states = store.patiently(lambda: read_hooks(store))
    found = [
        HookStanding(
            name=hook.name,
            kind=hook.kind,
            receiver=hook.channel.shown,
            events=hook.events,
            studies=hook.studies,
            state=states.pop(hook.name, None),
        )
        for hook in file.hooks
    ]
    return found + [HookStanding(name=name, state=state) for name, state in states.items()]


def try_hooks(
    hook: str | None = None, *, storage: str | os.PathLike[str] | Location | None = None
) -> list[Sent]:
    """Tell hooks a test event, which no database keeps.

    Args:
        hook: name of the one to try; None for all.
        storage: path or URL of the database, beside which notify.toml lies; None for
            CVFP_OPT_STORAGE, or storage/cvfp.db.

    Returns:
        What came of it, for each hook.

    Raises:
        NotifyError: there is no such hook, or the file is not as required.
    """
    file = required_hooks(locate(storage))
    chosen = file.hooks if hook is None else (file.hook(hook),)
    event = Event(
        id=0,
        uuid=uuid.uuid4().hex,
        kind=EventKind.TEST.value,
        time=time.time(),
        study="test",
        text="this is a test of cvfp-opt: nothing has happened",
    )
    return [Sent(hook=one.name, event=0, outcome=one.deliver(event)) for one in chosen]


def send_events(*, storage: str | os.PathLike[str] | Location | None = None) -> list[Sent]:
    """Tell hooks what they are still to be told and is due now, as searches do by themselves.

    Args:
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.

    Returns:
        What came of each event for each hook.

    Raises:
        NotifyError: no hook is named, or the file is not as required.
    """
    location = locate(storage)
    file = required_hooks(location)
    with open_for_editing(location) as store:
        outboxes = [(hook, outbox_of(store, hook)) for hook in file.hooks]
        for _, outbox in outboxes:
            outbox.join()
        Watch(store=store, minutes=file.no_worker_minutes, patient=False).look()
        return [sent for hook, outbox in outboxes for sent in send_due(outbox, hook)]


def required_hooks(location: Location) -> NotifyFile:
    """Read the file that names hooks. Raises NotifyError if it names none."""
    file = read_notify_file(location)
    if not file.hooks:
        raise NotifyError(
            f"{file.path}: a hook is required, there is none; put one there, as "
            '[hooks.desk] with kind = "command" and command = ["notify-send", "cvfp-opt"]'
        )
    return file


def words_of(hook: Hook | HookStanding) -> str:
    """Write what a hook is told, in a few words."""
    told = ", ".join(hook.events) or "all events"
    return f"{told} of {', '.join(hook.studies)}" if hook.studies else told
