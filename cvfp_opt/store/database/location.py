"""Locations of study databases, and how ``--storage`` is read."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import sqlalchemy
from sqlalchemy.exc import ArgumentError

from cvfp_opt.errors import StorageError
from cvfp_opt.escaping import printable, quoted
from cvfp_opt.redaction import HARMLESS, HIDDEN, redacted

ENVIRONMENT = "CVFP_OPT_STORAGE"
DEFAULT_PATH = Path("storage") / "cvfp.db"
_SQLITE = "sqlite:///"
_SQLITE_SCHEMES = ("sqlite", "sqlite+pysqlite")
_MEMORY = ":memory:"

# The beginnings of a URL, and the driver that each means.
_SERVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
REQUIRED = (
    f"--storage: a path, {_SQLITE}PATH, postgresql://USER@HOST/DATABASE or "
    "mysql://USER@HOST/DATABASE is required"
)


@dataclass(frozen=True)
class Location:
    """The place of a study database.

    Attributes:
        url: SQLAlchemy's, with driver and password: for no screen and no file.
        path: absolute path of the SQLite file, which need not exist yet, with all links followed:
            a file has one lock and one folder of artifacts, whatever it is called; None for a
            server.
        default: the user named none.
        named: absolute path of the SQLite file as the user named it.
    """

    url: str
    path: Path | None = None
    default: bool = False
    named: Path | None = field(default=None, compare=False)

    @classmethod
    def of_file(cls, path: Path, *, default: bool = False) -> "Location":
        """Locate an SQLite file. Raises StorageError if there can be no file of that name."""
        named, real = resolved(path, f"--storage {path}")
        # as a file's own URL: SQLAlchemy 2.0 reads a plain path as it is, 2.1 decodes it
        url = sqlalchemy.URL.create("sqlite", database=real.as_uri(), query={"uri": "true"})
        return cls(url=url.render_as_string(), path=real, default=default, named=named)

    @property
    def kind(self) -> str:
        """A key of database.kinds.KINDS."""
        return sqlalchemy.make_url(self.url).get_backend_name()

    @property
    def file(self) -> Path:
        """The path of what is known to be an SQLite file."""
        assert self.path is not None, self.kind
        return self.path

    @property
    def where(self) -> str:
        """The beginning of a message: the file, or the URL without its password."""
        return self.shown if self.path is None else printable(self.named or self.path)

    @property
    def shown(self) -> str:
        """The URL as short as it can be typed in the current folder; a password is ``***``."""
        if self.path is None:
            url = sqlalchemy.make_url(self.url)
            url = url.set(drivername=url.get_backend_name())
            return printable(redacted(url.render_as_string(hide_password=False), word=True))
        word = self._word
        # in a URL some characters mean something else
        return printable(word if set(word) & set("?%") else f"{_SQLITE}{word}")

    @property
    def option(self) -> str:
        """The option to add to a command to mean this database; "" where none is needed."""
        if self.default or self == _of_environment():
            return ""
        return f" --storage {quoted(self.shown if self.path is None else self._word)}"

    def redacted(self, text: object) -> str:
        """Take this URL's secrets out of a driver's message, however it may quote them."""
        shown = redacted(str(text).replace(self.url, self.shown))
        for secret in _secrets(self.url):
            shown = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, shown)
        return shown

    @property
    def _word(self) -> str:
        """The path as it can be typed in the current folder."""
        named = self.named or self.file
        try:
            word = str(named.relative_to(Path.cwd()))
        except (ValueError, OSError):  # elsewhere; or the folder is gone
            return str(named)
        return f"./{word}" if word.startswith(("~", "-", _MEMORY)) else word


def resolve_location(storage: str | None) -> Location:
    """Resolve a path, a URL or None (``storage/cvfp.db`` here) to a location.

    Raises:
        StorageError: a URL of another kind of database, or one that cannot be understood.
    """
    if storage is None:
        return Location.of_file(DEFAULT_PATH, default=True)
    scheme, separator, rest = storage.partition("://")
    if separator and scheme not in _SQLITE_SCHEMES:
        return _server(scheme, rest)
    path = _sqlite_path(rest) if separator else storage
    if not path.strip():
        raise StorageError(f"{REQUIRED}, got nothing")
    if path.partition(":")[0] in (*_SQLITE_SCHEMES, *_SERVERS) and ":" in path and not separator:
        raise StorageError(f"{REQUIRED}, got a URL without its two slashes")
    if path == _MEMORY:
        raise StorageError(f"{REQUIRED}, got {_MEMORY}, where nothing would be kept")
    return Location.of_file(user_path(path, "--storage"))


def user_path(text: str, option: str) -> Path:
    """Expand ``~`` and ``~USER`` in a path that a user typed.

    Raises:
        StorageError: there is no such user.
    """
    found = os.path.expanduser(text)
    if found.startswith("~"):
        raise StorageError(
            f"{option} {quoted(text)}: there is no user {quoted(text.partition('/')[0][1:])} "
            f"here; if it is the name of a file or folder, type {quoted('./' + text)}"
        )
    return Path(found)


def resolved(path: Path, name: str) -> tuple[Path, Path]:
    """Resolve a path: the absolute one, and the one with all links followed.

    Args:
        path: need not exist.
        name: what the message begins with.

    Raises:
        StorageError: no system takes such a path, or the current folder is gone.
    """
    try:
        return path.absolute(), Path(os.path.realpath(path))
    except ValueError as error:  # a null byte, say
        raise StorageError(f"{printable(name)}: cannot be a path: {error}") from None
    except OSError as error:
        raise StorageError(
            f"{printable(name)}: cannot be resolved: {error.strerror} (is the current folder "
            "gone?); name an absolute path"
        ) from None


def _of_environment() -> Location | None:
    named = os.environ.get(ENVIRONMENT)
    try:
        return resolve_location(named) if named else None
    except StorageError:
        return None


def _sqlite_path(rest: str) -> str:
    """Read the path in what follows ``sqlite://``."""
    if rest and not rest.startswith("/"):
        raise StorageError(
            f"{REQUIRED}, got two slashes after sqlite: where three belong: {_SQLITE}PATH"
        )
    path, question, query = rest[1:].partition("?")
    if not question:
        return path
    database = sqlalchemy.make_url(f"sqlite://{rest}").database or ""
    if query == "uri=true" and database.startswith("file:") and "?" not in database:
        return os.fsdecode(
            unquote_to_bytes(urlsplit(database).path)
        )  # as SQLAlchemy, and ``url``, name a file
    raise StorageError(
        f"{REQUIRED}; {_SQLITE}PATH takes nothing after a question mark: leave it out, or "
        f"type the path without {_SQLITE} if it has one"
    )


def _server(scheme: str, rest: str) -> Location:
    driver = _SERVERS.get(scheme.partition("+")[0])
    if driver is None:
        raise StorageError(f"{REQUIRED}, got one of {scheme!r}")
    try:
        url = sqlalchemy.make_url(f"{driver}://{rest}")
    except (ArgumentError, ValueError):  # its text would show the password
        raise StorageError(
            f"{REQUIRED}; what was given cannot be read as a URL; in a password, %40 stands for "
            "@, %3A for :, %2F for /, %25 for %"
        ) from None
    if "@" in f"{url.host}{url.database}" or not all(map(str.isidentifier, url.query)):
        raise StorageError(
            f"{REQUIRED}; what was given can be read in two ways: type %40 for an @ in the "
            "password, %2F for /, %3F for ?, %26 for &"
        )
    if not url.database:
        raise StorageError(f"{REQUIRED}, got no name of a database")
    return Location(url=url.render_as_string(hide_password=False))


def _secrets(url: str) -> list[str]:
    """List what must be written nowhere: the password, and what in a query may be one."""
    made = sqlalchemy.make_url(url)
    found = [made.password, *(v for k, v in made.query.items() if k not in HARMLESS)]
    if made.get_backend_name() not in _SERVERS:
        return []
    values = [one for value in found for one in (value if isinstance(value, tuple) else (value,))]
    return [str(value) for value in values if value]
