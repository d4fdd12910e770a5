"""Train the shipped tokenizer on the shipped corpus.

    python docs/corpus/build_tokenizer.py

after the corpus was changed; commit the file that it writes. The same corpus gives the same file.
"""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from cvfp_opt.disk import write_file
from cvfp_opt.errors import DataError
from cvfp_opt.training.text import embedded
from cvfp_opt.training.tokenizer import TOKENIZER

VOCABULARY_SIZE = 4096
MAX_TOKEN_LENGTH = 24  # bytes


def train_tokenizer() -> Tokenizer:
    """Train a byte-level BPE on the whole corpus; all 256 bytes are in its vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=MAX_TOKEN_LENGTH,
        show_progress=False,
    )
    documents, _ = embedded("", "", "")
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def write_tokenizer(path: Path) -> None:
    """Train the tokenizer and write it to ``path`` as JSON."""
    write_file(path, train_tokenizer().to_str(pretty=True) + "\n", error=DataError)


if __name__ == "__main__":
    write_tokenizer(TOKENIZER)
