"""What comes from the Hugging Face hub, or from local copies of it; needs the extra ``hub``.

The packages are imported when they are used: nobody else pays for them.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from cvfp_opt.errors import CvfpOptError, DataError

# Loaders of `datasets`, by the suffix of a local copy.
_FORMATS = {".parquet": "parquet", ".jsonl": "json", ".json": "json"}


def ultrachat_dialogues(
    path: str, hub: str, revision: str
) -> tuple[Iterator[str], dict[str, str]]:
    """The first message of each UltraChat dialogue, in order; and what they come from.

    Args:
        path: a .parquet, .jsonl or .json file, or a folder of one of these; empty for the hub.
        hub: name of the data set there, streamed.
        revision: commit or branch there; empty for the newest. The commit is recorded.

    Raises:
        DataError: the extra, the file, or the hub is missing; rows that are no dialogues.
    """
    datasets = _require("datasets", 'data.source = "ultrachat"')
    if path:
        files, loader = _local_files(Path(path))
        with _in_one_line(f"{path}: cannot be read as UltraChat"):
            rows = datasets.load_dataset(
                loader, data_files=[str(file) for file in files], split="train", streaming=True
            )
        identity = {"path": path}
    else:
        client = _require("huggingface_hub", 'data.source = "ultrachat"')
        with _reaching_the_hub(
            "data", hub, revision, "a local copy: --set data.path=FILE.parquet"
        ):
            commit = client.HfApi().dataset_info(hub, revision=revision or None).sha
            splits = datasets.get_dataset_split_names(hub, revision=commit)
            split = next(name for name in splits if name.startswith("train"))
            rows = datasets.load_dataset(hub, split=split, streaming=True, revision=commit)
        identity = {"hub": hub, "revision": commit, "split": split}
    return _first_messages(rows, path or hub), identity


def gpt2_vocabulary(
    path: str, hub: str, revision: str
) -> tuple[Tokenizer, Tensor, dict[str, str]]:
    """GPT-2's tokenizer and token embeddings (V, E), and what they come from.

    Args:
        path: folder of a local copy (tokenizer and model); empty for the hub.
        hub: name of the model there.
        revision: commit or branch there; empty for the newest. The commit is recorded.

    Raises:
        DataError: the extra, the folder, or the hub is missing.
    """
    transformers = _require("transformers", 'embedding.source = "gpt2"')
    where, identity = path, {"path": path}
    options: dict[str, Any] = {"local_files_only": True}
    if path and not Path(path).is_dir():
        raise DataError(
            f"embedding.path {path}: no such folder; bring one with GPT-2's config.json, "
            "model.safetensors and tokenizer.json"
        )
    if not path:
        client = _require("huggingface_hub", 'embedding.source = "gpt2"')
        with _reaching_the_hub("embedding", hub, revision, "a folder: --set embedding.path=DIR"):
            commit = client.HfApi().model_info(hub, revision=revision or None).sha
        where, identity = hub, {"hub": hub, "revision": commit}
        options = {"revision": commit}
    with _in_one_line(f"{where}: cannot be read as GPT-2"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, **options)
        model = transformers.GPT2Model.from_pretrained(where, **options)
        table = model.get_input_embeddings().weight.detach().float()
    return tokenizer.backend_tokenizer, table, identity


def _require(package: str, key: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise DataError(
            f"{key}: the package {package} is required ({error}); "
            "type `pip install 'cvfp-opt[hub]'`"
        ) from None


@contextmanager
def _in_one_line(problem: str) -> Iterator[None]:
    """Whatever a client library raises, as a DataError of one line."""
    try:
        yield
    except CvfpOptError:
        raise
    except Exception as error:
        raise DataError(f"{problem}: {_first_line(error)}") from None


@contextmanager
def _reaching_the_hub(section: str, hub: str, revision: str, instead: str) -> Iterator[None]:
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except RevisionNotFoundError:
        raise DataError(
            f"{section}.revision: {hub} has no revision {revision!r} on the hub; "
            f"mend it, or leave it empty for the newest: --set {section}.revision="
        ) from None
    except RepositoryNotFoundError:
        raise DataError(
            f"{section}.hub: there is no {hub!r} on the hub, or it is private; mend the name, or "
            f"bring {instead}"
        ) from None
    except Exception as error:  # whatever the client raises without a network
        raise DataError(
            f"{section}.hub: {hub} cannot be reached ({_first_line(error)}); "
            f"without a network bring {instead}"
        ) from None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _local_files(source: Path) -> tuple[list[Path], str]:
    """The files of a local copy, and the loader for them."""
    candidates = sorted(source.iterdir()) if source.is_dir() else [source]
    files = [file for file in candidates if file.suffix in _FORMATS and file.is_file()]
    suffixes = {file.suffix for file in files}
    if len(suffixes) != 1:
        found = " and ".join(sorted(suffixes)) or "none"
        raise DataError(
            f"data.path {source}: a .parquet, .jsonl or .json file, or a folder of files of one "
            f"of these kinds is required, got {found}"
        )
    return files, _FORMATS[suffixes.pop()]


def _first_messages(rows: Any, where: str) -> Iterator[str]:
    """From rows with ``messages`` (UltraChat 200k) or ``data`` (the original UltraChat)."""
    with _in_one_line(f"{where}: cannot be read as UltraChat"):
        for number, row in enumerate(rows):
            first = (row.get("messages") or row.get("data") or [None])[0]
            text = first.get("content") if isinstance(first, dict) else first
            if not isinstance(text, str):
                raise DataError(
                    f'{where}, row {number}: "messages" [{{"content": "..."}}, ...] or "data" '
                    f'["...", ...] is required, got the keys {", ".join(row) or "none"}'
                )
            yield text
