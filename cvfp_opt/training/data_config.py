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
        source: Where the text comes from. Range: one of TEXTS.
        path: File or folder of the source "text"; a local copy for "ultrachat", or empty for the
            hub; empty for "embedded". A relative path begins in the current folder, ``~`` is the
            home. Where the text lies is no part of what a study is; its tokens are. Range: a
            path, or empty.
        hub: Name of the data set on the Hugging Face Hub, for "ultrachat". Range: a name.
        revision: Commit or branch on the hub, for "ultrachat"; empty for the newest. Range: a
            name, or empty.
        first_token: Place in the text to begin at; tokens before it are left out. Range: at least
            0.
        train_tokens: Number T of training tokens, from `first_token` on. Range: at least 64.
        validation: "train_tail" takes the last tokens of the training text, as the original
            program did; "held_out" those that follow it. Range: one of VALIDATION_SPLITS.
        validation_fraction: Tokens of the validation split, and of the held-out text, as a share
            of T that gives at least 8. Range: in (0, 1).
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
        source: Where the token embeddings come from. Range: one of EMBEDDINGS.
        path: The file of "safetensors"; for "gpt2" a folder, or empty for the hub. Range: a path,
            or empty.
        tensor: Name of the (V, E) tensor in the file of "safetensors"; empty if it has but one
            matrix. Range: a name, or empty.
        tokenizer: A tokenizer.json for "safetensors"; empty for the shipped tokenizer. Range: a
            path, or empty.
        hub: Name of the model on the Hugging Face Hub, for "gpt2". Range: a name.
        revision: Commit or branch on the hub, for "gpt2"; empty for the newest. Range: a name, or
            empty.
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
