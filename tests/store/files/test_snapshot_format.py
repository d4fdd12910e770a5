"""Snapshots as bytes: what the library reads and writes, whole or refused, not copied."""

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import load, save
from support import REPOSITORY

from cvfp_opt.errors import StorageError
from cvfp_opt.store.files.snapshot_format import Arrays, encode, read_arrays, read_head

ARRAYS: Arrays = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array(2.5),
    "c.state": np.arange(5, dtype=np.uint8),
    "empty": np.zeros((0, 4), np.float32),
}
VALUES = {"iteration": 3, "nested": [{"x": None}, 0.1]}
TYPES = (np.float64, np.float32, np.float16, np.int64, np.int32, np.uint8, np.bool_)


def decode(content: bytes) -> tuple[Arrays, dict[str, Any]]:
    file = io.BytesIO(content)
    head = read_head(file, "here")
    return read_arrays(file, head, "here"), head.values


def same(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda name: name != "__metadata__"),
        st.sampled_from(TYPES).flatmap(
            lambda kind: arrays(kind, array_shapes(min_dims=0, min_side=0, max_side=4))
        ),
        max_size=4,
    ),
    st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_what_is_written_is_read_back_bit_for_bit(
    content: Arrays, values: dict[str, float]
) -> None:
    found, read = decode(encode(content, values).read())
    same(found, content)
    assert read == values


def test_the_library_reads_what_is_written_and_the_reverse() -> None:
    content = encode(ARRAYS, VALUES).read()
    same(load(content), ARRAYS)
    head = read_head(io.BytesIO(content), "here")
    metadata = {"format": head.format, "values": head.text, "sha256": head.sha256}
    found, values = decode(save(ARRAYS, metadata))
    same(found, ARRAYS)
    assert values == VALUES


def test_a_snapshot_of_format_1_opens() -> None:
    path = REPOSITORY / "tests" / "fixtures" / "format-1" / "snapshot.safetensors"
    found, values = decode(path.read_bytes())
    assert values["iteration"] == 3
    assert values["history"] == [{"iteration": 0, "residual": None, "score": 0.1}]
    np.testing.assert_array_equal(found["network.a"], np.arange(6, dtype=np.float32).reshape(2, 3))
    assert found["optimizer.0.step"].shape == ()


def test_another_format_is_refused_by_name() -> None:
    content = encode(ARRAYS, VALUES).read().replace(b'"format": "2"', b'"format": "3"')
    with pytest.raises(StorageError, match="a snapshot of format 1 or 2 is required, got 3"):
        decode(content)


def test_every_damaged_byte_is_noticed() -> None:
    content = encode(ARRAYS, VALUES).read()
    for place in range(len(content)):
        for flip in (1, 255):
            damaged = bytearray(content)
            damaged[place] ^= flip
            with pytest.raises(StorageError, match="here: "):
                decode(bytes(damaged))
        if content[place : place + 1] in b"FI":  # of a type: floats would be whole numbers
            damaged[place] = content[place] ^ ord("F") ^ ord("I")
            with pytest.raises(StorageError, match="here: "):
                decode(bytes(damaged))


def test_an_end_too_early_or_too_late_is_noticed() -> None:
    content = encode(ARRAYS, VALUES).read()
    for length in range(len(content)):
        with pytest.raises(StorageError, match="here: damaged, or no snapshot: it ends too early"):
            decode(content[:length])
    with pytest.raises(StorageError, match="more follows than its header says"):
        decode(content + b"\0")


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{}",
        b'{"__metadata__": 1}',
        b'{"__metadata__": {"format": "1", "values": "{}", "sha256": ""}, "a": 1}',
        b'{"__metadata__": {"format": "1", "values": "{}", "sha256": ""}, "a": '
        b'{"dtype": "F64", "shape": [1000000000000000000], "data_offsets": [0, 8]}}',
        b'{"__metadata__": {"format": "1", "values": "{}", "sha256": ""}, "a": '
        b'{"dtype": "F64", "shape": [1000000000000000], "data_offsets": [0, 8000000000000000]}}',
        b'{"__metadata__": {"format": "1", "values": "{}", "sha256": ""}, "a": '
        b'{"dtype": "F64", "shape": [-1], "data_offsets": [0, -8]}}',
        b"\xff" * 20,
    ],
)
def test_a_header_that_is_none_is_refused(header: bytes) -> None:
    with pytest.raises(StorageError, match="damaged, or no snapshot"):
        decode(len(header).to_bytes(8, "little") + header)


def test_it_is_a_file_that_can_be_read_in_parts_and_again() -> None:
    file = encode(ARRAYS, VALUES)
    content = file.read()
    assert file.seek(0) == 0
    assert b"".join(iter(lambda: file.read(7), b"")) == content
    assert file.seek(0, io.SEEK_END) == len(content)
    assert file.read(1) == b""
    assert file.seek(-9, io.SEEK_CUR) == file.tell() == len(content) - 9
    assert file.read() == content[-9:]


def test_nothing_large_is_copied(tmp_path: Path) -> None:
    size = 1 << 23
    content = {"a": np.ones(size, np.uint8), "b": np.ones(size, np.uint8)}
    path = tmp_path / "x"
    tracemalloc.start()
    try:
        with open(path, "wb") as out:
            source = encode(content, {})
            while chunk := source.read(1 << 16):
                out.write(chunk)
        _, writing = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        with open(path, "rb") as file:
            read_arrays(file, read_head(file, "x"), "x")
        _, reading = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert writing < size
    assert 2 * size < reading < 2.5 * size
