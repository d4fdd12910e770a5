"""The first tokens of a text: those of the whole, though no more of it is read than needed."""

from tokenizers import Encoding, Tokenizer

from cvfp_opt.errors import DataError
from cvfp_opt.training.text import JoinedText

# Characters to read first for each token that is needed: prose has 3 to 5.
_A_TOKEN = 8
# Characters to read at least. Fewer save nothing, and no tokenizer treats a word of this length
# otherwise than a longer one (WordPiece calls words of more than 100 characters unknown).
_LEAST_CHARACTERS = 1 << 14
# Words at the end of what was read whose tokens may still change: where a tokenizer cuts may
# depend on the next word or two (spaces before a word, signs of a contraction), not on so many.
_UNSETTLED_WORDS = 32
# Characters to hold at most of a text that gives hardly any tokens: takes 20 s and 0.8 GB.
_MOST_CHARACTERS = 1 << 23


def first_ids(tokenizer: Tokenizer, text: JoinedText, count: int, where: str) -> list[int]:
    """Tokenize until there are ``count`` ids that more text cannot change, or no more text.

    Args:
        tokenizer: settled, see ``tokenizer.settled``.
        text: the text, of which no more is read than needed.
        count: number of ids that are needed.
        where: the text, in the user's words.

    Returns:
        At most ``count`` ids: the first ones of the whole text. Fewer if it has no more.

    Raises:
        DataError: the tokenizer cannot encode the text, or makes next to nothing of it.
    """
    size = max(_LEAST_CHARACTERS, _A_TOKEN * count)
    most = max(_MOST_CHARACTERS, 64 * count)
    before: list[int] = []
    while True:
        head, is_all = text.first(size)
        encoding = _encode(tokenizer, head, where)
        ids = encoding.ids
        if is_all or _num_settled(encoding, before) >= count:
            return ids[:count]
        if size >= most:
            raise DataError(
                f"{where}: {count} tokens are required, but this tokenizer makes only {len(ids)} "
                f"of the first {size:,} characters; bring a text in its language and form, or "
                "another tokenizer"
            )
        before, size = ids, min(2 * size, most)


def _encode(tokenizer: Tokenizer, text: str, where: str) -> Encoding:
    try:
        return tokenizer.encode(text, add_special_tokens=False)
    except Exception as error:  # of Rust: no narrower class
        raise DataError(
            f"{where}: the tokenizer cannot encode this text: {error}; bring another one: "
            "--set embedding.tokenizer=FILE"
        ) from None


def _num_settled(encoding: Encoding, before: list[int]) -> int:
    """Count the ids at the front that stay as they are, whatever text follows.

    Those of all but the last words; and, for tokenizers that do not cut (a text is one word),
    those that a text of half the length already had.
    """
    words, ids = encoding.word_ids, encoding.ids
    last = max((word for word in words if word is not None), default=0)
    first_open = next(
        (k for k, word in enumerate(words) if word is None or word > last - _UNSETTLED_WORDS),
        len(ids),
    )
    same = next(
        (k for k, (one, other) in enumerate(zip(before, ids, strict=False)) if one != other),
        min(len(before), len(ids)),
    )
    return max(first_open, same)
