"""Safe reading of a zip file from anywhere: nothing is extracted, nothing trusted unchecked.

Zip files can name paths outside the folder they are unpacked to, be links, swell to terabytes, or
hold one name twice. Here no name ever becomes a path: a member is read if its name is one of those
expected, and no further than its declared length.
"""

import hashlib
import io
import os
import re
import reprlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from cvfp_opt.disk import open_file
from cvfp_opt.errors import ArchiveError
from cvfp_opt.escaping import excerpt

# Only text is compressed: artifacts can swell to no more than the file's size.
MAX_MEMBERS = 200_000
MAX_TEXT = 2**30
MAX_RATIO = 100
# Below this size any ratio is accepted: a few empty trials compress well.
RATIO_FROM = 2**20

MAX_LINE = 2**24

# Bytes of memory that the text may take until it is in a database: so many for any file, and so
# many more for each byte of it. Exports take 40 to 100 for each; one made to do harm took 3000.
FREE_MEMORY = 2**27
MEMORY_PER_BYTE = 160
# A value of JSON takes so much, measured with half a million small attributes, and begins or ends
# with one of these; a line takes as much.
_VALUE = 160
_MARKS = (b",", b":", b"[", b"{", b"\n")
# Copies of a text in memory while it is read: in lines, and as a whole.
_COPIES, _WHOLE_COPIES = 2, 4

MANIFEST = "manifest.json"
ARTIFACTS = "artifacts/"
_ENCRYPTED = 0x1
_CHUNK = 2**20


class SafeZip:
    """An open zip file whose members have passed all checks that need no reading.

    Attributes:
        path: of the file, for messages.
        sizes: declared size of each member, by name.
    """

    def __init__(self, path: Path, file: zipfile.ZipFile, size: int) -> None:
        self.path = path
        self._file = file
        infos = file.infolist()
        if len(infos) > MAX_MEMBERS:
            raise ArchiveError(f"{path}: at most {MAX_MEMBERS} members are allowed: {len(infos)}")
        for info in infos:
            self._check(info)
        self.sizes = {info.filename: info.file_size for info in infos}
        if len(self.sizes) < len(infos):
            raise ArchiveError(f"{path}: a member is there twice")
        if sum(info.compress_size for info in infos) > size:
            raise ArchiveError(f"{path}: its members overlap; refused as a zip bomb")
        text = sum(n for name, n in self.sizes.items() if not name.startswith(ARTIFACTS))
        if text > MAX_TEXT:
            raise ArchiveError(
                f"{path}: at most {MAX_TEXT} bytes of text are allowed, {text} are declared; "
                "refused as a zip bomb"
            )
        self._memory = self._left = FREE_MEMORY + MEMORY_PER_BYTE * size

    @classmethod
    @contextmanager
    def open(cls, path: Path, shown: Path) -> Iterator[Self]:
        """Open a file.

        Args:
            path: of the file.
            shown: what messages call it.

        Raises:
            ArchiveError: missing, no zip file, or not acceptable.
        """
        with ExitStack() as stack:
            with faults(shown):
                raw = stack.enter_context(open_file(path, error=ArchiveError, name=str(shown)))
                file = stack.enter_context(zipfile.ZipFile(raw))
                opened = cls(shown, file, os.fstat(raw.fileno()).st_size)
            yield opened

    def _check(self, info: zipfile.ZipInfo) -> None:
        name, where = info.filename, f"{self.path}: member {reprlib.repr(info.filename)}"
        if name != info.orig_filename or not re.fullmatch(r"[A-Za-z0-9._/-]+", name):
            raise ArchiveError(f"{where}: not a name that an export gives")
        if info.flag_bits & _ENCRYPTED:
            raise ArchiveError(f"{where}: encrypted; an export is not")
        mode = info.external_attr >> 16
        if info.is_dir() or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
            raise ArchiveError(f"{where}: a regular file is required, this is a folder or a link")
        artifact = name.startswith(ARTIFACTS)
        allowed = {zipfile.ZIP_STORED} if artifact else {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
        if info.compress_type not in allowed:
            raise ArchiveError(f"{where}: not compressed as an export is")
        if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
            raise ArchiveError(f"{where}: its two sizes disagree")
        if info.file_size > max(RATIO_FROM, MAX_RATIO * info.compress_size):
            raise ArchiveError(
                f"{where}: {info.file_size} bytes out of {info.compress_size}; refused as a zip "
                "bomb"
            )

    def unverified_text(self, name: str) -> str:
        """Read the text of the member that has the digests of the others."""
        with faults(self.path):
            return b"".join(self._weighed(self._chunks(name), _WHOLE_COPIES)).decode("utf-8")

    def text(self, name: str, digest: str) -> str:
        """Read a member's content as text, see ``chunks``."""
        with faults(self.path):
            content = b"".join(self._weighed(self.chunks(name, digest), _WHOLE_COPIES))
            return content.decode("utf-8")

    def lines(self, name: str, digest: str) -> Iterator[str]:
        """Read a member's lines, see ``chunks``; the digest is checked at the end."""
        rest = b""
        for chunk in self._weighed(self.chunks(name, digest), _COPIES):
            *whole, rest = (rest + chunk).split(b"\n")
            if max(map(len, [*whole, rest])) > MAX_LINE:
                raise ArchiveError(
                    f"{self.path}: member {name!r}: a line of over {MAX_LINE} bytes"
                )
            for line in whole:
                with faults(self.path):
                    text = line.decode("utf-8")
                yield text
        if rest:
            raise ArchiveError(f"{self.path}: member {name!r}: the last line is not whole")

    def chunks(self, name: str, digest: str) -> Iterator[bytes]:
        """Read a member's content, piece by piece; its end only if it was as it should be.

        Args:
            name: of the member.
            digest: SHA-256 that it must have, hexadecimal.

        Raises:
            ArchiveError: it is not of that digest, or cannot be read.
        """
        found = hashlib.sha256()
        for chunk in self._chunks(name):
            found.update(chunk)
            yield chunk
        if found.hexdigest() != digest:
            raise ArchiveError(
                f"{self.path}: member {name!r}: its digest is not the one in {MANIFEST}: "
                "damaged or exchanged; export the study again"
            )

    def _weighed(self, chunks: Iterator[bytes], copies: int) -> Iterator[bytes]:
        """Pass pieces of text on, as long as what is made of them fits into memory."""
        for chunk in chunks:
            self._left -= memory_of(chunk, copies)
            if self._left < 0:
                raise ArchiveError(
                    f"{self.path}: an export of cvfp-opt is required; what this one holds would "
                    f"take over {self._memory >> 20} MiB of memory, more than an export of its "
                    "size needs; refused as a bomb"
                )
            yield chunk

    def _chunks(self, name: str) -> Iterator[bytes]:
        left = self.sizes[name]
        with faults(self.path), self._file.open(name) as member:
            while chunk := member.read(_CHUNK):
                left -= len(chunk)
                yield chunk
            if left:
                raise zipfile.BadZipFile(f"{name} is not as long as declared")


def memory_of(text: bytes, copies: int = _COPIES) -> int:
    """Estimate the bytes of memory that a text of JSON takes when read, by its marks alone."""
    return copies * len(text) + _VALUE * sum(text.count(mark) for mark in _MARKS)


class Stream(io.RawIOBase):
    """A file made of pieces, to read from; it raises what they raise."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Raise whatever a damaged or hostile file makes zipfile, zlib and json raise, as ours."""
    try:
        yield
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror or error}") from None
    except RecursionError:
        raise ArchiveError(
            f"{path}: an export of cvfp-opt is required; the text of this one is nested too deeply"
        ) from None
    except MemoryError:
        raise ArchiveError(f"{path}: there is not enough memory to read it") from None
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        zlib.error,
        struct.error,
        EOFError,
        ValueError,  # also not UTF-8, not JSON, and numbers too long to read
        RuntimeError,  # also kinds of zip files unknown
        OverflowError,
    ) as error:
        raise ArchiveError(
            f"{path}: an export of cvfp-opt is required; this is none, or damaged: "
            f"{excerpt(error)}"
        ) from None
