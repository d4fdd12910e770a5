"""Values on their way out of a database: one that its column cannot hold is damage, no bug.

SQLite keeps anything in any column, disks turn bits over, and other programs write to the same
tables. Whatever comes up while rows are made into values is told as the database's fault; what
comes up later, with values that were read, is ours.
"""

import json
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages._rdb import models
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What Python, SQLAlchemy and Optuna raise over values that they did not expect."""

_OURS = str(Path(__file__).parents[2])  # the package
# Whoever makes values of rows: what they raise was in the rows.
_READERS = (
    "sqlalchemy/cyextension/",
    "sqlalchemy/engine/cursor",
    "sqlalchemy/engine/result",
    "sqlalchemy/engine/row",
    "optuna/storages/",
)
# What databases say of a file that is not whole, or of tables that somebody changed.
_BROKEN = re.compile(
    r"malformed|corrupt|not a database|could not decode|no such (table|column)|datatype mismatch"
    r"|does ?n[o']t exist|undefined (table|column)|unknown column",
    re.IGNORECASE,
)
_WORDS = 200
# Halves of surrogate pairs, also of whole ones.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class Damaged(StorageInternalError):
    """Rows of which no study or trial can be made; says which, and why."""


@contextmanager
def values_read(of: str) -> Iterator[None]:
    """While values are made of rows.

    Args:
        of: what they are of.

    Raises:
        Damaged: something in them is not what it has to be.
    """
    try:
        yield
    except UNREADABLE as error:
        raise Damaged(f"{of}: {_words(error)}") from error


def damage(error: BaseException) -> str:
    """Say what is damaged, by an error of a database or of its values; "" for other errors."""
    if isinstance(error, Damaged):
        return str(error)
    if isinstance(error, UNREADABLE):
        return _words(error) if _came_of_rows(error) else ""
    if isinstance(error, StorageInternalError):
        error = error.__cause__ or error
    if isinstance(error, SQLAlchemyError):
        text = _words(getattr(error, "orig", None) or error)
        is_told = not isinstance(error, DBAPIError)  # SQLAlchemy's own: of rows that do not fit
        return text if is_told or _BROKEN.search(text) else ""
    return ""


def parsed(text: Any) -> Any:
    """The value of a JSON text; None for what is no JSON, or nested too deep to be read."""
    try:
        return json.loads(without_halves(text))
    except (TypeError, ValueError, RecursionError):
        return None


def without_halves(text: str) -> str:
    """JSON with a question mark for half a surrogate pair, which no file and no terminal takes."""
    if not _SURROGATE.search(text):
        return text
    whole = json.dumps(json.loads(text), ensure_ascii=False)
    return whole.encode("utf-8", "replace").decode("utf-8")


def all_parsed(texts: Mapping[str, Any]) -> dict[str, Any]:
    """The same of attributes, by key."""
    return {key: parsed(text) for key, text in texts.items()}


def _came_of_rows(error: BaseException) -> bool:
    """Check whether it came up below our code, in what makes values of rows."""
    names = [
        frame.f_code.co_filename.replace("\\", "/")
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    ours = max((i for i, name in enumerate(names) if name.startswith(_OURS)), default=-1)
    # SQLite's driver cannot say what is wrong with a name that is no text
    undecoded = isinstance(error, UnicodeDecodeError)
    readers = (*_READERS, "sqlalchemy/engine/") if undecoded else _READERS
    return any(reader in name for name in names[ours + 1 :] for reader in readers)


def _words(error: BaseException) -> str:
    if isinstance(error, KeyError) and error.args == (models.NOT_FOUND_MSG,):
        return "a study or trial is not there any more"
    text = " ".join(str(error).split())
    text = text if isinstance(error, SQLAlchemyError) else f"{type(error).__name__} {text}"
    return text if len(text) <= _WORDS else f"{text[:_WORDS]}…"
