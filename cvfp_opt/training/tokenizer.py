"""The byte-level BPE tokenizer shipped with the package: any text, no unknown tokens."""

import hashlib
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer

TOKENIZER = Path(__file__).parent / "corpus" / "tokenizer.json"

# No token of the shipped vocabulary is longer, so 24 characters a token are always enough text.
MAX_TOKEN_LENGTH = 24


@cache
def load_tokenizer() -> Tokenizer:
    """The shipped tokenizer."""
    return Tokenizer.from_file(str(TOKENIZER))


def shipped_digest() -> str:
    """SHA-256 of the shipped tokenizer's file, hexadecimal."""
    return hashlib.sha256(TOKENIZER.read_bytes()).hexdigest()


def is_shipped(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer is the shipped one, wherever it came from."""
    return tokenizer.to_str() == load_tokenizer().to_str()
