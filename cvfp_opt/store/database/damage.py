"""Damaged values: what a database gives out and its column cannot hold is damage, no bug.

SQLite keeps anything in any column, disks turn bits over, and other programs write to the same
tables. Errors while rows are made into values are reported as the database's
damage; errors later, with values that were read, are bugs of ours.
"""

import json
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cvfp_opt.store.database.optuna_private import NOT_FOUND

UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""The errors that Python, SQLAlchemy and Optuna raise over unexpected values."""

_OURS = str(Path(__file__).parents[2])  # the package
# These packages make values of rows: what they raise was in the rows.
_READERS = (
    "sqlalchemy/cyextension/",
    "sqlalchemy/engine/cursor",
    "sqlalchemy/engine/result",
    "sqlalchemy/engine/row",
    "sqlalchemy/engine/_",
    "sqlalchemy/sql/sqltypes",
    "optuna/storages/",
)
# Words of databases about a file that is not whole, or about tables that somebody changed.
_BROKEN = re.compile(
    r"malformed|corrupt|not a database|could not decode|no such (table|column)|datatype mismatch"
    r"|does ?n[o']t exist|undefined (table|column)|unknown column",
    re.IGNORECASE,
)
_WORDS = 200
# This finds halves of surrogate pairs, also of whole pairs.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class Damaged(StorageInternalError):
    """Rows of which no study or trial can be made; the message has which, and why."""


@contextmanager
def values_read(of: str) -> Iterator[None]:
    """Raise Damaged for all that fails while values are made of rows.

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
    """Describe the damage behind an error of a database or of its values; "" for other errors."""
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
    """Parse a JSON text; None for what is no JSON, or nested too deep to be read."""
    try:
        return json.loads(without_halves(text))
    except (TypeError, ValueError, RecursionError):
        return None


def without_halves(text: str) -> str:
    """Put a question mark for half a surrogate pair in JSON: no file and no terminal takes one."""
    if not _SURROGATE.search(text):
        return text
    whole = json.dumps(json.loads(text), ensure_ascii=False)
    return whole.encode("utf-8", "replace").decode("utf-8")


def all_parsed(texts: Mapping[str, Any]) -> dict[str, Any]:
    """Parse attributes, which are JSON texts by key."""
    return {key: parsed(text) for key, text in texts.items()}


def _came_of_rows(error: BaseException) -> bool:
    """Check whether an error was raised below our code, by what makes values of rows."""
    names = [
        frame.f_code.co_filename.replace("\\", "/")
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    ours = max((i for i, name in enumerate(names) if name.startswith(_OURS)), default=-1)
    # SQLite's driver has no words for a name that is no text
    undecoded = isinstance(error, UnicodeDecodeError)
    readers = (*_READERS, "sqlalchemy/engine/") if undecoded else _READERS
    return any(reader in name for name in names[ours + 1 :] for reader in readers)


def _words(error: BaseException) -> str:
    if isinstance(error, KeyError) and error.args == (NOT_FOUND,):
        return "a study or trial is not there any more"
    text = " ".join(str(error).split())
    text = text if isinstance(error, SQLAlchemyError) else f"{type(error).__name__} {text}"
    return text if len(text) <= _WORDS else f"{text[:_WORDS]}…"
