"""Tables of embeddings: too large for float32, without information, hostile; never NaN."""

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.errors import DataError
from cvfp_opt.training.data import load_tokens
from cvfp_opt.training.data_config import DataConfig, EmbeddingConfig
from cvfp_opt.training.embedding import load_vocabulary
from cvfp_opt.training.table import normalised
from cvfp_opt.training.tokenizer import load_tokenizer

SIZE, WIDTH = load_tokenizer().get_vocab_size(), 6
TABLE = EmbeddingConfig(source="safetensors", path="a.safetensors")


def table() -> Tensor:
    return torch.randn(SIZE, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [1e15, 1e18, 1e19, 1e25, 1e36])
def test_large_numbers_are_normalised_as_others(scale: float) -> None:
    large = (table().double() * scale).float()
    expected = F.layer_norm(large.double(), (WIDTH,)).float()
    torch.testing.assert_close(normalised(large), expected)


def test_rows_of_usual_size_keep_their_bits() -> None:
    mixed = table()
    mixed[7] *= 1e30
    usual = torch.arange(SIZE) != 7
    assert torch.equal(normalised(mixed)[usual], F.layer_norm(table(), (WIDTH,))[usual])


@pytest.mark.parametrize(
    "kind", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_floats_of_every_size_are_read(kind: torch.dtype) -> None:
    save_file({"w": table().to(kind)}, "a.safetensors")
    vocabulary = load_vocabulary(TABLE, WIDTH)
    expected = F.layer_norm(table().to(kind).float(), (WIDTH,))
    torch.testing.assert_close(vocabulary.table, expected)


def with_row(number: int, value: float) -> Tensor:
    changed = table()
    changed[number] = value
    return changed


REFUSED: Mapping[str, tuple[dict[str, Tensor], str]] = {
    "int": ({"w": table().long()}, "w is of type I64; bring a file that is not quantised"),
    "bool": ({"w": table() > 0}, "w is of type BOOL"),
    "uint8": ({"w": table().to(torch.uint8)}, "w is of type U8"),
    "nan": ({"w": with_row(5, torch.nan)}, f"1 of {SIZE} rows are not, the first is row 5"),
    "inf": ({"w": with_row(6, torch.inf)}, f"1 of {SIZE} rows are not, the first is row 6"),
    "beyond float32": ({"w": table().double() * 1e300}, "finite embeddings are required"),
    "zeros": ({"w": table() * 0}, f"all {SIZE} are the same"),
    "one row": ({"w": table()[:1].expand(SIZE, WIDTH).clone()}, f"all {SIZE} are the same"),
    "no width": ({"w": table()[:, :0]}, "embeddings of width 2 or more are required"),
    "vector": ({"w": torch.zeros(3)}, "a matrix with a row for each token is required, got w of"),
    "nothing": ({}, "got no tensors"),
    "many": ({f"h.{k}": torch.zeros(2, 2) for k in range(148)}, "h.10, h.100 and 144 more)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_tables_that_say_nothing_are_refused(case: str) -> None:
    tensors, message = REFUSED[case]
    save_file({name: one.contiguous() for name, one in tensors.items()}, "a.safetensors")
    with pytest.raises(DataError) as error:
        load_vocabulary(TABLE, WIDTH)
    assert message in str(error.value)
    assert len(str(error.value)) < 400


def test_of_many_names_the_nearest_are_told() -> None:
    save_file({f"h.{k}.weight": torch.zeros(2, 2) for k in range(148)}, "a.safetensors")
    config = EmbeddingConfig(source="safetensors", path="a.safetensors", tensor="h.77.wieght")
    with pytest.raises(DataError, match=r"did you mean 'h.77.weight'\? .* and 144 more"):
        load_vocabulary(config, WIDTH)


def test_a_token_of_the_text_without_an_embedding_is_refused() -> None:
    ids = load_tokens(DataConfig(train_tokens=64)).train
    unused = next(k for k in range(SIZE) if k not in ids)
    config = DataConfig(train_tokens=64)
    save_file({"w": with_row(unused, 0.0)}, "a.safetensors")
    assert len(load_tokens(config, TABLE, WIDTH).train) == 64
    for value in (0.0, 3.0):  # the layer norm makes zeros of both
        save_file({"w": with_row(int(ids[9]), value)}, "a.safetensors")
        with pytest.raises(
            DataError, match=r"1 of its \d+ tokens have none .* row " + str(int(ids[9]))
        ):
            load_tokens(config, TABLE, WIDTH)


def header(tensors: object, data: bytes = b"\0" * 16) -> bytes:
    raw = json.dumps(tensors).encode() if not isinstance(tensors, bytes) else tensors
    return struct.pack("<Q", len(raw)) + raw + data


ONE = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
HOSTILE = [
    b"",
    b"1234567",
    struct.pack("<Q", 2**60) + b"{}",
    struct.pack("<Q", 99_000_000) + b"{}",
    header(b"null", b""),
    header({"a": ONE, "b": ONE}),
    header({"a": ONE | {"shape": [2**40, 2**40]}}),
    header({"a": ONE}, b"\0" * 8),
    header({"a": ONE | {"dtype": "F4", "shape": [4, 8]}}),
    header({"a": ONE | {"dtype": "X9"}}),
    header({"a\x1b[2J\nb": ONE | {"shape": [4]}}),
    header(b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
    b"PK\x03\x04" + b"\0" * 200,
    b"\x80\x02}q\0." * 20,
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_files_are_refused_in_a_line(number: int) -> None:
    Path("a.safetensors").write_bytes(HOSTILE[number])
    with pytest.raises(DataError) as error:
        load_vocabulary(TABLE, WIDTH)
    assert str(error.value).isprintable()


def test_a_pipe_a_folder_and_a_device_are_no_tables_and_no_tokenizers() -> None:
    save_file({"w": table()}, "good.safetensors")
    os.mkfifo("pipe")
    Path("folder").mkdir()
    for place, kind in (
        ("pipe", "a named pipe"),
        ("folder", "a folder"),
        ("/dev/zero", "a device"),
    ):
        for config in (
            EmbeddingConfig(source="safetensors", path=place),
            EmbeddingConfig(source="safetensors", path="good.safetensors", tokenizer=place),
        ):
            with pytest.raises(DataError, match=f"a file is required, this is {kind}"):
                load_vocabulary(config, WIDTH)


def test_the_home_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    save_file({"w": table()}, home / "a.safetensors")
    (home / "t.json").write_text(load_tokenizer().to_str())
    config = EmbeddingConfig(source="safetensors", path="~/a.safetensors", tokenizer="~/t.json")
    assert load_vocabulary(config, WIDTH).size == SIZE
