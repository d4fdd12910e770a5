"""The error tree: everything that library code raises for a user to read.

A message says what was required, what we got, where, and what to type instead. Only the
command line turns these into text and an exit code; anything else that is raised is a bug.
"""

import difflib
import re
from collections.abc import Iterable

from cvfp_opt.escaping import LONGEST_NAME, choices


class CvfpOptError(Exception):
    """Base of all expected errors; its text is the user's message.

    Args:
        lines: of the message, one as a rule. What comes from elsewhere may hold line feeds: they
            make no lines.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class DefinitionError(CvfpOptError):
    """A study definition, or a value given for one of its keys, is not acceptable."""


class PointError(DefinitionError):
    """A trial's parameters are no point of its study's space, so that it cannot be trained."""


class DataError(CvfpOptError):
    """Text cannot be read or does not suffice."""


class DeviceError(CvfpOptError):
    """The device or thread count asked for is not available."""


class StorageError(CvfpOptError):
    """The study database cannot be opened, read or written."""


class CheckpointError(CvfpOptError):
    """A checkpoint is missing, damaged, or of another kind."""


class StudyError(CvfpOptError):
    """A study is missing, or differs from what was asked for."""


class StudyMissing(StudyError):
    """There is no such study, trial or worker."""


class StudyExists(StudyError):
    """There is another study of that name already."""


class StudyChanged(StudyError):
    """A study was changed by somebody else since it was looked at."""


class ArchiveError(CvfpOptError):
    """An exported study is damaged, of another kind, or made to do harm."""


class ClusterError(CvfpOptError):
    """A Dask cluster cannot be reached, or is not fit for the search."""


class ReportError(CvfpOptError):
    """A report or picture cannot be made or written."""


class ServerError(CvfpOptError):
    """A server cannot listen where it was asked to, or does not answer."""


class TokenError(CvfpOptError):
    """A token is unknown or has expired, or cannot be made."""


class NotifyError(CvfpOptError):
    """The file that names hooks is not as required, or a hook cannot be told."""


class SearchError(CvfpOptError):
    """The search stopped itself, for the reason given."""


def foreign_fault(error: BaseException) -> str:
    """Describe what the system, the disk or the memory did to a command; "" for all else.

    The last resort: code that knows what it was doing raises a better error of its own.
    """
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}the system refuses: {error.strerror}"
    if isinstance(error, UnicodeEncodeError) and (odd := unreadable(str(error.object))):
        return f"{error.object!a}: UTF-8 text is required, {odd}; rename it"
    if isinstance(error, RecursionError):
        return f"what was read is nested too deeply: {error}"
    # torch has no class of its own for the memory of a CPU
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))
    ):
        return (
            "the memory of this machine or device does not suffice; take less at once "
            "(--n-jobs 1, a smaller training.minibatch_size) or end other programs"
        )
    return ""


_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


def unreadable(text: str) -> str:
    """Say why a text that came from outside can neither be kept nor shown; "" if it can."""
    if "\0" in text:
        return "this has a null byte"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "this has bytes that are none"
    return ""


_MOST_COMPARED = 1000


def nearest(name: str, valid: Iterable[str]) -> str:
    """Name the valid name most like ``name``, ``did you mean X?``; else list them."""
    names = sorted(valid)
    shown = choices(names)
    # comparing takes the product of their lengths, and a database has any number of studies
    alike = [one for one in names if len(one) <= LONGEST_NAME][:_MOST_COMPARED]
    close = difflib.get_close_matches(name[:LONGEST_NAME], alike, n=1)
    if close:
        return f"did you mean {close[0]!r}? (valid: {shown})"
    return f"valid: {shown}"
