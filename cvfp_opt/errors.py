"""The error tree: everything that library code raises for a user to read.

A message says what was required, what we got, where, and what to type instead. Only the
command line turns these into text and an exit code; anything else that is raised is a bug.
"""

import difflib
from collections.abc import Iterable

from cvfp_opt.elsewhere import printable


class CvfpOptError(Exception):
    """Base of all expected errors; its text is the user's message."""


class DefinitionError(CvfpOptError):
    """A study definition, or a value given for one of its keys, is not acceptable."""


class DataError(CvfpOptError):
    """Text cannot be read or does not suffice."""


class DeviceError(CvfpOptError):
    """The device or thread count asked for is not to be had."""


class StorageError(CvfpOptError):
    """The study database cannot be opened, read or written."""


class CheckpointError(CvfpOptError):
    """A checkpoint is missing, damaged, or of another kind."""


class StudyError(CvfpOptError):
    """A study is missing, or differs from what was asked for."""


class ArchiveError(CvfpOptError):
    """An exported study is damaged, of another kind, or made to do harm."""


class ClusterError(CvfpOptError):
    """A Dask cluster cannot be reached, or is not fit for the search."""


class ReportError(CvfpOptError):
    """A report or picture cannot be made or written."""


class ServerError(CvfpOptError):
    """The dashboard cannot listen where it was asked to."""


class SearchError(CvfpOptError):
    """The search stopped itself and says why."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """`` Did you mean X?`` for the valid name most like ``name``; else the list of names."""
    names = sorted(valid)
    shown = printable(", ".join(names))
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}? (valid: {shown})"
    return f"valid: {shown}"
