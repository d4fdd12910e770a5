"""Rows of files: read by the format that name or content says, and their text."""

import csv
import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from cvfp_opt.errors import DataError
from cvfp_opt.training import rows as rows_module
from cvfp_opt.training.rows import first_message, rows, text_of

TEXTS = ["One, and\nmore.", 'Two "quoted"', "日本 \u2028 three"]


def write_table(name: str) -> None:
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t" if "tsv" in name else ",")
        writer.writerows([["id", "text"], *((str(i), text) for i, text in enumerate(TEXTS))])


def write_texts(name: str) -> None:
    """The texts in the format that a name stands for."""
    found = [{"id": i, "text": text} for i, text in enumerate(TEXTS)]
    if "csv" in name.lower() or "tsv" in name.lower():
        write_table(name)
    elif name.endswith(("parquet", "PARQUET")):
        parquet.write_table(pyarrow.Table.from_pylist(found), name)
    elif "list" in name:
        Path(name).write_text(json.dumps(found, indent=1 if "pretty" in name else None))
    else:
        Path(name).write_text("\r\n".join(json.dumps(row) for row in found), encoding="utf-8")
    if name.endswith(".gz"):
        Path(name).write_bytes(gzip.compress(Path(name).read_bytes()))


@pytest.mark.parametrize(
    "name",
    [
        "a.jsonl",
        "a.JSONL",
        "a.ndjson",
        "a.json",
        "a.Jsonl.gz",
        "list.json",
        "list.JSON",
        "list-pretty.json",
        "list-pretty.jsonl",
        "list.json.gz",
        "a.csv",
        "a.tsv",
        "a.csv.gz",
        "a.parquet",
        "a.PARQUET",
        "[x]*::b #1.parquet",
    ],
)
def test_rows_of_every_format_are_the_same(name: str) -> None:
    write_texts(name)
    assert [text_of(row, where) for where, row in rows(Path(name))] == TEXTS


def parts(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"text": "a"}, "a"),
        ({"text": "a", "messages": [{"content": "b"}]}, "a"),
        ({"text": None, "messages": [{"content": "b"}]}, "b"),
        ({"text": None}, ""),
        ({"messages": None}, ""),
        ({"messages": []}, ""),
        ({"messages": [{"content": "a"}, {"content": ""}, {"content": "b"}]}, "a\n\nb"),
        ({"messages": [{"content": "a"}, {"content": None}]}, "a"),
        ({"messages": [{"content": "a"}, {"tool_calls": []}]}, "a"),
        ({"messages": [{"content": parts("a", "b")}, {"content": "c"}]}, "ab\nc"),
        ({"messages": [{"content": [{"type": "image"}, *parts("a")]}]}, "a"),
        ({"messages": [{"content": [{"type": "image"}]}]}, ""),
        ({"messages": {"role": ["user"], "content": ["a"]}}, "a"),
        ({"messages": "letters"}, None),
        ({"messages": [{"role": "user"}]}, None),
        ({"messages": [{"content": 5}]}, None),
        ({"messages": [{"content": [{"type": "text", "text": 5}]}]}, None),
        ({"messages": [5]}, None),
        ({"text": 5}, None),
        ({"text": ["a"]}, None),
        ({"text": "\ud800"}, None),
        ({}, None),
        (["text"], None),
        ("text", None),
    ],
)
def test_the_text_of_a_row(row: Any, text: str | None) -> None:
    if text is not None:
        assert text_of(row, "here") == text
        return
    with pytest.raises(DataError, match=r"^here: .* is required"):
        text_of(row, "here")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"messages": [{"content": "a"}, {"content": "b"}]}, "a"),
        ({"messages": [{"content": "a"}, {"content": 5}]}, "a"),  # only the first is read
        ({"messages": [{"role": "system", "content": "s"}, {"content": "a"}]}, "a"),
        ({"messages": [{"content": parts("a", "b")}]}, "ab"),
        ({"data": ["a", "b"]}, "a"),
        ({"messages": None, "data": ["a"]}, "a"),
        ({"messages": [{"content": None}, {"content": "b"}]}, ""),
        ({"messages": [{"role": "system", "content": "s"}]}, ""),
        ({"messages": []}, ""),
        ({"messages": None}, ""),
        ({"messages": {"role": ["user", "x"], "content": ["a", "b"]}}, "a"),
        ({"messages": "letters"}, None),
        ({"data": "letters"}, None),
        ({"data": b"letters"}, None),
        ({"messages": '[{"content": "a"}]'}, None),
        ({"messages": [{"content": 5}]}, None),
        ({"text": "a"}, None),
        ({}, None),
    ],
)
def test_the_first_message_of_a_row(row: Any, text: str | None) -> None:
    if text is not None:
        assert first_message(row, "here") == text
        return
    with pytest.raises(DataError, match=r"^here: .* is required"):
        first_message(row, "here")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"version": 1,\n "data": []}', "a.json, row 0: an object with"),
        ("a.json", "[{}, 1, 2", "a.json: a JSON object is required: Expecting"),
        ("a.json", "prose", "a.json: a JSON object is required"),
        ("a.jsonl", "[1]", "a.jsonl:1: an object with .* got list"),
        ("a.jsonl", json.dumps({f"k{i}": 1 for i in range(500)}), "k3 and 496 more"),
        ("a.jsonl", "PAR1", "this is a parquet file"),
        ("a.csv", "body\nx\n", "a column text is required, got body"),
        ("a.csv", "text\n" + "x" * 200_000, "a.csv:2: a row of a table is required: field larger"),
        ("a.parquet", "prose", "a.parquet: cannot be read: ArrowInvalid"),
        ("a.parquet", "version https://git-lfs", "type: git lfs pull"),
        ("a.parquet", "", "a.parquet: cannot be read: ArrowInvalid"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(name: str, content: str, message: str) -> None:
    Path(name).write_text(content)
    with pytest.raises(DataError, match=message) as error:
        [text_of(row, where) for where, row in rows(Path(name))]
    assert len(str(error.value).splitlines()) == 1


def test_parquet_without_text_or_without_its_package_or_a_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parquet.write_table(pyarrow.table({f"c{i}": [1] for i in range(20)}), "a.parquet")
    with pytest.raises(DataError, match="a column text or messages or data is required, got c0"):
        next(rows(Path("a.parquet")))
    os.mkfifo("b.parquet")
    with pytest.raises(DataError, match="a file is required, this is a named pipe"):
        next(rows(Path("b.parquet")))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"type `pip install 'cvfp-opt\[hub\]'`"):
        next(rows(Path("a.parquet")))


def test_a_list_that_is_too_long_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_MOST_OF_A_VALUE", 50)
    write_texts("list.json")
    with pytest.raises(DataError, match=r"jq -c '\.\[\]' list.json > rows.jsonl"):
        next(rows(Path("list.json")))
