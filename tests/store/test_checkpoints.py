"""Checkpoints: whole or not there, read back as written, refused when touched."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvfp_opt.errors import CheckpointError
from cvfp_opt.store.checkpoints import (
    ACCOUNT,
    WEIGHTS,
    Account,
    read_checkpoint,
    write_checkpoint,
)

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float32)}
FOLDER = Path("net")


def account() -> Account:
    return Account(
        definition={"model": {}}, parameters={"w": 0.5}, result={"status": "x"}, environment={}
    )


def test_what_was_written_is_read_back() -> None:
    write_checkpoint(FOLDER, ARRAYS, account())
    weights, read = read_checkpoint(FOLDER)
    assert weights.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(weights[name], array)
    assert (read.parameters, read.result) == ({"w": 0.5}, {"status": "x"})
    assert sorted(p.name for p in Path().iterdir()) == ["net"]


def test_an_existing_folder_is_never_overwritten() -> None:
    write_checkpoint(FOLDER, ARRAYS, account())
    before = (FOLDER / ACCOUNT).read_bytes()
    with pytest.raises(CheckpointError, match="exists already; name a new folder"):
        write_checkpoint(FOLDER, {}, account())
    assert (FOLDER / ACCOUNT).read_bytes() == before


def test_a_missing_parent_is_refused_with_what_to_type() -> None:
    with pytest.raises(CheckpointError, match="mkdir -p"):
        write_checkpoint(Path("missing/net"), ARRAYS, account())


def test_a_write_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        write_checkpoint(FOLDER, ARRAYS, account())
    assert list(Path().iterdir()) == []


def change(**fields: object) -> Callable[[], None]:
    def apply() -> None:
        value = json.loads((FOLDER / ACCOUNT).read_text()) | fields
        (FOLDER / ACCOUNT).write_text(json.dumps(value))

    return apply


def flip_a_bit() -> None:
    content = bytearray((FOLDER / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (FOLDER / WEIGHTS).write_bytes(content)


def truncate() -> None:
    (FOLDER / WEIGHTS).write_bytes((FOLDER / WEIGHTS).read_bytes()[:-4])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda: (FOLDER / WEIGHTS).unlink(), "is required"),
        (lambda: (FOLDER / ACCOUNT).write_text("{"), "is required"),
        (lambda: (FOLDER / ACCOUNT).write_text("[]"), "format 1 is required, got None"),
        (change(format=2), "format 1 is required, got 2.*pip install -U"),
        (change(surprise=1), "not an account"),
        (flip_a_bit, "digest is not the one"),
        (truncate, "digest is not the one"),
    ],
)
def test_what_was_touched_is_refused(spoil: Callable[[], None], message: str) -> None:
    write_checkpoint(FOLDER, ARRAYS, account())
    spoil()
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(FOLDER)


def test_no_folder_says_what_writes_one() -> None:
    with pytest.raises(CheckpointError, match="cvfp-opt train --save DIR"):
        read_checkpoint(Path("nowhere"))
