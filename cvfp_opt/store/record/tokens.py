"""Tokens of a database: who may ask `serve` for what, and until when."""

import reprlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self, TypedDict

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from cvfp_opt.errors import TokenError, nearest
from cvfp_opt.escaping import positional
from cvfp_opt.store.database.storage import Store, has_table
from cvfp_opt.store.database.study_rows import MAX_NAME, is_text
from cvfp_opt.store.database.tables import TOKENS
from cvfp_opt.store.files.dashboard_token import digest_of

# Programs that look for secrets in what is published find it by its beginning.
BEGINNING = "cvfp_"
_LONGEST_NAME = 64
# Seconds between two notes of a token's use: else each request would be a write.
_USE_SECONDS = 60.0


class Scope(StrEnum):
    """What somebody may ask for; the values are the user's words."""

    READ = "read"
    """Look at studies, trials, queue, workers and figures."""
    SUBMIT = "submit"
    """Submit studies, and enqueue trials."""
    CONTROL = "control"
    """Pause, resume, cancel and set studies; drain and stop workers."""
    ADMIN = "admin"
    """All of it; delete studies, change anything in the dashboard, name files of the server."""


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What somebody may do.

    Attributes:
        name: of whoever asks; the owner of what they submit.
        scopes: what they may ask for.
        studies: the beginning of the names of the studies that they may see; "" for all.
    """

    name: str = ""
    scopes: frozenset[Scope] = frozenset()
    studies: str = ""

    def may(self, scope: Scope) -> bool:
        """Check for a scope, which whoever may do all has, too."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def covers(self, study: str) -> bool:
        """Check whether they may see a study of that name."""
        return study.startswith(self.studies)


class TokenJson(TypedDict):
    """A token, but for its text, which nobody keeps.

    Attributes:
        name: of the token.
        scopes: what it is good for.
        studies: the beginning of the names of the studies that it is good for; empty for all.
        created: epoch seconds.
        expires: epoch seconds after which it is good for nothing; null for never.
        used: when it was shown last, within a minute; null if never.
    """

    name: str
    scopes: list[Annotated[str, Scope]]
    studies: str
    created: float
    expires: float | None
    used: float | None


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token, but for its text, which nobody keeps.

    Attributes:
        name: of the token.
        scopes: what it is good for.
        studies: the beginning of the names of the studies that it is good for; "" for all.
        created: epoch seconds by the database's clock, as all times here.
        expires: after which it is good for nothing; None for never.
        used: when it was shown last, within a minute; None if never.
    """

    name: str
    scopes: tuple[Scope, ...]
    studies: str
    created: float
    expires: float | None
    used: float | None

    @property
    def rights(self) -> Rights:
        """What whoever shows it may do."""
        return Rights(name=self.name, scopes=frozenset(self.scopes), studies=self.studies)

    def to_dict(self) -> TokenJson:
        """Convert it to plain JSON values."""
        return {
            "name": self.name,
            "scopes": [scope.value for scope in self.scopes],
            "studies": self.studies,
            "created": self.created,
            "expires": self.expires,
            "used": self.used,
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row; a scope of a newer version is none here."""
        words = row["scopes"].split(",")
        scopes = tuple(scope for scope in Scope if scope.value in words)
        return cls(scopes=scopes, **{key: row[key] for key in _COLUMNS})


_COLUMNS = ("name", "studies", "created", "expires", "used")


def add_token(
    store: Store,
    name: str,
    scopes: Collection[str],
    *,
    studies: str = "",
    days: float | None = None,
) -> str:
    """Make a token, and return its text, which is kept nowhere.

    Args:
        store: where it is good for something.
        name: of the token.
        scopes: what it is good for, by their names.
        studies: the beginning of the names of the studies that it is good for.
        days: after which it expires; None for never.

    Raises:
        TokenError: there is one of that name, or something is not as required.
    """
    _check(name, scopes, studies, days)
    wanted = [scope.value for scope in Scope if scope.value in scopes]
    text = BEGINNING + secrets.token_urlsafe(32)
    now = store.now()
    values = {
        "name": name,
        "digest": digest_of(text).hex(),
        "scopes": ",".join(wanted),
        "studies": studies,
        "created": now,
        "expires": None if days is None else now + days * 86400.0,
    }
    try:
        with store.engine.begin() as connection:
            connection.execute(insert(TOKENS).values(values))
    except IntegrityError:
        again = f"cvfp-opt token revoke{store.location.option} {positional(name)}"
        raise TokenError(
            f"there is a token {name!r} in {store.location.where} already; name another one, or "
            f"type `{again}` first"
        ) from None
    return text


def read_tokens(store: Store) -> list[Token]:
    """Read all tokens, first made first."""
    if not has_table(store, TOKENS):  # no version that knows it has written here
        return []
    with store.engine.connect() as connection:
        rows = connection.execute(select(TOKENS).order_by(TOKENS.c.created, TOKENS.c.name))
        return [Token.of_row(dict(row)) for row in rows.mappings()]


def revoke_token(store: Store, name: str) -> None:
    """Make a token good for nothing, at once and for ever. Raises TokenError if there is none."""
    with store.engine.begin() as connection:
        found = connection.execute(delete(TOKENS).where(TOKENS.c.name == name)).rowcount
    if not found:
        names = [token.name for token in read_tokens(store)]
        known = nearest(name, names) if names else "it has none"
        raise TokenError(f"{store.location.where}: there is no token {name!r}; {known}")


def token_of(store: Store, digest: bytes) -> Token | None:
    """Find the token of a digest and note its use; None if it was revoked, or never made.

    Raises:
        TokenError: it has expired.
    """
    is_it = TOKENS.c.digest == digest.hex()
    with store.engine.connect() as connection:
        query = select(TOKENS, store.now().label("now")).where(is_it)
        row = connection.execute(query).mappings().first()
    if row is None:
        return None
    token, now = Token.of_row(dict(row)), row["now"]
    if token.expires is not None and now >= token.expires:
        when = datetime.fromtimestamp(token.expires, UTC)
        raise TokenError(f"token {token.name!r} expired at {when:%Y-%m-%d %H:%M} UTC")
    if token.used is None or now - token.used > _USE_SECONDS:
        stale = or_(TOKENS.c.used.is_(None), TOKENS.c.used < now - _USE_SECONDS)
        with store.engine.begin() as connection:
            connection.execute(update(TOKENS).where(is_it, stale).values(used=now))
    return token


def _check(name: str, scopes: Collection[str], studies: str, days: float | None) -> None:
    fits = isinstance(name, str) and name == name.strip() != "" and name.isprintable()
    if not fits or len(name) > _LONGEST_NAME:
        raise TokenError(
            f"token: a name of at most {_LONGEST_NAME} characters in one line is required, got "
            f"{reprlib.repr(name)}"
        )
    valid = [scope.value for scope in Scope]
    for scope in scopes:
        if scope not in valid:
            raise TokenError(f"scope: unknown name {reprlib.repr(scope)}; {nearest(scope, valid)}")
    if not scopes:
        raise TokenError(f"scope: at least one of {', '.join(valid)} is required")
    if not isinstance(studies, str) or len(studies) > MAX_NAME or not is_text(studies):
        raise TokenError(
            f"studies: the beginning of names of studies is required, at most {MAX_NAME} "
            f"characters, got {reprlib.repr(studies)}"
        )
    if days is not None and not 0 < days <= _MOST_DAYS:
        raise TokenError(f"days: above 0, at most {_MOST_DAYS} are required, got {days!r}")


_MOST_DAYS = 36500
