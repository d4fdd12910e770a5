"""UltraChat, from the Hugging Face hub or from a local copy; needs the extra ``hub``."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cvfp_opt.disk import what_it_is
from cvfp_opt.errors import DataError
from cvfp_opt.escaping import listed
from cvfp_opt.training.characters import is_hidden, looked_in
from cvfp_opt.training.hub_packages import in_one_line, reaching_the_hub, require
from cvfp_opt.training.rows import first_message, format_of, rows

# Words that `datasets` knows in the names of files: of other splits, and of the split to train on.
_OTHER_SPLITS = {"test", "testing", "eval", "evaluation", "validation", "valid", "dev", "val"}
_TRAINING = {"train", "training"}
# The split of UltraChat 200k that the hub gives first.
_FIRST = "train_sft"
# Files that `datasets` writes beside its data.
_NO_DATA = {"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"}


def ultrachat_dialogues(
    path: str, hub: str, revision: str
) -> tuple[Iterator[Iterable[str]], dict[str, str]]:
    """Find the first message of each UltraChat dialogue, in order, and say where from.

    Args:
        path: a .parquet, .jsonl or .json file, or a folder of one of these; empty for the hub.
        hub: name of the data set there, streamed.
        revision: commit or branch there; empty for the newest. The commit is recorded.

    Raises:
        DataError: the extra, the file, or the hub is missing; rows that are no dialogues.
    """
    datasets = require("datasets", 'data.source = "ultrachat"')
    if path:
        files = _local_files(path)
        found = (row for file in files for _, row in rows(file))
        return _first_messages(found, path), {"path": path}
    client = require("huggingface_hub", 'data.source = "ultrachat"')
    with reaching_the_hub("data", hub, revision, "a local copy: --set data.path=FILE.parquet"):
        commit = client.HfApi().dataset_info(hub, revision=revision or None).sha
        splits = datasets.get_dataset_split_names(hub, revision=commit)
        split = next((name for name in splits if name.startswith("train")), None)
        if split is None:
            raise DataError(
                f"data.hub: a split to train on is required, {hub} has {listed(splits)}; "
                "bring a local copy of the one you mean: --set data.path=FILE.parquet"
            )
        found = datasets.load_dataset(hub, split=split, streaming=True, revision=commit)
    return _first_messages(found, hub), {"hub": hub, "revision": commit, "split": split}


def _first_messages(found: Iterable[Any], where: str) -> Iterator[Iterable[str]]:
    with in_one_line(f"{where}: cannot be read as UltraChat"):
        for number, row in enumerate(found):
            yield first_message(row, f"{where}, row {number}")


def _local_files(path: str) -> list[Path]:
    """List the files of a local copy, by name: those of the split to train on."""
    source = Path(os.path.expanduser(path))
    required = (
        f"data.path {path}: a .parquet, .jsonl or .json file, or a folder of files of one of "
        "these kinds is required, got"
    )
    try:
        kind = what_it_is(source)
        if kind is None:
            raise DataError(f"{required} none: there is no such file or folder{looked_in(source)}")
        if kind == "a folder":
            files = _data_files(source) or _data_files(source / "data")
            chosen = _to_train_on(files)
        else:
            files = chosen = [source] if format_of(source) in ("json", "parquet") else []
    except OSError as error:
        raise DataError(f"data.path {path}: cannot be read: {error.strerror}") from None
    if files and not chosen:
        raise DataError(
            f"data.path {path}: files of a split to train on are required, got "
            f"{listed(file.name for file in files)}; to take one of these, name it"
        )
    suffixes = {file.suffix.lower() for file in chosen}
    if len(suffixes) != 1:
        raise DataError(f"{required} {' and '.join(sorted(suffixes)) or 'none'}")
    return chosen


def _data_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [
        file
        for file in sorted(folder.iterdir())
        if format_of(file) in ("json", "parquet")
        and not is_hidden(file)
        and file.name not in _NO_DATA
        and not file.is_dir()
    ]


def _to_train_on(files: list[Path]) -> list[Path]:
    """Choose the files named after training; if none is, those named after no other split."""
    first = [file for file in files if re.match(rf"{_FIRST}(?![a-z])", file.name.lower())]
    words = {file: set(re.split(r"[-._ 0-9]+", file.name.lower())) for file in files}
    named = [file for file in files if words[file] & _TRAINING]
    return first or named or [file for file in files if not words[file] & _OTHER_SPLITS]
