"""Token embeddings and the tokenizer that they belong to: frozen, layer-normalised once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.errors import DataError, DefinitionError, nearest
from cvfp_opt.training.hub import gpt2_vocabulary
from cvfp_opt.training.tokenizer import MAX_TOKEN_LENGTH, load_tokenizer

EMBEDDING_STD = 0.02


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """A tokenizer, and the embeddings of its tokens.

    Attributes:
        tokenizer: ids lie below ``size``.
        size: V.
        max_token_length: no token stands for more characters.
        table: (V, E) layer-normalised; None if it is drawn anew for each trial.
        identity: what it came from; with the ``digest`` of the table before normalisation.
    """

    tokenizer: Tokenizer
    size: int
    max_token_length: int
    table: Tensor | None = None
    identity: dict[str, str] = field(default_factory=dict)


class EmbeddingSource(Protocol):
    """Loads a vocabulary. Raises DataError for what is missing or unfit."""

    def __call__(self, config: "EmbeddingConfig") -> Vocabulary: ...


def shipped(config: "EmbeddingConfig") -> Vocabulary:
    """The shipped tokenizer; embeddings are drawn for each trial, as the seed does."""
    tokenizer = load_tokenizer()
    return Vocabulary(
        tokenizer=tokenizer,
        size=tokenizer.get_vocab_size(),
        max_token_length=MAX_TOKEN_LENGTH,
        identity={"source": "random"},
    )


def gpt2(config: "EmbeddingConfig") -> Vocabulary:
    """GPT-2's tokenizer and its 768-wide token embeddings, as the original used them."""
    tokenizer, table, identity = gpt2_vocabulary(config.path, config.hub, config.revision)
    return _vocabulary(tokenizer, table, {"source": "gpt2"} | identity, config.path or config.hub)


def safetensors(config: "EmbeddingConfig") -> Vocabulary:
    """A table from a safetensors file, for a tokenizer.json or the shipped tokenizer."""
    table = _read_table(Path(config.path), config.tensor)
    identity = {"source": "safetensors", "path": config.path}
    tokenizer = load_tokenizer()
    if config.tokenizer:
        try:
            content = Path(config.tokenizer).read_bytes()
            tokenizer = Tokenizer.from_buffer(content)
        except OSError as error:
            raise DataError(f"embedding.tokenizer {config.tokenizer}: {error.strerror}") from None
        except Exception as error:  # of Rust: no narrower class
            raise DataError(
                f"embedding.tokenizer {config.tokenizer}: not a tokenizer.json: {error}"
            ) from None
        identity["tokenizer"] = hashlib.sha256(content).hexdigest()
    return _vocabulary(tokenizer, table, identity, config.path)


EMBEDDING_SOURCES: Mapping[str, EmbeddingSource] = {
    "random": shipped,
    "gpt2": gpt2,
    "safetensors": safetensors,
}


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig:
    """Where token embeddings come from. Where files lie is not part of what a study is.

    Attributes:
        source: a key of EMBEDDING_SOURCES.
        path: of "safetensors": the file; of "gpt2": a folder, or empty for the hub.
        tensor: of "safetensors": name of the (V, E) tensor; empty if there is but one matrix.
        tokenizer: of "safetensors": a tokenizer.json; empty for the shipped tokenizer.
        hub: of "gpt2": name of the model on the hub.
        revision: of "gpt2": commit or branch there; empty for the newest.
    """

    source: str = "random"
    path: str = ""
    tensor: str = ""
    tokenizer: str = ""
    hub: str = "openai-community/gpt2"
    revision: str = ""

    def __post_init__(self) -> None:
        if self.source not in EMBEDDING_SOURCES:
            raise DefinitionError(
                f"embedding.source: unknown source {self.source!r}; "
                f"{nearest(self.source, EMBEDDING_SOURCES)}"
            )
        if self.source == "safetensors" and not self.path:
            raise DefinitionError(
                'embedding.path: source = "safetensors" requires a file; '
                "type --set embedding.path=FILE.safetensors"
            )
        for key, source in (
            ("path", ("gpt2", "safetensors")),
            ("tensor", ("safetensors",)),
            ("tokenizer", ("safetensors",)),
            ("revision", ("gpt2",)),
        ):
            if getattr(self, key) and self.source not in source:
                raise DefinitionError(
                    f"embedding.{key}: belongs to source = "
                    f'{" or ".join(repr(s) for s in source)}, got source = "{self.source}"'
                )


def load_vocabulary(config: EmbeddingConfig, embedding_size: int) -> Vocabulary:
    """The tokenizer and embeddings that a definition asks for.

    Raises:
        DataError: missing, unreadable, or of another width than ``embedding_size``.
    """
    vocabulary = EMBEDDING_SOURCES[config.source](config)
    if vocabulary.table is not None and vocabulary.table.shape[1] != embedding_size:
        width = vocabulary.table.shape[1]
        raise DataError(
            f"{config.path or config.hub}: embeddings of width model.embedding_size = "
            f"{embedding_size} are required, these have {width}; "
            f"type --set model.embedding_size={width}"
        )
    return vocabulary


def random_embeddings(
    vocabulary_size: int, embedding_size: int, generator: torch.Generator
) -> Tensor:
    """A (vocabulary, E) table drawn from N(0, 0.02^2), each row then layer-normalised."""
    table = torch.empty(vocabulary_size, embedding_size)
    table.normal_(0.0, EMBEDDING_STD, generator=generator)
    return F.layer_norm(table, (embedding_size,))


def _vocabulary(
    tokenizer: Tokenizer, table: Tensor, identity: dict[str, str], where: str
) -> Vocabulary:
    words = tokenizer.get_vocab(with_added_tokens=True)
    if table.shape[0] <= max(words.values()):
        raise DataError(
            f"{where}: a row for each of the tokenizer's {max(words.values()) + 1} tokens is "
            f"required, the table has {table.shape[0]}"
        )
    if not bool(torch.isfinite(table).all()):
        raise DataError(f"{where}: finite embeddings are required, some are not")
    digest = hashlib.sha256(table.contiguous().numpy().tobytes()).hexdigest()
    return Vocabulary(
        tokenizer=tokenizer,
        size=table.shape[0],
        max_token_length=max(map(len, words)),
        table=F.layer_norm(table, (table.shape[1],)),
        identity=identity | {"digest": digest},
    )


def _read_table(path: Path, tensor: str) -> Tensor:
    """One matrix of a safetensors file, as float32."""
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            matrices = [name for name in names if len(file.get_slice(name).get_shape()) == 2]
            name = tensor or (matrices[0] if len(matrices) == 1 else "")
            if name not in matrices:
                raise DataError(
                    f"{path}: "
                    + (
                        f"no matrix {tensor!r}; {nearest(tensor, matrices)}"
                        if tensor
                        else f"has {len(matrices)} matrices; name one with --set "
                        f"embedding.tensor=NAME ({', '.join(matrices) or 'none'})"
                    )
                )
            return file.get_tensor(name).float()
    except (OSError, SafetensorError) as error:
        raise DataError(f"embedding.path {path}: not a safetensors file: {error}") from None
