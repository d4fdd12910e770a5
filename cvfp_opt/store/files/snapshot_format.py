"""The format of snapshots: safetensors, read and written as a stream.

A snapshot has some hundred megabytes. The library wants them in memory once more, or in a file
with a name, which an object store does not have. It reads what is written here, and the reverse.
"""

import hashlib
import io
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from cvfp_opt.errors import StorageError

# Format of the metadata and of training.loop's values: raise it when either changes.
# 2: the digest covers the arrays' types and shapes, too.
FORMAT = "2"
READABLE = ("1", FORMAT)

Arrays = dict[str, NDArray[Any]]

_TYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_MAX_HEADER = 100_000_000  # safetensors' own limit, bytes
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Head:
    """The beginning of a snapshot.

    Attributes:
        values: plain JSON.
        text: the same as it was written.
        sha256: of ``text`` and all arrays.
        format: one of READABLE.
        arrays: name, type and shape of each, in the order in which they follow.
    """

    values: dict[str, Any]
    text: str
    sha256: str
    format: str
    arrays: tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...]


def encode(arrays: Arrays, values: dict[str, Any]) -> BinaryIO:
    """Encode a snapshot as a file to read, which shares the arrays' memory.

    Args:
        arrays: C-contiguous, of a type in ``_TYPES``.
        values: plain JSON without NaN.
    """
    text = json.dumps(values, allow_nan=False)
    metadata = {"format": FORMAT, "values": text, "sha256": _digest(arrays, text, FORMAT)}
    header: dict[str, Any] = {"__metadata__": metadata}
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # aligned so
    end = 0
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        offsets, shape = [begin, end], list(array.shape)
        header[name] = {"dtype": _NAMES[array.dtype], "shape": shape, "data_offsets": offsets}
    content = json.dumps(header).encode()
    content += b" " * (-len(content) % 8)
    start = len(content).to_bytes(8, "little") + content
    return cast(BinaryIO, _Joined([memoryview(start), *(_memory(arrays[n]) for n in names)]))


def read_head(file: BinaryIO, where: str) -> Head:
    """Read a snapshot up to its arrays.

    Args:
        file: at its beginning.
        where: it lies, for messages.

    Raises:
        StorageError: unreadable, damaged, or of another format.
    """
    try:
        length = int.from_bytes(_read(file, 8), "little")
        if length > _MAX_HEADER:
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(_read(file, length))
        metadata = header.pop("__metadata__")
        if metadata["format"] not in READABLE:
            raise StorageError(
                f"{where}: a snapshot of format {' or '.join(READABLE)} is required, "
                f"got {metadata['format']}"
            )
        return Head(
            values=json.loads(metadata["values"]),
            text=metadata["values"],
            sha256=metadata["sha256"],
            format=metadata["format"],
            arrays=_entries(header),
        )
    except OSError as error:
        raise StorageError(f"{where}: cannot be read: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(where, error) from None


def read_arrays(file: BinaryIO, head: Head, where: str) -> Arrays:
    """Read what follows a head.

    Raises:
        StorageError: unreadable, or not what was written.
    """
    arrays: Arrays = {}
    try:
        for name, dtype, shape in head.arrays:
            arrays[name] = np.empty(shape, dtype)
            _fill(file, _memory(arrays[name]))
        if file.read(1):
            raise ValueError("more follows than its header says")
    except OSError as error:
        raise StorageError(f"{where}: cannot be read: {error}") from None
    except (ValueError, OverflowError, MemoryError) as error:
        raise _damaged(where, error) from None
    if _digest(arrays, head.text, head.format) != head.sha256:
        raise _damaged(where, ValueError("its digest is not the one that it names"))
    return arrays


def _damaged(where: str, error: Exception) -> StorageError:
    """Make the error for what is not as it was written."""
    return StorageError(f"{where}: damaged, or no snapshot: {error}")


def _entries(
    header: dict[str, Any],
) -> tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...]:
    """List name, type and shape of arrays that follow each other without a gap, or ValueError."""
    found, end = [], 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, shape = _TYPES[entry["dtype"]], tuple(entry["shape"])
        if not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError(f"shape {shape} of {name}")
        size = dtype.itemsize
        for length in shape:
            size *= length
        begin, end = end, end + size
        if entry["data_offsets"] != [begin, end]:
            raise ValueError(f"{name} does not follow what is before it")
        found.append((name, dtype, shape))
    return tuple(found)


def _read(file: BinaryIO, length: int) -> bytearray:
    content = bytearray(length)
    _fill(file, memoryview(content))
    return content


def _fill(file: BinaryIO, memory: memoryview) -> None:
    """Read as much as there is room. Raises ValueError at an early end."""
    filled = 0
    while filled < len(memory):
        chunk = file.read(min(_CHUNK, len(memory) - filled))
        if not chunk:
            raise ValueError("it ends too early")
        memory[filled : filled + len(chunk)] = chunk
        filled += len(chunk)


def _memory(array: NDArray[Any]) -> memoryview:
    """View a contiguous array as bytes, not copied."""
    return array.reshape(-1).view(np.uint8).data


def _digest(arrays: Arrays, text: str, form: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(name.encode())
        if form != "1":
            digest.update(f" {array.dtype.str} {array.shape} ".encode())
        digest.update(_memory(array))
    return digest.hexdigest()


class _Joined(io.RawIOBase):
    """Pieces of memory as one file to read."""

    def __init__(self, pieces: Sequence[memoryview]) -> None:
        self._pieces = pieces
        *self._starts, self._size = accumulate(map(len, pieces), initial=0)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = origin + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the whole ``buffer``, but at the end: whoever uploads in parts wants them whole."""
        wanted, filled = memoryview(buffer).cast("B"), 0
        while filled < len(wanted) and self._at < self._size:
            index = bisect_right(self._starts, self._at) - 1
            piece = self._pieces[index][self._at - self._starts[index] :]
            part = piece[: len(wanted) - filled]
            wanted[filled : filled + len(part)] = part
            filled += len(part)
            self._at += len(part)
        return filled
