"""Characters of files: the same in pieces as whole, whatever the encoding and where pieces end."""

import codecs
import gzip
import io
import os
import random
import tracemalloc
from pathlib import Path

import pytest

from cvfp_opt.errors import DataError
from cvfp_opt.training import characters
from cvfp_opt.training.characters import lines, pieces
from cvfp_opt.training.data import load_tokens
from cvfp_opt.training.data_config import DataConfig

MARKS = {
    "utf-8": b"",
    "utf-8-sig": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
ODD = [
    "a",
    "Z",
    " ",
    "\t",
    "é",
    "ß",
    "\u0301",
    "日",
    "本",
    "\u2028",
    "\u0085",
    "\ufeff",
    "\U0001f600",
]
ENDS = ["\n", "\r\n", "\r", "\r\r\n", "\n\r"]


def odd_text(chance: random.Random) -> str:
    """Up to 200 characters of all lengths in UTF-8, with line ends of all systems."""
    drawn = chance.choices(ODD + ENDS, k=chance.randrange(200))
    return "".join(drawn).lstrip("\ufeff")  # at the front it would be a mark


def told(path: Path) -> str:
    """The text that was taken before the refusal, and the refusal."""
    taken = ""
    try:
        for piece in pieces(path):
            taken += piece
    except DataError as error:
        return f"{taken}|{error}"
    raise AssertionError(f"{path} was not refused")


@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_the_whole_wherever_they_end(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    path = Path("text.txt")
    for _ in range(250):
        text, encoding = odd_text(chance), chance.choice(list(MARKS))
        raw = MARKS[encoding] + text.encode(encoding.removesuffix("-sig"))
        path.write_bytes(gzip.compress(raw) if chance.random() < 0.2 else raw)
        monkeypatch.setattr(characters, "CHUNK", chance.choice([1, 2, 3, 5, 64]))
        monkeypatch.setattr(characters, "_HEAD", chance.choice([4, 5, 16, 1024]))
        whole = io.StringIO(text, newline=None).read()
        assert "".join(pieces(path)) == whole, (encoding, text)
        numbered = list(lines(path))
        assert [line for _, line in numbered] == (
            whole.removesuffix("\n").split("\n") if whole else []
        )
        assert [number for number, _ in numbered] == list(range(1, len(numbered) + 1))


def test_a_byte_that_is_wrong_is_found_where_it_is_and_the_text_before_it_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = random.Random(5)
    path = Path("text.txt")
    for _ in range(200):
        before = odd_text(chance)
        mark = chance.choice([b"", codecs.BOM_UTF8])
        raw = mark + before.encode()
        wrong = chance.choice([b"\xff", b"\xc0\xaf", b"\xe9 t", b"\xed\xa0\x80", b"\xf0\x9f\x98"])
        path.write_bytes(raw + wrong + chance.choice([b"", b"and more \xff"]))
        monkeypatch.setattr(characters, "CHUNK", chance.choice([1, 2, 3, 5, 64]))
        monkeypatch.setattr(characters, "_HEAD", chance.choice([4, 16, 1024]))
        refused = told(path)
        assert refused.startswith(io.StringIO(before, newline=None).read() + "|")
        assert f"the byte at offset {len(raw)} is not; convert it" in refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "all of it is Latin".encode("utf-16-le"),
            "looks like UTF-16LE; convert it: iconv -f UTF-16LE",
        ),
        (
            "all of it is Latin".encode("utf-16-be"),
            "looks like UTF-16BE; convert it: iconv -f UTF-16BE",
        ),
        (
            "all of it is Latin".encode("utf-32-le"),
            "looks like UTF-32LE; convert it: iconv -f UTF-32LE",
        ),
        (
            "all of it is Latin".encode("utf-32-be"),
            "looks like UTF-32BE; convert it: iconv -f UTF-32BE",
        ),
        (
            codecs.BOM_UTF16_LE + b"a\0b",
            "UTF-16LE text is required, but the byte at offset 4 is not",
        ),
        ("你好世界".encode("utf-16-le") * 9, "looks like UTF-16LE"),
        ("你好\n世界".encode("utf-16-be") * 9, "looks like UTF-16BE"),
        (codecs.BOM_UTF16_LE + b"abc", "at offset 4 is not: the file is damaged or cut off"),
        (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" * 9, "null bytes or control"),
        (b"words " * 200 + b"\xff\0\1" * 99, "the byte at offset 1200 is not: it is no text"),
        (b"\0" * 2000, "holds null bytes or control characters"),
        (b"text " * 900 + b"\0", "holds null bytes or control characters"),
        (b"PK\x03\x04\x14\0\x06\0" + b"x" * 90, "this is a zip archive"),
        (
            b"%PDF-1.4\n",
            "this is a PDF; write its text to a .txt file and name that, for instance: pdftotext",
        ),
        (b"{\\rtf1\\ansi words}", "this is an RTF document"),
        (b"PAR1 and the like", "this is a parquet file; name a file that ends in .parquet"),
        (b"SQLite format 3\0", "this is an SQLite database"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a pointer of Git LFS; type: git lfs pull",
        ),
        (b"\xfd7zXZ\0\0", "packed with xz; unpack it"),
        (gzip.compress(b"words " * 99, mtime=0)[:-9], "packed with gzip, but damaged"),
        (b"\x1f\x8b\x08 no gzip", "packed with gzip, but damaged"),
        (gzip.compress(b"%PDF-1.4", mtime=0), "this is a PDF"),
    ],
)
def test_what_is_no_text_is_called_by_its_name(content: bytes, message: str) -> None:
    path = Path("text.txt")
    path.write_bytes(content)
    refused = told(path)
    assert message in refused
    assert "\n" not in refused


def test_what_is_no_file_is_refused_before_it_is_opened() -> None:
    os.mkfifo("pipe.txt")
    Path("folder.txt").mkdir()
    for name, kind in (
        ("pipe.txt", "a named pipe"),
        ("folder.txt", "a folder"),
        ("/dev/zero", "a device"),
    ):
        assert f"a file is required, this is {kind}" in told(Path(name))
    assert "there is no such file" in told(Path("missing.txt"))


def test_a_line_that_is_too_long_to_be_a_row_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(characters, "MOST_OF_A_LINE", 100_000)
    Path("a.jsonl").write_text("short\n" + "long " * 40_000)
    found = lines(Path("a.jsonl"))
    assert next(found) == (1, "short")
    with pytest.raises(
        DataError, match=r"a.jsonl:2: a row a line is required, of at most 100,000"
    ):
        next(found)


def test_a_large_file_costs_no_more_memory_than_its_head() -> None:
    block = b"The reader comes to the end of the page, and turns it. " * 20_000
    with Path("large.txt").open("wb") as file:
        for _ in range(30):  # 33 MB in one line
            file.write(block)
    load_tokens(DataConfig(train_tokens=200))  # what is loaded once
    tracemalloc.start()
    try:
        tokens = load_tokens(DataConfig(source="text", path="large.txt", train_tokens=200))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(tokens.train) == 200
    assert peak < 2_000_000
