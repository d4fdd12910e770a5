"""The characters of a user's file, piece by piece: the head of a large file costs its head.

What is no text is told by its content and refused, whatever the file is called.
"""

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from cvfp_opt.elsewhere import quoted
from cvfp_opt.errors import DataError
from cvfp_opt.files import open_file

# Bytes that are read at a time.
CHUNK = 1 << 16
_HEAD = 1 << 10
# No line of a file of rows is longer, in characters: a row is held in memory, several times.
MOST_OF_A_LINE = 1 << 25

_GZIP = b"\x1f\x8b"
_TO_TEXT = "write its text to a .txt file and name that"
_NO_TEXT = "null bytes or control characters"
_NOT_CONTROLS = bytes([*b"\b\t\n\v\f\r\x1b", *range(0x20, 0x100)])
_UNPACK = "unpack it, and name what was in it"
# How files of other kinds begin, what they are, and what to do instead. PDF and RTF may be ASCII
# for long, all others would be refused anyway: here they are called by their name.
_OTHER_KINDS = (
    (b"PK\x03\x04", "a zip archive (.docx, .odt and .epub are such)", _TO_TEXT),
    (b"%PDF-", "a PDF", f"{_TO_TEXT}, for instance: pdftotext {{file}} text.txt"),
    (b"{\\rtf", "an RTF document", _TO_TEXT),
    (b"\xd0\xcf\x11\xe0", "an office document", _TO_TEXT),
    (b"PAR1", "a parquet file", "name a file that ends in .parquet"),
    (b"ARROW1\0", "an Arrow file", "write its rows to a .parquet or .jsonl file and name that"),
    (b"SQLite format 3\0", "an SQLite database", _TO_TEXT),
    (b"BZh91AY&SY", "packed with bzip2", _UNPACK),
    (b"\xfd7zXZ\0", "packed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", _UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (b"\x00\x05\x16\x07", "an AppleDouble file (macOS keeps attributes in it)", _TO_TEXT),
    (b"version https://git-lfs", "a pointer of Git LFS", "type: git lfs pull"),
)

_Decode = Callable[[bytes, str, bool], tuple[str, int]]


@dataclass(frozen=True)
class _Encoding:
    name: str
    mark: bytes
    decode: _Decode


# Told by their byte order marks; UTF-32 first: its mark begins as UTF-16's.
_MARKED = (
    _Encoding("UTF-8", codecs.BOM_UTF8, codecs.utf_8_decode),
    _Encoding("UTF-32LE", codecs.BOM_UTF32_LE, codecs.utf_32_le_decode),
    _Encoding("UTF-32BE", codecs.BOM_UTF32_BE, codecs.utf_32_be_decode),
    _Encoding("UTF-16LE", codecs.BOM_UTF16_LE, codecs.utf_16_le_decode),
    _Encoding("UTF-16BE", codecs.BOM_UTF16_BE, codecs.utf_16_be_decode),
)
_UTF8 = _Encoding("UTF-8", b"", codecs.utf_8_decode)


def is_hidden(path: Path) -> bool:
    """Whether a file of a folder is none of its data: ``.x`` of Unix, ``._x`` of macOS."""
    return path.name.startswith(".")


def looked_in(path: Path) -> str:
    """Say where a relative path was looked for: ``(in FOLDER)``; nothing of an absolute one."""
    try:
        return "" if path.is_absolute() else f" (in {os.getcwd()})"
    except OSError:  # the current folder is gone
        return ""


def pieces(path: Path) -> Iterator[str]:
    """The text of a file, in order, in pieces; without byte order mark, lines end in ``\\n``.

    UTF-8, or UTF-16 or UTF-32 with a byte order mark; packed with gzip or not. What is wrong is
    refused when the text before it has been taken, wherever a piece ends: what nobody reads is
    not looked at.

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
    """The lines of a file, and their numbers from 1 on; see ``pieces``.

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
    """The text of a file in pieces, and whether each is the last."""
    with _opened(path) as file:
        pending = file.read(_HEAD)
        refuse_other_kinds(pending, path)
        encoding = next((one for one in _MARKED if pending.startswith(one.mark)), _UTF8)
        if encoding is _UTF8:
            _refuse_unmarked(pending, path)
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
                raise DataError(f"{path}: text is required, this holds {_NO_TEXT}; {_TO_TEXT}")
            yield text, final or wrong
            if wrong:
                raise DataError(_not_decoded(path, encoding, pending[used:], offset + used))
            offset += used
            pending = pending[used:] + chunk


def _decode(encoding: _Encoding, raw: bytes, final: bool) -> tuple[str, int, bool]:
    """What can be decoded, how many bytes that took, and whether what follows is wrong."""
    try:
        text, used = encoding.decode(raw, "strict", final)
    except UnicodeDecodeError as error:
        text, used = encoding.decode(raw[: error.start], "strict", True)
        return text, used, True
    return text, used, False


def _not_decoded(path: Path, encoding: _Encoding, raw: bytes, offset: int) -> str:
    """What is wrong from an offset on, and what to do: by what the bytes there look like."""
    where = f"{path}: {encoding.name} text is required, but the byte at offset {offset} is not"
    if encoding.name != _UTF8.name:
        return f"{where}: the file is damaged or cut off; bring a whole one"
    if _is_binary(raw):
        return f"{where}: it is no text; {_TO_TEXT}"
    return f"{where}; convert it, for instance: iconv -f latin1 -t utf-8 {quoted(path)} > utf8.txt"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked if it is packed with gzip."""
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


def refuse_other_kinds(head: bytes, path: Path, *, but: Collection[bytes] = ()) -> None:
    """Refuse a file that begins as no text does, by the name of what it is.

    Args:
        head: how it begins.
        path: of the file.
        but: beginnings that are in order here.

    Raises:
        DataError: it is such a file.
    """
    for magic, kind, instead in _OTHER_KINDS:
        if head.startswith(magic) and magic not in but:
            hint = instead.format(file=quoted(path))
            raise DataError(f"{path}: text is required, this is {kind}; {hint}")


def _refuse_unmarked(head: bytes, path: Path) -> None:
    """Refuse what begins as no UTF-8 text does; tell UTF-16 and UTF-32 without their marks."""
    if not _is_binary(head):
        return
    name = _looks_like(head)
    if name is not None:
        raise DataError(
            f"{path}: UTF-8 text is required, this looks like {name}; convert it: "
            f"iconv -f {name} -t utf-8 {quoted(path)} > utf8.txt"
        )
    raise DataError(f"{path}: text is required, this holds {_NO_TEXT}; {_TO_TEXT}")


def _is_binary(raw: bytes) -> bool:
    """Whether bytes hold what UTF-8 text does not, or hardly: nulls, control characters."""
    controls = len(raw.translate(None, delete=_NOT_CONTROLS))
    return b"\0" in raw or controls > len(raw) / 50


def _looks_like(head: bytes) -> str | None:
    """The encoding in which bytes would be text, if there is one."""
    found: dict[str, int] = {}
    for encoding in _MARKED[1:]:
        try:
            text, _ = encoding.decode(head, "strict", False)
        except UnicodeDecodeError:
            continue
        shown = sum(one.isprintable() or one in "\n\r\t" for one in text)
        if text and shown > 0.95 * len(text):
            # read in the wrong order, Latin letters are Chinese: count what is in every text
            found[encoding.name] = sum(one < "\x7f" or "\u3000" <= one <= "\u303f" for one in text)
    return max(found, key=lambda name: found[name], default=None)
