"""From what the user typed as ``--storage`` to one database."""

import os
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import ArgumentError

from cvfp_opt.errors import StorageError

ENVIRONMENT = "CVFP_OPT_STORAGE"
DEFAULT_PATH = Path("storage") / "cvfp.db"
_SQLITE = "sqlite:///"

# What a URL may begin with, and the driver that it then means.
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
    """Where studies lie.

    Attributes:
        url: SQLAlchemy's, with driver and password: for no screen and no file.
        path: absolute path of the SQLite file, which need not exist yet; None for a server.
        default: the user named none.
    """

    url: str
    path: Path | None = None
    default: bool = False

    @classmethod
    def of_file(cls, path: Path, *, default: bool = False) -> "Location":
        """An SQLite file."""
        path = path.expanduser().absolute()
        return cls(url=f"{_SQLITE}{path}", path=path, default=default)

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
        """What a message begins with: the file, or the URL without its password."""
        return str(self.path) if self.path is not None else self.shown

    @property
    def shown(self) -> str:
        """The URL as short as it can be typed in the current folder; a password is ``***``."""
        if self.path is None:
            url = sqlalchemy.make_url(self.url)
            return url.set(drivername=url.get_backend_name()).render_as_string()
        try:
            return f"{_SQLITE}{self.path.relative_to(Path.cwd())}"
        except ValueError:
            return self.url

    @property
    def option(self) -> str:
        """What to add to a command to mean this database; empty where none is needed."""
        named = os.environ.get(ENVIRONMENT)
        if self.default or (named and resolve_location(named) == self):
            return ""
        return f" --storage {self.shown.removeprefix(_SQLITE)}"


def resolve_location(storage: str | None) -> Location:
    """The location for a path, a URL or None (``storage/cvfp.db`` here).

    Raises:
        StorageError: a URL of another kind of database.
    """
    if storage is None:
        return Location.of_file(DEFAULT_PATH, default=True)
    scheme, separator, rest = storage.partition("://")
    if not separator:
        path = storage
    elif storage.startswith(_SQLITE):
        path = storage.removeprefix(_SQLITE)
    else:
        return _server(storage, scheme, rest)
    if not path:
        raise StorageError(f"{REQUIRED}, got nothing")
    return Location.of_file(Path(path))


def _server(storage: str, scheme: str, rest: str) -> Location:
    driver = _SERVERS.get(scheme.partition("+")[0])
    if driver is None:
        raise StorageError(f"{REQUIRED}, got one of {scheme!r}")
    try:
        url = sqlalchemy.make_url(f"{driver}://{rest}")
    except (ArgumentError, ValueError):  # its text would show the password
        raise StorageError(f"{REQUIRED}; what was given cannot be read as a URL") from None
    if not url.database:
        raise StorageError(f"{REQUIRED}, got no name of a database")
    return Location(url=url.render_as_string(hide_password=False))
