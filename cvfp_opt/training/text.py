"""Where text comes from: the embedded corpus, or the user's files.

A source yields documents lazily, and a document its text piece by piece, so that the head of a
large file costs no more than the head.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cvfp_opt.disk import what_it_is
from cvfp_opt.errors import DataError
from cvfp_opt.training.characters import is_hidden, looked_in, pieces
from cvfp_opt.training.hub import ultrachat_dialogues
from cvfp_opt.training.rows import format_of, rows, text_of

CORPUS = Path(__file__).parent / "corpus" / "dialogues.jsonl"

# Text between two documents, so that no token spans both.
SEPARATOR = "\n\n"

Documents = tuple[Iterator[Iterable[str]], dict[str, str]]
"""Documents, each a text or pieces that can be read again; and where they come from."""


class TextSource(Protocol):
    """The interface of a text source: find documents at ``data.path``, or on the hub.

    Raises DataError.
    """

    def __call__(self, path: str, hub: str, revision: str) -> Documents: ...


def embedded(path: str, hub: str, revision: str) -> Documents:
    """Open the dialogues that were written for this project and are shipped with it."""
    return _row_texts(CORPUS), {}


def text(path: str, hub: str, revision: str) -> Documents:
    """Open a text file, a folder of them, or a file of rows, of the user's."""
    return read_files(path), {"path": path}


def ultrachat(path: str, hub: str, revision: str) -> Documents:
    """Open the first messages of UltraChat's dialogues, which the original program read."""
    return ultrachat_dialogues(path, hub, revision)


TEXT_SOURCES: Mapping[str, TextSource] = {
    "embedded": embedded,
    "text": text,
    "ultrachat": ultrachat,
}


@dataclass(frozen=True)
class _File:
    """A document that is a whole file."""

    path: Path

    def __iter__(self) -> Iterator[str]:
        return pieces(self.path)


def read_files(path: str) -> Iterator[Iterable[str]]:
    """Find the documents of a text file, of a folder of them, or of a file of rows.

    Of a folder, its ``*.txt`` in the order of their names; hidden ones are left out. Files of
    rows are those of ``rows.FORMATS``. ``~`` is the home; other paths are relative to the
    current folder.

    Raises:
        DataError: there is nothing at ``path``, or no text.
    """
    source = Path(os.path.expanduser(path))
    try:
        found = what_it_is(source)
    except OSError as error:
        raise DataError(f"--data {source}: cannot be read: {error.strerror}") from None
    if found is None:
        raise DataError(
            f"--data {source}: no such file or folder{looked_in(source)}; "
            "give a .txt file, a folder of .txt files or a .jsonl file"
        )
    if found == "a folder":
        return iter([_File(file) for file in _text_files(source)])
    if format_of(source) is not None:
        return _row_texts(source)
    return iter([_File(source)])


class JoinedText:
    """Documents joined into one text, read and held no further than asked for."""

    def __init__(self, documents: Iterator[Iterable[str]]) -> None:
        self._pieces = self._joined(documents)
        self._taken: list[str] = []
        self._length = 0
        self._ended = False
        self._num_documents = 0
        self._num_without_text = 0

    @property
    def skipped(self) -> str:
        """How many of the documents read so far were left out, for lack of text; "" if none."""
        if not self._num_without_text:
            return ""
        return f"{self._num_without_text} of {self._num_documents} documents read had no text"

    def first(self, num_characters: int) -> tuple[str, bool]:
        """Return the first characters of the text, and whether they are all of it."""
        while self._length <= num_characters and not self._ended:
            piece = next(self._pieces, None)
            self._ended = piece is None
            if piece is not None:
                self._taken.append(piece)
                self._length += len(piece)
        text = "".join(self._taken)
        return text[:num_characters], len(text) <= num_characters

    def _joined(self, documents: Iterator[Iterable[str]]) -> Iterator[str]:
        begun = False
        for document in documents:
            self._num_documents += 1
            parts = (document,) if isinstance(document, str) else document
            if not any(part.strip() for part in parts):
                self._num_without_text += 1
                continue
            if begun:
                yield SEPARATOR
            begun = True
            yield from parts


def _text_files(folder: Path) -> list[Path]:
    try:
        files = [
            entry
            for entry in sorted(folder.iterdir())
            if entry.suffix.lower() == ".txt" and not is_hidden(entry) and not entry.is_dir()
        ]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None
    if not files:
        raise DataError(
            f"{folder}: a folder with *.txt files is required, this one has none; "
            "name a .txt or .jsonl file instead"
        )
    return files


def _row_texts(path: Path) -> Iterator[Iterable[str]]:
    return (text_of(row, where) for where, row in rows(path))
