"""Kinds of files by their first bytes: text of some encoding, or something that has a name."""

import codecs
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from cvfp_opt.errors import DataError
from cvfp_opt.escaping import quoted

TO_TEXT = "write its text to a .txt file and name that"
NO_TEXT = "null bytes or control characters"
_NOT_CONTROLS = bytes([*b"\b\t\n\v\f\r\x1b", *range(0x20, 0x100)])
_UNPACK = "unpack it, and name what was in it"
# How files of other kinds begin, what they are, and what to do instead. PDF and RTF may begin with
# much ASCII; all others would be refused anyway, and are here to be called by their names.
_OTHER_KINDS = (
    (b"PK\x03\x04", "a zip archive (.docx, .odt and .epub are such)", TO_TEXT),
    (b"%PDF-", "a PDF", f"{TO_TEXT}, for instance: pdftotext {{file}} text.txt"),
    (b"{\\rtf", "an RTF document", TO_TEXT),
    (b"\xd0\xcf\x11\xe0", "an office document", TO_TEXT),
    (b"PAR1", "a parquet file", "name a file that ends in .parquet"),
    (b"ARROW1\0", "an Arrow file", "write its rows to a .parquet or .jsonl file and name that"),
    (b"SQLite format 3\0", "an SQLite database", TO_TEXT),
    (b"BZh91AY&SY", "packed with bzip2", _UNPACK),
    (b"\xfd7zXZ\0", "packed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", _UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (b"\x00\x05\x16\x07", "an AppleDouble file (macOS keeps attributes in it)", TO_TEXT),
    (b"version https://git-lfs", "a pointer of Git LFS", "type: git lfs pull"),
)

_Decode = Callable[[bytes, str, bool], tuple[str, int]]


@dataclass(frozen=True)
class Encoding:
    """An encoding, its byte order mark, and what decodes as much as is whole."""

    name: str
    mark: bytes
    decode: _Decode


# Encodings with a byte order mark; UTF-32 first, for its mark begins as UTF-16's.
MARKED = (
    Encoding("UTF-8", codecs.BOM_UTF8, codecs.utf_8_decode),
    Encoding("UTF-32LE", codecs.BOM_UTF32_LE, codecs.utf_32_le_decode),
    Encoding("UTF-32BE", codecs.BOM_UTF32_BE, codecs.utf_32_be_decode),
    Encoding("UTF-16LE", codecs.BOM_UTF16_LE, codecs.utf_16_le_decode),
    Encoding("UTF-16BE", codecs.BOM_UTF16_BE, codecs.utf_16_be_decode),
)
UTF8 = Encoding("UTF-8", b"", codecs.utf_8_decode)


def refuse_other_kinds(head: bytes, path: Path, *, but: Collection[bytes] = ()) -> None:
    """Refuse a file that begins as no text does, by the name of what it is.

    Args:
        head: how it begins.
        path: path of the file, for the message.
        but: beginnings that are in order here.

    Raises:
        DataError: it is such a file.
    """
    for magic, kind, instead in _OTHER_KINDS:
        if head.startswith(magic) and magic not in but:
            hint = instead.format(file=quoted(path))
            raise DataError(f"{path}: text is required, this is {kind}; {hint}")


def refuse_unmarked(head: bytes, path: Path) -> None:
    """Refuse what begins as no UTF-8 text does; tell UTF-16 and UTF-32 without their marks."""
    if not _is_binary(head):
        return
    name = _looks_like(head)
    if name is not None:
        raise DataError(
            f"{path}: UTF-8 text is required, this looks like {name}; convert it: "
            f"iconv -f {name} -t utf-8 {quoted(path)} > utf8.txt"
        )
    raise DataError(f"{path}: text is required, this holds {NO_TEXT}; {TO_TEXT}")


def _is_binary(raw: bytes) -> bool:
    """Check for bytes that UTF-8 text hardly holds: nulls, many control characters."""
    controls = len(raw.translate(None, delete=_NOT_CONTROLS))
    return b"\0" in raw or controls > len(raw) / 50


def _looks_like(head: bytes) -> str | None:
    """Guess the encoding in which bytes would be text; None if there is none."""
    found: dict[str, int] = {}
    for encoding in MARKED[1:]:
        try:
            text, _ = encoding.decode(head, "strict", False)
        except UnicodeDecodeError:
            continue
        shown = sum(one.isprintable() or one in "\n\r\t" for one in text)
        if text and shown > 0.95 * len(text):
            # read in the wrong order, Latin letters are Chinese: count what is in every text
            found[encoding.name] = sum(one < "\x7f" or "\u3000" <= one <= "\u303f" for one in text)
    return max(found, key=lambda name: found[name], default=None)


def not_decoded(path: Path, encoding: Encoding, raw: bytes, offset: int) -> str:
    """Say what is wrong from an offset on, and what to do about it."""
    where = f"{path}: {encoding.name} text is required, but the byte at offset {offset} is not"
    if encoding.name != UTF8.name:
        return f"{where}: the file is damaged or cut off; bring a whole one"
    if _is_binary(raw):
        return f"{where}: it is no text; {TO_TEXT}"
    return f"{where}; convert it, for instance: iconv -f latin1 -t utf-8 {quoted(path)} > utf8.txt"
