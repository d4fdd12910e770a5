"""Checkpoints: whole or not there, read back as written, refused when touched."""

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from cvfp_opt.errors import CheckpointError
from cvfp_opt.store.files.saved_networks import (
    ACCOUNT,
    CARD,
    EMBEDDINGS,
    MAX_ACCOUNT,
    MAX_FILE,
    TOKENIZER,
    WEIGHTS,
    Account,
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float32)}
FOLDER = Path("net")


def checkpoint(**fields: Any) -> Checkpoint:
    account = Account(
        definition={"model": {}},
        parameters={"w": 0.1 + 0.2},
        result={"status": "x"},
        environment={},
    )
    whole: dict[str, Any] = {
        "account": account,
        "weights": ARRAYS,
        "embeddings": np.full((3, 2), 0.5, np.float32),
        "tokenizer": "{}",
        "card": "# Ünlike any other",
    }
    return Checkpoint(**(whole | fields))


def test_what_was_written_is_read_back() -> None:
    write_checkpoint(FOLDER, checkpoint())
    read = read_checkpoint(FOLDER)
    assert read.weights.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read.weights[name], array)
    assert read.embeddings is not None
    assert read.embeddings.tolist() == [[0.5, 0.5]] * 3
    assert (read.tokenizer, read.card) == ("{}", "# Ünlike any other")
    assert (read.account.parameters, read.account.result) == ({"w": 0.1 + 0.2}, {"status": "x"})
    assert read.account.files.keys() == {WEIGHTS, EMBEDDINGS, TOKENIZER, CARD}
    assert sorted(p.name for p in Path().iterdir()) == ["net"]


def test_what_is_not_there_is_not_written() -> None:
    write_checkpoint(FOLDER, checkpoint(embeddings=None, tokenizer="", card=""))
    assert {path.name for path in FOLDER.iterdir()} == {WEIGHTS, ACCOUNT}
    read = read_checkpoint(FOLDER)
    assert (read.embeddings, read.tokenizer, read.card) == (None, "", "")


def test_an_existing_folder_is_never_overwritten() -> None:
    write_checkpoint(FOLDER, checkpoint())
    before = (FOLDER / ACCOUNT).read_bytes()
    with pytest.raises(CheckpointError, match="exists already; name a new folder"):
        write_checkpoint(FOLDER, checkpoint(card=""))
    assert (FOLDER / ACCOUNT).read_bytes() == before


def test_a_missing_parent_is_refused_with_what_to_type() -> None:
    with pytest.raises(CheckpointError, match="mkdir -p"):
        write_checkpoint(Path("missing/net"), checkpoint())


def test_a_write_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        write_checkpoint(FOLDER, checkpoint())
    assert list(Path().iterdir()) == []


def forge(**fields: object) -> Callable[[], None]:
    """Another account, with a digest that fits: what a forger would write."""

    def apply() -> None:
        value = json.loads((FOLDER / ACCOUNT).read_text()) | fields
        del value["sha256"]
        text = json.dumps(value, sort_keys=True)
        value["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        (FOLDER / ACCOUNT).write_text(json.dumps(value))

    return apply


def forge_file(name: str, content: bytes) -> Callable[[], None]:
    """Another file, with an account that fits."""

    def apply() -> None:
        (FOLDER / name).write_bytes(content)
        known = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        files = json.loads((FOLDER / ACCOUNT).read_text())["files"]
        forge(files=files | {name: known})()

    return apply


def flip_a_bit(name: str) -> Callable[[], None]:
    def apply() -> None:
        content = bytearray((FOLDER / name).read_bytes())
        content[-2] ^= 1
        (FOLDER / name).write_bytes(content)

    return apply


def truncate() -> None:
    (FOLDER / WEIGHTS).write_bytes((FOLDER / WEIGHTS).read_bytes()[:-4])


def exchange_for_a_pipe() -> None:
    (FOLDER / WEIGHTS).unlink()
    os.mkfifo(FOLDER / WEIGHTS)


def blow_up(name: str, size: int) -> Callable[[], None]:
    """As large as it claims to be, without the disk being full."""
    return lambda: os.truncate(FOLDER / name, size)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda: (FOLDER / WEIGHTS).unlink(), "is required"),
        (lambda: (FOLDER / ACCOUNT).write_text("{"), "is required"),
        (lambda: (FOLDER / ACCOUNT).write_text("[" * 100_000), "is required"),
        (
            lambda: (FOLDER / ACCOUNT).write_text("[]"),
            "a format from 1 to 3 is required, got None",
        ),
        (forge(format=4), "a format from 1 to 3 is required, got 4.*pip install -U"),
        (forge(format=True), "a format from 1 to 3 is required, got True"),
        (forge(surprise=1), "not an account"),
        (lambda: (FOLDER / ACCOUNT).write_text("[" * 900 + "]" * 900), "is required"),
        (lambda: (FOLDER / ACCOUNT).write_text('{"format": ' + "9" * 5000 + "}"), "5000 digits"),
        (forge(format=10**400), "a whole number of 401 digits"),
        (
            forge(format="2" * 9999),
            "a format from 1 to 3 is required, got '2{9,12}\\.\\.\\.2+'; a",
        ),
        (forge(definition={"model": {"x": math.nan}}), "NaN in the place of a number"),
        (forge(parameters={"x": -math.inf}), "-Infinity in the place of a number"),
        (forge(definition=[]), "definition is no table"),
        (forge(definition={"model": 1}), "a section that is no table"),
        (forge(files={}), "is not among its files"),
        (forge(files={WEIGHTS: {}}), "not just sha256 and bytes"),
        (forge(files={WEIGHTS: {"sha256": "", "bytes": MAX_FILE + 1}}), "files.*bytes"),
        (forge_file("../escaped", b""), "a file '../escaped'"),
        (forge_file(WEIGHTS, b"\x80\x04."), "not a safetensors file"),
        (forge_file(WEIGHTS, save({"a": np.ones(2)})), "float32 is required, a is float64"),
        (
            forge_file(WEIGHTS, save({f"a{i}\x1b[2J": np.ones(1) for i in range(148)})),
            r"required, a0\\x1b\[2J is float64, a1\\x1b\[2J is .* is float64 and 14\d more$",
        ),
        (forge_file(CARD, b"\xff"), "is not text"),
        *[(flip_a_bit(name), "digest is not the one") for name in (WEIGHTS, EMBEDDINGS)],
        (flip_a_bit(TOKENIZER), "digest is not the one"),
        (flip_a_bit(CARD), "the digest of the text below its front matter is not the one"),
        (truncate, "bytes are required, it has"),
        (exchange_for_a_pipe, "a file is required"),
        (blow_up(WEIGHTS, 1 << 40), "bytes are required, it has 1099511627776"),
        (blow_up(ACCOUNT, MAX_ACCOUNT + 1), "at most 16777216 bytes are required"),
    ],
)
def test_what_was_touched_is_refused(spoil: Callable[[], None], message: str) -> None:
    write_checkpoint(FOLDER, checkpoint())
    spoil()
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(FOLDER)


@pytest.mark.parametrize("name", [CARD, TOKENIZER])
def test_the_line_ends_of_windows_do_no_harm(name: str) -> None:
    text = "first\nsecond\n\n"
    write_checkpoint(FOLDER, checkpoint(card=text, tokenizer=text))
    (FOLDER / name).write_bytes(text.replace("\n", "\r\n").encode())
    read = read_checkpoint(FOLDER)
    assert (read.card, read.tokenizer) == (text, text)
    (FOLDER / name).write_bytes(text.replace("\n", "\r\nmore").encode())
    with pytest.raises(CheckpointError, match=r"is not what was written|below its front matter"):
        read_checkpoint(FOLDER)


@pytest.mark.parametrize(
    "edited",
    [
        "---\nlicense: mit\ntags:\n- cvfp\n---\n# Text\n\n---\nmore\n",
        "---\r\nlicense: mit\r\n---\r\n\r\n# Text\r\n\r\n---\r\nmore",
        "# Text\n\n---\nmore\n",
    ],
)
def test_the_front_matter_of_a_card_may_be_edited_and_nothing_else(edited: str) -> None:
    card = "---\ntags: []\n---\n\n# Text\n\n---\nmore\n"
    write_checkpoint(FOLDER, checkpoint(card=card))
    assert read_checkpoint(FOLDER).card == card
    (FOLDER / CARD).write_bytes(edited.encode())
    assert read_checkpoint(FOLDER).card == edited.replace("\r\n", "\n")
    (FOLDER / CARD).write_bytes(edited.replace("Text", "Test").encode())
    with pytest.raises(CheckpointError, match="below its front matter is not the one"):
        read_checkpoint(FOLDER)


def test_a_figure_that_was_polished_is_refused() -> None:
    write_checkpoint(FOLDER, checkpoint())
    text = (FOLDER / ACCOUNT).read_text()
    (FOLDER / ACCOUNT).write_text(text.replace("0.30000000000000004", "0.9"))
    with pytest.raises(CheckpointError, match="it is not what was written"):
        read_checkpoint(FOLDER)


def test_no_folder_says_what_writes_one() -> None:
    with pytest.raises(CheckpointError, match="cvfp-opt train --save DIR"):
        read_checkpoint(Path("nowhere"))
