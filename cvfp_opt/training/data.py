"""From a ``[data]`` section to the tokens of a study."""

import hashlib
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from cvfp_opt.errors import DataError, DefinitionError, nearest
from cvfp_opt.training.embedding import EmbeddingConfig, load_vocabulary
from cvfp_opt.training.encoding import first_ids
from cvfp_opt.training.text import TEXT_SOURCES, JoinedText

VALIDATION_SPLITS = ("train_tail", "held_out")
MIN_TRAIN_TOKENS = 64
# Share of unknown tokens from which on the tokenizer is hardly one for this text.
UNKNOWN_SHARE = 0.1
SHIPPED = EmbeddingConfig()


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Settings of the text: which one, and how much of it.

    Attributes:
        source: a key of TEXT_SOURCES.
        path: file or folder of the source "text"; a local copy for "ultrachat", or empty for the
            hub; empty for "embedded". A relative one is relative to the current folder, ``~`` is
            the home. Where the text lies is not part of what a study is: only the tokens are.
        hub: for "ultrachat": name of the data set on the hub.
        revision: for "ultrachat": commit or branch there; empty for the newest.
        first_token: where in the text to begin: tokens before it are left out.
        train_tokens: T, the tokens from there on; at least 64.
        validation: "train_tail" (the last tokens of the training text, the original's rule) or
            "held_out" (the tokens that follow the training text).
        validation_fraction: tokens of the validation split and of the held-out text, each, as a
            share of T; in (0, 1).
    """

    source: str = "embedded"
    path: str = ""
    hub: str = "HuggingFaceH4/ultrachat_200k"
    revision: str = ""
    first_token: int = 0
    train_tokens: int = 6400
    validation: str = "train_tail"
    validation_fraction: float = 0.2

    def __post_init__(self) -> None:
        if self.source not in TEXT_SOURCES:
            raise DefinitionError(
                f"data.source: unknown source {self.source!r}; "
                f"{nearest(self.source, TEXT_SOURCES)}"
            )
        embedded = self.source == "embedded"
        if self.source != "ultrachat" and (self.path != "" if embedded else not self.path.strip()):
            raise DefinitionError(
                f'data: a path belongs to source = "text", or a local copy of "ultrachat", got '
                f'source = "{self.source}" and path = "{self.path}"; '
                "on the command line type --data PATH"
            )
        if self.revision and self.source != "ultrachat":
            raise DefinitionError(
                f'data.revision: belongs to source = "ultrachat", got source = "{self.source}"; '
                "leave one of them out"
            )
        if self.first_token < 0:
            raise DefinitionError(
                f"data.first_token: a number from 0 on is required, got {self.first_token}"
            )
        if self.train_tokens < MIN_TRAIN_TOKENS:
            raise DefinitionError(
                f"data.train_tokens: at least {MIN_TRAIN_TOKENS} is required, "
                f"got {self.train_tokens}"
            )
        if self.validation not in VALIDATION_SPLITS:
            raise DefinitionError(
                f"data.validation: unknown split {self.validation!r}; "
                f"{nearest(self.validation, VALIDATION_SPLITS)}"
            )
        if not 0.0 < self.validation_fraction < 1.0 or self.num_validation < 8:
            raise DefinitionError(
                "data.validation_fraction: a share of train_tokens in (0, 1) that gives at least "
                f"8 tokens is required, got {self.validation_fraction} of {self.train_tokens}"
            )

    @property
    def place(self) -> str:
        """The place of the text, in the user's words."""
        if self.source == "embedded":
            return "the embedded corpus"
        return self.path or f"{self.hub} on the hub"

    @property
    def hub_copy(self) -> bool:
        """Whether the text is a data set of the hub, or a local copy of it."""
        return self.source == "ultrachat"

    @property
    def num_validation(self) -> int:
        """V: tokens of the validation split, and of the held-out text."""
        return round(self.validation_fraction * self.train_tokens)

    @property
    def window(self) -> int:
        """T + V: tokens of the text that are used."""
        return self.train_tokens + self.num_validation


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of a study.

    Attributes:
        train: (T,) int64 ids.
        held_out: (V,) int64 ids of the text that follows.
        num_validation: V if the validation split is the tail of ``train``; 0 if it is
            ``held_out``.
        tokenizer: the tokenizer that made them.
        vocabulary_size: ids lie below it.
        table: (vocabulary, E) layer-normalised embeddings; None if each trial draws its own.
        digest: SHA-256 over all ids, hexadecimal.
        sources: where the text ("data") and the embeddings ("embedding") came from.
        notice: what the user should know of the text; empty if nothing.
    """

    train: Tensor
    held_out: Tensor
    num_validation: int
    tokenizer: Tokenizer
    vocabulary_size: int
    table: Tensor | None
    digest: str
    sources: dict[str, dict[str, str]]
    notice: str = ""


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
    chosen = torch.tensor(ids[config.first_token :], dtype=torch.int64)
    if vocabulary.table is not None:
        _refuse_empty_rows(vocabulary.table, vocabulary.tokenizer, chosen, where)
    return Tokens(
        train=chosen[: config.train_tokens],
        held_out=chosen[config.train_tokens :],
        num_validation=config.num_validation if config.validation == "train_tail" else 0,
        tokenizer=vocabulary.tokenizer,
        vocabulary_size=vocabulary.size,
        table=vocabulary.table,
        sources={"data": {"source": config.source} | origin, "embedding": vocabulary.identity},
        digest=hashlib.sha256(chosen.numpy().astype("<i8").tobytes()).hexdigest(),
        notice="; ".join(filter(None, [text.skipped, _unknown(vocabulary.tokenizer, chosen)])),
    )


def _unknown(tokenizer: Tokenizer, ids: Tensor) -> str:
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


def _refuse_empty_rows(table: Tensor, tokenizer: Tokenizer, ids: Tensor, where: str) -> None:
    """Refuse a text with a token whose embedding is empty: a row that holds one number."""
    used = torch.unique(ids)
    empty = used[(table[used] == 0).all(dim=1)]
    if len(empty):
        first = int(empty[0])
        raise DataError(
            f"{where}: an embedding for each token of the text is required, {len(empty)} of its "
            f"{len(used)} tokens have none (the row of the table holds one number), the first is "
            f"{tokenizer.id_to_token(first)!r}, row {first}; bring a whole table, or its tokenizer"
        )
