"""Token embeddings and the tokenizer that they belong to: frozen, layer-normalised once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tokenizers import Tokenizer

from cvfp_opt.training.data_config import EmbeddingConfig
from cvfp_opt.training.tokenizer import load_tokenizer, read_tokenizer

if TYPE_CHECKING:  # tables alone need torch; text is read without, see training.data
    import torch
    from torch import Tensor

EMBEDDING_STD = 0.02


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """A tokenizer, and the embeddings of its tokens.

    Attributes:
        tokenizer: ids lie below ``size``.
        size: V.
        table: (V, E) layer-normalised; None if it is drawn anew for each trial.
        identity: its source, with the ``digest`` of the table before normalisation.
    """

    tokenizer: Tokenizer
    size: int
    table: "Tensor | None" = None
    identity: dict[str, str] = field(default_factory=dict)


class EmbeddingSource(Protocol):
    """The interface of a source of embeddings: load a vocabulary of that width.

    Raises DataError for what is missing or unfit.
    """

    def __call__(self, config: EmbeddingConfig, embedding_size: int) -> Vocabulary: ...


def shipped(config: EmbeddingConfig, embedding_size: int) -> Vocabulary:
    """Load the shipped tokenizer; each trial draws its embeddings, as in the original program."""
    tokenizer = load_tokenizer()
    return Vocabulary(
        tokenizer=tokenizer, size=tokenizer.get_vocab_size(), identity={"source": "random"}
    )


def gpt2(config: EmbeddingConfig, embedding_size: int) -> Vocabulary:
    """Load GPT-2's tokenizer and its 768-wide token embeddings, as the original program used."""
    from cvfp_opt.training.gpt2 import gpt2_vocabulary

    tokenizer, table, identity = gpt2_vocabulary(config.path, config.hub, config.revision)
    where = config.path or config.hub
    return _vocabulary(tokenizer, table, {"source": "gpt2"} | identity, where, embedding_size)


def safetensors(config: EmbeddingConfig, embedding_size: int) -> Vocabulary:
    """Load a table from a safetensors file, for a tokenizer.json or the shipped tokenizer."""
    from cvfp_opt.training.table import read_table

    table = read_table(config.path, config.tensor)
    identity = {"source": "safetensors", "path": config.path}
    tokenizer = load_tokenizer()
    if config.tokenizer:
        tokenizer, identity["tokenizer"] = read_tokenizer(config.tokenizer)
    return _vocabulary(tokenizer, table, identity, config.path, embedding_size)


EMBEDDING_SOURCES: Mapping[str, EmbeddingSource] = {
    "random": shipped,
    "gpt2": gpt2,
    "safetensors": safetensors,
}


def load_vocabulary(config: EmbeddingConfig, embedding_size: int) -> Vocabulary:
    """Load the tokenizer and embeddings that a definition asks for.

    Raises:
        DataError: missing, unreadable, or of another width than ``embedding_size``.
    """
    return EMBEDDING_SOURCES[config.source](config, embedding_size)


def random_embeddings(
    vocabulary_size: int, embedding_size: int, generator: "torch.Generator"
) -> "Tensor":
    """Draw a (vocabulary, E) table from N(0, 0.02^2), and layer-normalise each row."""
    import torch
    from torch.nn import functional as F

    table = torch.empty(vocabulary_size, embedding_size)
    table.normal_(0.0, EMBEDDING_STD, generator=generator)
    return F.layer_norm(table, (embedding_size,))


def _vocabulary(
    tokenizer: Tokenizer,
    table: "Tensor",
    identity: dict[str, str],
    where: str,
    embedding_size: int,
) -> Vocabulary:
    """Check, digest and layer-normalise a table of embeddings for its tokenizer."""
    from cvfp_opt.training.table import check_table, normalised

    words = tokenizer.get_vocab(with_added_tokens=True)
    check_table(table, max(words.values()) + 1, embedding_size, where)
    digest = hashlib.sha256(table.contiguous().numpy().tobytes()).hexdigest()
    return Vocabulary(
        tokenizer=tokenizer,
        size=table.shape[0],
        table=normalised(table),
        identity=identity | {"digest": digest},
    )
