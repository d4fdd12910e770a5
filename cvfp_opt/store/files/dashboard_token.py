"""The token that lets others than this machine's own users see the dashboard."""

import hashlib
import hmac
import json
import os
import secrets
import stat
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cvfp_opt.disk import replacing
from cvfp_opt.errors import StorageError
from cvfp_opt.escaping import printable
from cvfp_opt.store.database.location import Location

_FORMAT = 1
_NAME = "dashboard-token.json"
_MAX_SIZE = 4096
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, kw_only=True)
class Token:
    """The stored part of a token: enough to recognize it.

    Attributes:
        digest: its SHA-256. The token holds 256 random bits, so a slow hash would protect nothing
            that a quick one does not.
        created: epoch seconds.
    """

    digest: bytes
    created: float

    def is_of(self, digest: bytes) -> bool:
        """Check whether a digest is the token's; any other takes as long."""
        return hmac.compare_digest(digest, self.digest)


def token_path(location: Location) -> Path:
    """Locate the token of a study database: beside its file, or in ``storage`` here."""
    folder = Path.cwd() / "storage" if location.path is None else location.path.parent
    return folder / _NAME


def load_token(path: Path) -> Token | None:
    """Read the token that was made before; None if there is none.

    Raises:
        StorageError: it cannot be read, is no token, or others than its owner could have put it
            there.
    """
    again = "to make another one, add --new-token"
    try:
        with open(path, encoding="utf-8", opener=_as_it_is) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError
            if status.st_mode & _OTHERS_WRITE or status.st_uid not in (0, os.geteuid()):
                raise StorageError(
                    f"{path}: others than you may write to it, so it is not trusted; {again}"
                )
            value = json.loads(file.read(_MAX_SIZE))
        if value["format"] != _FORMAT:
            found = printable(value["format"])[:20]
            raise StorageError(f"{path}: of format {found}, not {_FORMAT}; {again}")
        digest = bytes.fromhex(value["sha256"])
        if len(digest) != hashlib.sha256().digest_size:
            raise ValueError
        created = float(value["created"])
        datetime.fromtimestamp(created, UTC)  # as it is shown to the user
        return Token(digest=digest, created=created)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}; {again}") from None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise StorageError(f"{path}: a dashboard's token is required there; {again}") from None


def make_token(path: Path) -> tuple[str, Token]:
    """Make a token in the place of any former one: return its text, kept nowhere, and the rest.

    Raises:
        StorageError: it cannot be written.
    """
    text = secrets.token_urlsafe(32)
    token = Token(digest=digest_of(text), created=time.time())
    value = {"format": _FORMAT, "created": token.created, "sha256": token.digest.hex()}
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
    with replacing(path, error=StorageError, private=True) as file:
        file.write(json.dumps(value).encode())
    return text, token


def digest_of(text: str) -> bytes:
    """Give the SHA-256 of a token's text, whatever was sent in its place."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _as_it_is(path: str, flags: int) -> int:
    """Open a file without following a link, or waiting for a writer to a named pipe."""
    return os.open(path, flags | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
