"""The settings of the text that is read, and of its embeddings.

Nothing here imports torch, see model.config.
"""

from dataclasses import dataclass

from cvfp_opt.errors import DefinitionError, nearest

# The names of training.text.TEXT_SOURCES and of training.embedding.EMBEDDING_SOURCES.
TEXTS = ("embedded", "text", "ultrachat")
EMBEDDINGS = ("random", "gpt2", "safetensors")
VALIDATION_SPLITS = ("train_tail", "held_out")
MIN_TRAIN_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Settings of the text: which one, and how much of it.

    Attributes:
        source: one of TEXTS.
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
        if self.source not in TEXTS:
            raise DefinitionError(
                f"data.source: unknown source {self.source!r}; {nearest(self.source, TEXTS)}"
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
        """True if the text is a data set of the hub, or a local copy of it."""
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
class EmbeddingConfig:
    """Settings of the token embeddings. Where files lie is not part of what a study is.

    Attributes:
        source: one of EMBEDDINGS.
        path: for "safetensors": the file; for "gpt2": a folder, or empty for the hub.
        tensor: for "safetensors": name of the (V, E) tensor; empty if there is but one matrix.
        tokenizer: for "safetensors": a tokenizer.json; empty for the shipped tokenizer.
        hub: for "gpt2": name of the model on the hub.
        revision: for "gpt2": commit or branch there; empty for the newest.
    """

    source: str = "random"
    path: str = ""
    tensor: str = ""
    tokenizer: str = ""
    hub: str = "openai-community/gpt2"
    revision: str = ""

    def __post_init__(self) -> None:
        if self.source not in EMBEDDINGS:
            raise DefinitionError(
                f"embedding.source: unknown source {self.source!r}; "
                f"{nearest(self.source, EMBEDDINGS)}"
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
