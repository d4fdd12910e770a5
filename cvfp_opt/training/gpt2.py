"""GPT-2's tokenizer and token embeddings, from the hub or a folder; needs the extra ``hub``."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from cvfp_opt.disk import open_file, what_it_is
from cvfp_opt.errors import DataError
from cvfp_opt.escaping import listed
from cvfp_opt.training.characters import looked_in
from cvfp_opt.training.hub_packages import in_one_line, reaching_the_hub, require
from cvfp_opt.training.kinds import refuse_other_kinds
from cvfp_opt.training.tokenizer import settled

_WTE = "wte.weight"
# Files that transformers reads from a folder. A pipe among them would hang it.
_READ = (
    "config.json",
    "tokenizer*.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*model*.safetensors",
    "*model*.bin",
    "*.index.json",
)
_OTHERWISE = (
    "a table of another kind: --set embedding.source=safetensors --set embedding.path=FILE "
    "--set embedding.tensor=NAME --set embedding.tokenizer=FILE"
)


def gpt2_vocabulary(
    path: str, hub: str, revision: str
) -> tuple[Tokenizer, Tensor, dict[str, str]]:
    """Load GPT-2's tokenizer and token embeddings (V, E), and say what they come from.

    Args:
        path: folder of a local copy (tokenizer and model); empty for the hub.
        hub: name of the model there.
        revision: commit or branch there; empty for the newest. The commit is recorded.

    Raises:
        DataError: the extra, the folder, or the hub is missing; the folder is of another model,
            or has no tokenizer or no token embeddings.
    """
    transformers = require("transformers", 'embedding.source = "gpt2"')
    options: dict[str, Any]
    if path:
        found, shown = str(_folder(path)), path
        identity, options = {"path": path}, {"local_files_only": True}
    else:
        client = require("huggingface_hub", 'embedding.source = "gpt2"')
        with reaching_the_hub("embedding", hub, revision, "a folder: --set embedding.path=DIR"):
            commit = client.HfApi().model_info(hub, revision=revision or None).sha
        found = shown = hub
        identity, options = {"hub": hub, "revision": commit}, {"revision": commit}
    with in_one_line(f"{shown}: cannot be read as GPT-2"), _silence(transformers):
        kind = transformers.GPT2Config.get_config_dict(found, **options)[0].get("model_type")
        if kind != "gpt2":
            raise DataError(
                f"{shown}: a GPT-2 is required, its config.json has model_type = {kind!r}; "
                f"bring GPT-2, or take {_OTHERWISE}"
            )
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            found, trust_remote_code=False, **options
        )
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise DataError(
                f"{shown}: a tokenizer.json is required, the tokenizer here is a "
                f"{type(tokenizer).__name__}, which has none"
            )
        table = _embeddings(transformers, found, options, shown)
    return settled(backend, shown), table, identity


def _embeddings(transformers: Any, found: str, options: dict[str, Any], shown: str) -> Tensor:
    """Return the token embeddings of the files; transformers would draw missing ones anew."""
    model, info = transformers.GPT2Model.from_pretrained(
        found, output_loading_info=True, ignore_mismatched_sizes=True, **options
    )
    if any(name.endswith(_WTE) for name in info["missing_keys"]):
        unexpected = sorted(info["unexpected_keys"], key=lambda name: ("wte" not in name, name))
        names = listed(unexpected)
        raise DataError(
            f"{shown}: GPT-2's token embeddings are required, a tensor {_WTE} or "
            f"transformer.{_WTE}, but the files have none"
            + (f" (they have {names})" if names else "")
            + f"; bring a whole GPT-2, or take {_OTHERWISE}"
        )
    for name, stored, configured in info["mismatched_keys"]:
        if name.endswith(_WTE):
            raise DataError(
                f"{shown}: {_WTE} of shape {list(configured)} is required by config.json "
                f"(vocab_size, n_embd), the file's is {list(stored)}; mend config.json"
            )
    table: Tensor = model.get_input_embeddings().weight.detach().float()
    return table


def _folder(path: str) -> Path:
    """Check a local copy: it has what it needs, and none of it is a pipe or an empty pointer."""
    folder = Path(os.path.expanduser(path))
    needed = "GPT-2's config.json, model.safetensors and tokenizer.json"
    try:
        found = what_it_is(folder)
    except OSError as error:
        raise DataError(f"embedding.path {path}: cannot be read: {error.strerror}") from None
    if found != "a folder":
        raise DataError(
            f"embedding.path {path}: no such folder{looked_in(folder)}; bring one with {needed}"
        )
    names = set(os.listdir(folder))
    for file in sorted({file for pattern in _READ for file in folder.glob(pattern)}):
        with open_file(file, error=DataError) as opened:
            refuse_other_kinds(opened.read(64), file, but=(b"PK\x03\x04",))  # torch's .bin
    if "tokenizer.json" not in names and not {"vocab.json", "merges.txt"} <= names:
        raise DataError(
            f"embedding.path {path}: GPT-2's tokenizer is required, a tokenizer.json, or a "
            f"vocab.json and a merges.txt, but the folder has none; bring one with {needed}"
        )
    return folder.absolute()


@contextmanager
def _silence(transformers: Any) -> Iterator[None]:
    """Keep transformers' warnings off the terminal: what matters in them becomes an error here."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
