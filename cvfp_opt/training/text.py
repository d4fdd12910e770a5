"""Where text comes from: the embedded corpus, or the user's files.

A source yields documents lazily, so that the head of a large file costs no more than the head.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from cvfp_opt.errors import DataError
from cvfp_opt.training.hub import ultrachat_dialogues

CORPUS = Path(__file__).parent / "corpus" / "dialogues.jsonl"

# Between two documents, so that no token spans both.
SEPARATOR = "\n\n"

Documents = tuple[Iterator[str], dict[str, str]]
"""Documents, and what they come from."""


class TextSource(Protocol):
    """Finds documents: at ``data.path``, or on the hub. Raises DataError."""

    def __call__(self, path: str, hub: str, revision: str) -> Documents: ...


def embedded(path: str, hub: str, revision: str) -> Documents:
    """The dialogues written for this project, shipped with it."""
    return _jsonl(CORPUS), {}


def text(path: str, hub: str, revision: str) -> Documents:
    """The user's files, see ``read_files``."""
    return read_files(path), {"path": path}


def ultrachat(path: str, hub: str, revision: str) -> Documents:
    """The first messages of UltraChat's dialogues, as the original used them."""
    return ultrachat_dialogues(path, hub, revision)


TEXT_SOURCES: Mapping[str, TextSource] = {
    "embedded": embedded,
    "text": text,
    "ultrachat": ultrachat,
}


def read_files(path: str) -> Iterator[str]:
    """A text file, a folder of ``*.txt`` (in name order), or a ``.jsonl`` (see ``_document``)."""
    source = Path(path)
    if source.is_dir():
        files = sorted(source.glob("*.txt"))
        if not files:
            raise DataError(
                f"{source}: a folder with *.txt files is required, this one has none; "
                "name a .txt or .jsonl file instead"
            )
        return (_read(file) for file in files)
    if not source.is_file():
        raise DataError(
            f"--data {source}: no such file or folder; "
            "give a .txt file, a folder of .txt files or a .jsonl file"
        )
    if source.suffix == ".jsonl":
        return _jsonl(source)
    return iter([_read(source)])


def collect(documents: Iterator[str], num_characters: int) -> str:
    """Join documents until ``num_characters`` are there (or all)."""
    parts: list[str] = []
    length = 0
    for document in documents:
        if not document.strip():
            continue
        parts.append(document)
        length += len(document) + len(SEPARATOR)
        if length >= num_characters:
            break
    return SEPARATOR.join(parts)[:num_characters]


def _read(path: Path) -> str:
    return _decode(_bytes(path), path, 0)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _decode(raw: bytes, path: Path, offset: int) -> str:
    """The text of ``raw``, which begins at ``offset`` in the file.

    Without byte order mark, and with the same line ends whatever system wrote it.
    """
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: UTF-8 text is required, but the byte at offset {offset + error.start} is "
            f"not; convert it, for instance: iconv -f latin1 -t utf-8 {path} > utf8.txt"
        ) from None


def _jsonl(path: Path) -> Iterator[str]:
    offset = 0
    try:
        with path.open("rb") as lines:
            for number, raw in enumerate(lines, start=1):
                line = _decode(raw, path, offset)
                offset += len(raw)
                if line.strip():
                    yield _document(line, f"{path}:{number}")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _document(line: str, where: str) -> str:
    """The text of one JSON line: its ``text``, or the ``content`` of its ``messages``."""
    try:
        row: Any = json.loads(line)
        text = _text_of(row)
        if text is not None:
            text.encode("utf-8")  # JSON can spell half a character, which is no text
            return text
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: a JSON object is required: {error}") from None
    found = f"the keys {', '.join(row) or 'none'}" if isinstance(row, dict) else type(row).__name__
    raise DataError(
        f'{where}: an object with "text": "..." or "messages": [{{"content": "..."}}, ...] '
        f"is required, got {found}"
    )


def _text_of(row: Any) -> str | None:
    if not isinstance(row, dict):
        return None
    if isinstance(row.get("text"), str):
        return row["text"]
    messages = row.get("messages")
    if not isinstance(messages, list):
        return None
    contents = [m.get("content") if isinstance(m, dict) else None for m in messages]
    texts = [content for content in contents if isinstance(content, str)]
    return "\n".join(texts) if len(texts) == len(messages) else None
