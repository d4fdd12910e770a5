"""From a ``[data]`` section to the tokens of a study.

Text is read and digested without torch, which takes seconds to import and 150 MB: whoever submits
a study trains nothing.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from cvfp_opt.errors import DataError
from cvfp_opt.training.data_config import MIN_TRAIN_TOKENS, DataConfig, EmbeddingConfig
from cvfp_opt.training.embedding import load_vocabulary
from cvfp_opt.training.encoding import first_ids
from cvfp_opt.training.text import TEXT_SOURCES, JoinedText

if TYPE_CHECKING:
    from torch import Tensor

# Share of unknown tokens from which on the tokenizer is hardly one for this text.
UNKNOWN_SHARE = 0.1
SHIPPED = EmbeddingConfig()


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of a study.

    Attributes:
        ids: (T + V,) int64, of the training text and of the text that follows.
        num_train: T.
        num_validation: V if the validation split is the tail of ``train``; 0 if it is
            ``held_out``.
        tokenizer: the tokenizer that made them.
        vocabulary_size: ids lie below it.
        table: (vocabulary, E) layer-normalised embeddings; None if each trial draws its own.
        digest: SHA-256 over all ids, hexadecimal.
        sources: where the text ("data") and the embeddings ("embedding") came from.
        notice: what the user should know of the text; empty if nothing.
    """

    ids: NDArray[np.int64]
    num_train: int
    num_validation: int
    tokenizer: Tokenizer
    vocabulary_size: int
    table: "Tensor | None"
    digest: str
    sources: dict[str, dict[str, str]]
    notice: str = ""

    @property
    def train(self) -> "Tensor":
        """(T,) int64 ids."""
        return _tensor(self.ids[: self.num_train])

    @property
    def held_out(self) -> "Tensor":
        """(V,) int64 ids of the text that follows."""
        return _tensor(self.ids[self.num_train :])


def _tensor(ids: NDArray[np.int64]) -> "Tensor":
    import torch

    return torch.from_numpy(ids)


def load_tokens(
    config: DataConfig,
    embedding: EmbeddingConfig = SHIPPED,
    embedding_size: int = 0,
) -> Tokens:
    """Read, tokenize and split the text.

    Args:
        config: which text.
        embedding: which tokenizer and embeddings.
        embedding_size: E; where ``embedding`` brings a table, its width.

    Raises:
        DataError: text missing, unreadable, empty or too short; likewise embeddings.
    """
    vocabulary = load_vocabulary(embedding, embedding_size)
    end = config.first_token + config.window
    documents, origin = TEXT_SOURCES[config.source](config.path, config.hub, config.revision)
    text, where = JoinedText(documents), config.place
    if not text.first(1)[0]:
        raise DataError(f"{where}: text is required, but there is none in it")
    ids = first_ids(vocabulary.tokenizer, text, end, where)
    if len(ids) < end:
        raise DataError(f"{where}: {_too_short(config, len(ids), text.skipped)}")
    chosen = np.array(ids[config.first_token :], dtype=np.int64)
    if vocabulary.table is not None:
        _refuse_empty_rows(vocabulary.table, vocabulary.tokenizer, chosen, where)
    return Tokens(
        ids=chosen,
        num_train=config.train_tokens,
        num_validation=config.num_validation if config.validation == "train_tail" else 0,
        tokenizer=vocabulary.tokenizer,
        vocabulary_size=vocabulary.size,
        table=vocabulary.table,
        sources={"data": {"source": config.source} | origin, "embedding": vocabulary.identity},
        digest=hashlib.sha256(chosen.astype("<i8").tobytes()).hexdigest(),
        notice="; ".join(filter(None, [text.skipped, _unknown(vocabulary.tokenizer, chosen)])),
    )


def _unknown(tokenizer: Tokenizer, ids: NDArray[np.int64]) -> str:
    """Count the tokens for unknown words, in a sentence; "" where they are few."""
    token = getattr(tokenizer.model, "unk_token", None)
    unknown = None if token is None else tokenizer.token_to_id(token)
    count = 0 if unknown is None else int((ids == unknown).sum())
    if count < UNKNOWN_SHARE * len(ids):
        return ""
    return f"{count} of the {len(ids)} tokens are {token}: the tokenizer does not know those words"


def _too_short(config: DataConfig, found: int, skipped: str) -> str:
    """Give what is required, what there is, and what to type instead."""
    fitting = int((found - config.first_token) / (1 + config.validation_fraction))
    after = f" after the first {config.first_token}" if config.first_token else ""
    instead = "bring more text"
    if fitting >= MIN_TRAIN_TOKENS:
        instead += f", or type --set data.train_tokens={fitting}"
    elif not found:
        instead = "its tokenizer knows none of its characters: bring another one, or other text"
    return (
        f"{config.window} tokens are required{after} ({config.train_tokens} to train on and "
        f"{config.num_validation} held out), the text has {found}; {instead}"
        + (f" ({skipped})" if skipped else "")
    )


def _refuse_empty_rows(
    table: "Tensor", tokenizer: Tokenizer, ids: NDArray[np.int64], where: str
) -> None:
    """Refuse a text with a token whose embedding is empty: a row that holds one number."""
    used = _tensor(np.unique(ids))
    empty = used[(table[used] == 0).all(dim=1)]
    if len(empty):
        first = int(empty[0])
        raise DataError(
            f"{where}: an embedding for each token of the text is required, {len(empty)} of its "
            f"{len(used)} tokens have none (the row of the table holds one number), the first is "
            f"{tokenizer.id_to_token(first)!r}, row {first}; bring a whole table, or its tokenizer"
        )
