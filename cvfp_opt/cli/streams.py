"""Standard streams that may be closed, full, or unable to write a character.

A command's work is worth more than its output: whatever happens to a terminal or a pipe, the work
goes on, and what could not be written is reported at the end.
"""

import errno
import io
import os
import select
import signal
import sys
from typing import Any

# Error handlers that raise where a character is not in the encoding; all others replace it.
_RAISING = ("strict", "surrogateescape")


class Output(io.FileIO):
    """A descriptor that takes everything, and remembers why something was lost.

    Args:
        descriptor: to write to; where nobody reads standard output any more (``| head``), what
            can be stopped and gone on with stops, as by ``kill``.
        refusal: why it is not even tried.

    Attributes:
        lost: why something that was written did not arrive.
    """

    lost: OSError | None = None

    def __init__(self, descriptor: int, refusal: OSError | None = None) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._refusal = refusal

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest and self._refusal is None:
            try:
                written = super().write(rest)
            except OSError as error:
                self._refusal = error
                if error.errno == errno.EPIPE and self.fileno() == 1:
                    _stop_gently()
            else:
                if written is None:  # another program made the terminal non-blocking
                    select.select([], [self], [])
                rest = rest[written or 0 :]
        if rest:
            self.lost = self._refusal
        return size


def guard_streams() -> None:
    """Put streams that never raise in the place of the standard ones.

    A closed one becomes the null device: else the next file to be opened, such as the database,
    would be standard output. Streams that somebody else has put there are left alone.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, descriptor)
            os.set_inheritable(descriptor, True)
            if null != descriptor:
                os.close(null)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None or stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _guarded(stream, descriptor))


def lost_output() -> OSError | None:
    """Say why something that was printed to standard output is lost; None if nothing is."""
    raw = getattr(sys.stdout, "buffer", None)
    return raw.lost if isinstance(raw, Output) else None


def _guarded(stream: Any, descriptor: int) -> io.TextIOWrapper:
    closed = OSError(errno.EBADF, "it is closed")
    errors = "strict" if stream is None else stream.errors
    return io.TextIOWrapper(  # around a raw stream, as with `python -u`
        Output(descriptor, closed if stream is None else None),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace" if errors in _RAISING else errors,
        write_through=True,
    )


def _stop_gently() -> None:
    if callable(signal.getsignal(signal.SIGTERM)):
        os.kill(os.getpid(), signal.SIGTERM)
