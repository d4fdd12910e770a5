"""Files that hold one document a row (JSON lines, JSON, parquet, CSV), and the text of a row."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cvfp_opt.disk import open_file
from cvfp_opt.errors import DataError
from cvfp_opt.escaping import listed, quoted
from cvfp_opt.training.characters import lines, pieces
from cvfp_opt.training.hub_packages import in_one_line, require
from cvfp_opt.training.kinds import refuse_other_kinds

Rows = Iterator[tuple[str, Any]]
"""Rows, each with its place: ``FILE:LINE`` or ``FILE, row N``."""

# Formats of files of rows by suffix, in small letters. `.gz` may follow all but parquet.
FORMATS = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
}
# Columns that hold text; others of a parquet file are not read.
COLUMNS = ("text", "messages", "data")
# Longest JSON file that is one value, in characters: it is read whole.
_MOST_OF_A_VALUE = 1 << 26
_ROWS_AT_A_TIME = 64
# How a list of objects begins.
_LIST = re.compile(r"\s*\[\s*[{\]]")


def format_of(path: Path) -> str | None:
    """Return the format of a file of rows by its name; None for plain text."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def rows(path: Path) -> Rows:
    """Read the rows of a file, in order, by the format that its name says.

    Raises:
        DataError: missing, no regular file, damaged, or of another format.
    """
    if format_of(path) == "parquet":
        return _parquet(path)
    return _table(path) if format_of(path) == "csv" else _json(path)


def text_of(row: Any, where: str) -> str:
    """Return the text of a row: its ``text``, or the contents of its ``messages``, one a line.

    Empty if it has no text: a null, no messages, or messages with calls of tools alone.

    Raises:
        DataError: it is no such row.
    """
    if isinstance(row, dict):
        text = row.get("text")
        if isinstance(text, str):
            return _whole(text, where)
        if row.get("messages") is not None:
            contents = _contents(row["messages"])
            if contents is not None:
                return _whole("\n".join(one for one in contents if one is not None), where)
        elif text is None and ("text" in row or "messages" in row):
            return ""
    raise DataError(
        f'{where}: an object with "text": "..." or "messages": [{{"content": "..."}}, ...] '
        f"is required, got {found_in(row)}"
    )


def first_message(row: Any, where: str) -> str:
    """Return the first message of a row of UltraChat, after a system's instructions if any.

    Of ``messages`` (UltraChat 200k) or ``data`` (the original UltraChat); empty if it has none.

    Raises:
        DataError: it is no such row.
    """
    if isinstance(row, dict):
        claimed = next((row[k] for k in ("messages", "data") if row.get(k)), None)
        if claimed is None and ("messages" in row or "data" in row):
            return ""
        if isinstance(claimed, list):
            claimed = claimed[1:2] if _role(claimed[0]) == "system" else claimed[:1]
        contents = _contents(claimed)
        if contents is not None:
            return _whole(contents[0] or "", where) if contents else ""
    raise DataError(
        f'{where}: "messages" [{{"content": "..."}}, ...] or "data" ["...", ...] is required, '
        f"got {found_in(row)}"
    )


def found_in(row: Any) -> str:
    """Describe what a row is or has, in a few words."""
    if not isinstance(row, dict):
        return type(row).__name__
    claimed = [k for k in COLUMNS if row.get(k) is not None]
    words = f", with {claimed[0]} of type {type(row[claimed[0]]).__name__}" if claimed else ""
    return f"the keys {listed(row) or 'none'}{words}"


def _whole(text: str, where: str) -> str:
    try:
        text.encode("utf-8")  # JSON can spell half a character, which is no text
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: a JSON object is required: {error}") from None
    return text


def _contents(messages: Any) -> list[str | None] | None:
    """Return the text of each message, None where it has none; None if they are no messages."""
    if isinstance(messages, dict):  # a column of structs, as `datasets` writes a Sequence
        messages = messages.get("content")
    if not isinstance(messages, list):
        return None
    try:
        return [_content(message) for message in messages]
    except TypeError:
        return None


def _content(message: Any) -> str | None:
    """Return the text of a message: its parts of text, joined, as templates of chats do.

    Raises:
        TypeError: no message.
    """
    if isinstance(message, dict):
        if "content" not in message and "tool_calls" not in message:
            raise TypeError
        message = message.get("content")
    if message is None or isinstance(message, str):
        return message
    if not isinstance(message, list):
        raise TypeError
    parts = [part.get("text") if isinstance(part, dict) else part for part in message]
    texts = [part for part in parts if part is not None]  # the others are pictures and the like
    return "".join(texts) if texts else None


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


def _json(path: Path) -> Rows:
    """Read an object a line, or one list of objects, which is read whole."""
    head = next((piece for piece in pieces(path) if piece.strip()), "")
    if _LIST.match(head):
        yield from _value(path)
        return
    plain = ".json" in [suffix.lower() for suffix in path.suffixes[-2:]]
    if plain and not _is_json(head.lstrip().partition("\n")[0]):
        yield from _value(path)
        return
    for number, raw in lines(path):
        line, where = raw.removeprefix("\ufeff"), f"{path}:{number}"
        if line.strip():
            yield where, _parsed(line, where)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _value(path: Path) -> Rows:
    """Read the rows of a JSON file that is one list, or one object."""
    content: list[str] = []
    length = 0
    for piece in pieces(path):
        content.append(piece)
        length += len(piece)
        if length > _MOST_OF_A_VALUE:
            raise DataError(
                f"{path}: a list of at most {_MOST_OF_A_VALUE:,} characters is required, this is "
                f"longer; write an object a line: jq -c '.[]' {quoted(path)} > rows.jsonl"
            )
    value = _parsed("".join(content), str(path))
    for number, row in enumerate(value if isinstance(value, list) else [value]):
        yield f"{path}, row {number}", row


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: a JSON object is required: {error}") from None


def _parquet(path: Path) -> Rows:
    parquet = require("pyarrow.parquet", str(path))
    with open_file(path, error=DataError) as file, in_one_line(f"{path}: cannot be read"):
        head = file.peek(64)  # type: ignore[attr-defined]
        if not head.startswith(b"PAR1"):
            refuse_other_kinds(head, path)
        table = parquet.ParquetFile(file)
        names = table.schema_arrow.names
        wanted = [name for name in COLUMNS if name in names]
        if not wanted:
            raise DataError(
                f"{path}: a column {' or '.join(COLUMNS)} is required, got {listed(names)}"
            )
        number = 0
        for batch in table.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=wanted):
            for row in batch.to_pylist():
                yield f"{path}, row {number}", row
                number += 1


def _table(path: Path) -> Rows:
    """Read rows of CSV, or of tab-separated values; the first line names the columns."""
    tabs = ".tsv" in [suffix.lower() for suffix in path.suffixes]
    text = (f"{line}\n" for _, line in lines(path))
    reader = csv.DictReader(text, delimiter="\t" if tabs else ",")
    try:
        if reader.fieldnames is not None and "text" not in reader.fieldnames:
            raise DataError(
                f"{path}: a column text is required, got {listed(reader.fieldnames)}; "
                "to take all of it as text, name a file that ends in .txt"
            )
        for row in reader:
            yield f"{path}:{reader.line_num}", row
    except csv.Error as error:
        raise DataError(
            f"{path}:{reader.line_num + 1}: a row of a table is required: {error}"
        ) from None
