"""The file that names hooks: ``notify.toml``.

A database names none: whoever may write to it could have any command run.
"""

import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvfp_opt.errors import NotifyError, nearest
from cvfp_opt.notify import apprise_urls, command, webhook
from cvfp_opt.notify.hook import COMMON, Channel, Hook, Keys, check_events, check_name
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.number_checks import is_finite
from cvfp_opt.store.queue.watching import UNSERVED_MINUTES

ENVIRONMENT = "CVFP_OPT_NOTIFY"
NAME = "notify.toml"
_MAX_SIZE = 1 << 16
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LONGEST_MINUTES = 60.0 * 24 * 14
_MOST_HOOKS = 20


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of hook: what reads its keys, and these keys."""

    read: Callable[[Keys], Channel]
    keys: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "webhook": Kind(read=webhook.read_webhook, keys=webhook.KEYS),
    "command": Kind(read=command.read_command, keys=command.KEYS),
    "apprise": Kind(read=apprise_urls.read_apprise, keys=apprise_urls.KEYS),
}


@dataclass(frozen=True, kw_only=True)
class NotifyFile:
    """What is to be told, and whom.

    Attributes:
        path: of the file.
        hooks: that it names, in its order; none if there is no such file.
        no_worker_minutes: for how long a study must have waited for a worker.
    """

    path: Path
    hooks: tuple[Hook, ...] = ()
    no_worker_minutes: float = UNSERVED_MINUTES

    def hook(self, name: str) -> Hook:
        """Find a hook by its name. Raises NotifyError if there is none."""
        for one in self.hooks:
            if one.name == name:
                return one
        names = [one.name for one in self.hooks]
        known = nearest(name, names) if names else "it names none"
        raise NotifyError(f"{self.path}: there is no hook {name!r}; {known}")


def notify_path(location: Location) -> Path:
    """Locate the file: as CVFP_OPT_NOTIFY says, beside an SQLite file, or in ``storage`` here."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(os.path.expanduser(named))
    folder = Path.cwd() / "storage" if location.path is None else location.path.parent
    return folder / NAME


def read_notify_file(location: Location) -> NotifyFile:
    """Read the file, if there is one.

    Raises:
        NotifyError: others than this user may write to it, or it is not as required; or there is
            none where CVFP_OPT_NOTIFY says.
    """
    path = notify_path(location)
    try:
        text = _read(path)
    except FileNotFoundError:
        if os.environ.get(ENVIRONMENT):
            raise NotifyError(
                f"{path}: there is no such file, but {ENVIRONMENT} names it; make it, or unset "
                "the variable"
            ) from None
        return NotifyFile(path=path)
    except OSError as error:
        raise NotifyError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return _file_of(path, tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        raise NotifyError(f"{path}: not valid TOML: {error}") from None


def _read(path: Path) -> str:
    """Read a file that nobody else can have written. Raises OSError, NotifyError."""
    with open(path, "rb", opener=_as_it_is) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotifyError(f"{path}: a file is required, this is something else")
        if status.st_uid not in (0, os.geteuid()):
            raise NotifyError(
                f"{path}: belongs to another user, who could have any command run as you; type "
                f"`chown {os.geteuid()} {path}` if you trust it"
            )
        if status.st_mode & _OTHERS_WRITE:
            raise NotifyError(
                f"{path}: others than you may write to it, and could have any command run as you; "
                f"look at it, then type `chmod 600 {path}`"
            )
        content = file.read(_MAX_SIZE + 1)
    if len(content) > _MAX_SIZE:
        raise NotifyError(f"{path}: at most {_MAX_SIZE:,} bytes are read of such a file")
    try:
        return content.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise NotifyError(f"{path}: UTF-8 text is required, it has bytes that are none") from None


def _as_it_is(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _file_of(path: Path, values: dict[str, Any]) -> NotifyFile:
    valid = ("hooks", "no_worker_minutes")
    for key in values:
        if key not in valid:
            raise NotifyError(f"{path}: {key}: unknown key; {nearest(key, valid)}")
    minutes = values.get("no_worker_minutes", UNSERVED_MINUTES)
    if not is_finite(minutes) or not 0 < minutes <= _LONGEST_MINUTES:
        raise NotifyError(
            f"{path}: no_worker_minutes: a number above 0, at most {_LONGEST_MINUTES:.0f}, is "
            "required"
        )
    tables = values.get("hooks", {})
    if not isinstance(tables, dict) or not all(isinstance(one, dict) for one in tables.values()):
        raise NotifyError(f"{path}: hooks: tables such as [hooks.ops] are required")
    if len(tables) > _MOST_HOOKS:
        raise NotifyError(f"{path}: at most {_MOST_HOOKS} hooks are possible, got {len(tables)}")
    hooks = tuple(_hook(path, name, table) for name, table in tables.items())
    return NotifyFile(path=path, hooks=hooks, no_worker_minutes=float(minutes))


def _hook(path: Path, name: str, values: dict[str, Any]) -> Hook:
    check_name(f"{path}: hooks", name)
    keys = Keys(f"{path}: hooks.{name}", values)
    kind = keys.text("kind")
    if kind not in KINDS:
        raise NotifyError(f"{keys.where}.kind: unknown kind {kind!r}; {nearest(kind, KINDS)}")
    events, studies = keys.texts("events"), keys.texts("studies")
    check_events(keys, events)
    seconds = keys.seconds("timeout", Hook.seconds)
    channel = KINDS[kind].read(keys)
    keys.rest((*COMMON, *KINDS[kind].keys))
    return Hook(
        name=name, kind=kind, channel=channel, events=events, studies=studies, seconds=seconds
    )
