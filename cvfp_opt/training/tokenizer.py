"""Tokenizers: the one shipped with the package (byte-level BPE: any text), or the user's own."""

import hashlib
import os
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer

from cvfp_opt.disk import read_file
from cvfp_opt.errors import DataError

# The shipped tokenizer, which docs/corpus/build_tokenizer.py makes.
TOKENIZER = Path(__file__).parent / "corpus" / "tokenizer.json"
_MOST_BYTES = 1 << 28


@cache
def load_tokenizer() -> Tokenizer:
    """Load the shipped tokenizer."""
    return Tokenizer.from_file(str(TOKENIZER))


def shipped_digest() -> str:
    """Return the SHA-256, hexadecimal, of the shipped tokenizer's file."""
    return hashlib.sha256(TOKENIZER.read_bytes()).hexdigest()


def is_shipped(tokenizer: Tokenizer) -> bool:
    """Check whether a tokenizer is the shipped one, wherever it came from."""
    return tokenizer.to_str() == load_tokenizer().to_str()


def read_tokenizer(path: str) -> tuple[Tokenizer, str]:
    """Read the user's tokenizer.json; return it settled, with the file's SHA-256, hexadecimal.

    Raises:
        DataError: missing, no regular file, or no tokenizer.json.
    """
    name = f"embedding.tokenizer {path}"
    content = read_file(
        Path(os.path.expanduser(path)), error=DataError, name=name, limit=_MOST_BYTES
    )
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # of Rust: no narrower class
        raise DataError(f"{name}: not a tokenizer.json: {error}") from None
    return settled(tokenizer, name), hashlib.sha256(content).hexdigest()


def settled(tokenizer: Tokenizer, where: str) -> Tokenizer:
    """Switch off what makes a tokenizer give other tokens than those of the whole text.

    A tokenizer.json carries along how its model was fed: texts cut off or padded to one length,
    merges left out by chance (dropout), segmentations drawn by chance.

    Args:
        tokenizer: it is changed.
        where: it came from, in the user's words.

    Raises:
        DataError: it has no tokens.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for chance in ("dropout", "alpha", "nbest_size"):
        if getattr(tokenizer.model, chance, None) is not None:
            setattr(tokenizer.model, chance, None)
    if not tokenizer.get_vocab_size(with_added_tokens=True):
        raise DataError(f"{where}: a tokenizer with tokens is required, this has none")
    return tokenizer
