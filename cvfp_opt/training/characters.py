"""The characters of a user's file, piece by piece: the head of a large file costs its head.

A file that holds no text is recognised by its content and refused, whatever its name.
"""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from cvfp_opt.disk import open_file
from cvfp_opt.errors import DataError
from cvfp_opt.training.kinds import (
    MARKED,
    NO_TEXT,
    TO_TEXT,
    UTF8,
    Encoding,
    not_decoded,
    refuse_other_kinds,
    refuse_unmarked,
)

# Bytes to read at a time.
CHUNK = 1 << 16
_HEAD = 1 << 10
# Longest line of a file of rows, in characters: a row is held in memory, several times.
MOST_OF_A_LINE = 1 << 25

_GZIP = b"\x1f\x8b"


def is_hidden(path: Path) -> bool:
    """Check whether a file is none of its folder's data: ``.x`` of Unix, ``._x`` of macOS."""
    return path.name.startswith(".")


def looked_in(path: Path) -> str:
    """Say where a relative path was looked for: ``(in FOLDER)``; nothing of an absolute one."""
    try:
        return "" if path.is_absolute() else f" (in {os.getcwd()})"
    except OSError:  # the current folder is gone
        return ""


def pieces(path: Path) -> Iterator[str]:
    """Read the text of a file in pieces, in order.

    Without byte order mark; lines end in ``\\n``. The file is UTF-8, or UTF-16 or UTF-32 with a
    byte order mark; packed with gzip or not. What is wrong is refused when the text before it has
    been taken, wherever a piece ends: what nobody reads is not looked at.

    Raises:
        DataError: missing, no regular file, no text, not of these encodings, or damaged.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    for text, final in _decoded(path):
        # its type is that of a decoder of bytes; without one it takes text
        plain = newlines.decode(cast(bytes, text), final)
        if plain:
            yield plain


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a file, numbered from 1; see ``pieces``.

    Raises:
        DataError: see ``pieces``; a line that is too long to be a row.
    """
    begun: list[str] = []
    number, length = 1, 0
    for piece in pieces(path):
        *ended, rest = piece.split("\n")
        for line in ended:
            yield number, "".join([*begun, line])
            begun, number, length = [], number + 1, 0
        begun.append(rest)
        length += len(rest)
        if length > MOST_OF_A_LINE:
            raise DataError(
                f"{path}:{number}: a row a line is required, of at most {MOST_OF_A_LINE:,} "
                "characters, this line is longer; if all of it is one text, write that to a "
                ".txt file and name it"
            )
    if length:
        yield number, "".join(begun)


def _decoded(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the text of a file in pieces, and whether each is the last."""
    with _opened(path) as file:
        pending = file.read(_HEAD)
        refuse_other_kinds(pending, path)
        encoding = next((one for one in MARKED if pending.startswith(one.mark)), UTF8)
        if encoding is UTF8:
            refuse_unmarked(pending, path)
        offset = len(encoding.mark)
        pending = pending[offset:]
        final = False
        while not final:
            chunk = file.read(CHUNK)
            # one read ahead: a sequence that is cut off counts as wrong at the end of the file
            final = not chunk
            text, used, wrong = _decode(encoding, pending, final)
            before, null, _ = text.partition("\0")
            if null:
                yield before, True
                raise DataError(f"{path}: text is required, this holds {NO_TEXT}; {TO_TEXT}")
            yield text, final or wrong
            if wrong:
                raise DataError(not_decoded(path, encoding, pending[used:], offset + used))
            offset += used
            pending = pending[used:] + chunk


def _decode(encoding: Encoding, raw: bytes, final: bool) -> tuple[str, int, bool]:
    """Decode what can be; return also how many bytes that took, and whether the rest is wrong."""
    try:
        text, used = encoding.decode(raw, "strict", final)
    except UnicodeDecodeError as error:
        text, used = encoding.decode(raw[: error.start], "strict", True)
        return text, used, True
    return text, used, False


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, and unpack it if it is packed with gzip."""
    with open_file(path, error=DataError) as file:
        try:
            # os.fdopen gives a BufferedReader, which can look ahead
            if file.peek(2).startswith(_GZIP):  # type: ignore[attr-defined]
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: packed with gzip, but damaged: {error}") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
