"""Snapshots on disk: whole or refused, one per run, never half written."""

import os
from pathlib import Path

import numpy as np
import pytest

from cvfp_opt.errors import StorageError
from cvfp_opt.store.files.snapshots import SnapshotFile

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(2.5)}
VALUES = {"iteration": 3, "nested": [{"x": None}, 0.1]}


def file(key: str = "k" * 64) -> SnapshotFile:
    return SnapshotFile(key=key)


def test_what_is_written_is_read_back_and_replaced() -> None:
    assert file().read() is None
    file().write(ARRAYS, {"iteration": 2})
    file().write(ARRAYS, VALUES)
    found = file().read()
    assert found is not None
    arrays, values = found
    assert values == VALUES
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert [p.name for p in Path("storage/unfinished").iterdir()] == ["k" * 32 + ".safetensors"]
    assert file("other").read() is None
    file().remove()
    file().remove()
    assert file().read() is None


def test_what_a_killed_writer_left_goes_with_the_run() -> None:
    file().write(ARRAYS, VALUES)
    left = file().path.with_name(f".{file().path.name}.{'a' * 32}.tmp")
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    file().remove()
    assert not left.parent.exists()


@pytest.mark.parametrize("place", [10, -1])
def test_a_damaged_one_is_refused(place: int) -> None:
    file().write(ARRAYS, VALUES)
    content = bytearray(file().path.read_bytes())
    content[place] ^= 255
    file().path.write_bytes(bytes(content))
    with pytest.raises(StorageError, match="damaged"):
        file().read()


def test_a_truncated_one_is_refused() -> None:
    file().write(ARRAYS, VALUES)
    file().path.write_bytes(file().path.read_bytes()[:-4])
    with pytest.raises(StorageError, match="it ends too early"):
        file().read()


def test_a_disk_that_refuses_is_said_and_leaves_nothing_half_written() -> None:
    Path("storage").write_text("no folder")
    with pytest.raises(StorageError, match="cannot be written"):
        file().write(ARRAYS, VALUES)
    assert Path("storage").read_text() == "no folder"
