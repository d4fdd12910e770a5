"""The first tokens of a text are those of the whole, whatever the tokenizer and its settings."""

import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from cvfp_opt.errors import DataError
from cvfp_opt.training import encoding
from cvfp_opt.training.data import load_tokens
from cvfp_opt.training.data_config import DataConfig
from cvfp_opt.training.encoding import first_ids
from cvfp_opt.training.text import TEXT_SOURCES, JoinedText
from cvfp_opt.training.tokenizer import load_tokenizer, read_tokenizer, settled


@cache
def prose() -> str:
    """All of the shipped corpus."""
    return JoinedText(TEXT_SOURCES["embedded"]("", "", "")[0]).first(10**9)[0]


def word_piece() -> Tokenizer:
    """As BERT's: lower case, no white space, long words unknown."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=30))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=["[UNK]"], show_progress=False
    )
    tokenizer.train_from_iterator([prose()[:20_000]], trainer)
    return tokenizer


def unigram() -> Tokenizer:
    """As T5's: unknown characters side by side are one token."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
    )
    tokenizer.train_from_iterator(prose()[:20_000].splitlines(), trainer)
    return tokenizer


def uncut() -> Tokenizer:
    """As Llama's: merges over the whole text, which is never cut into words."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(prose()[:20_000].split(), trainer)
    return tokenizer


def collapsing() -> Tokenizer:
    """Many characters become one before they are tokenised."""
    tokenizer = Tokenizer.from_str(load_tokenizer().to_str())
    tokenizer.normalizer = normalizers.Replace(Regex(r"\s+"), " ")
    return tokenizer


TOKENIZERS: list[Callable[[], Tokenizer]] = [
    load_tokenizer,
    word_piece,
    unigram,
    uncut,
    collapsing,
]
ODD = [
    "word",
    "again",
    " ",
    " " * 90,
    "\n\n",
    "x" * 50,
    "don't",
    "é",
    "日本語",
    "😀",
    "...",
    "1234567",
]


@pytest.mark.parametrize("make", TOKENIZERS, ids=lambda make: make.__name__)
def test_the_first_tokens_are_those_of_the_whole(
    make: Callable[[], Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, chance = make(), random.Random(3)
    for _ in range(60):
        begin = chance.randrange(50_000)
        drawn = chance.choices([*ODD, prose()[begin : begin + 200]], k=chance.randrange(1, 120))
        text = chance.choice(["", " "]).join(drawn)
        if not text.strip():
            continue
        whole = tokenizer.encode(text, add_special_tokens=False).ids
        count = chance.randrange(1, max(2, len(whole) + 5))
        monkeypatch.setattr(encoding, "_A_TOKEN", chance.choice([1, 2, 8]))
        monkeypatch.setattr(encoding, "_LEAST_CHARACTERS", chance.choice([100, 200, 1 << 14]))
        pieces = [text[k : k + 11] for k in range(0, len(text), 11)]
        assert first_ids(tokenizer, JoinedText(iter([pieces])), count, "") == whole[:count]


def test_what_a_tokenizer_file_says_of_one_run_is_switched_off(tmp_path: Path) -> None:
    plain = json.loads(load_tokenizer().to_str())
    padding = {
        "strategy": {"Fixed": 5000},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "!",
    }
    truncation = {"direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
    ids = load_tokenizer().encode(prose()[:3000]).ids
    for change in (
        {"truncation": truncation},
        {"padding": padding},
        {"model": plain["model"] | {"dropout": 0.5}},
    ):
        (tmp_path / "t.json").write_text(json.dumps(plain | change))
        tokenizer, _ = read_tokenizer(str(tmp_path / "t.json"))
        assert tokenizer.encode(prose()[:3000]).ids == ids


def test_segmentations_are_not_drawn_by_chance() -> None:
    tokenizer = Tokenizer(models.Unigram([("a", -1.0), ("aa", -1.5), ("aaa", -1.9)]))
    best = tokenizer.encode("a" * 60).ids
    drawing = Tokenizer(
        models.Unigram([("a", -1.0), ("aa", -1.5), ("aaa", -1.9)], alpha=0.1, nbest_size=8)
    )
    assert settled(drawing, "").encode("a" * 60).ids == best


def test_a_text_that_gives_hardly_any_tokens_is_not_read_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "x" * 1000

    monkeypatch.setattr(encoding, "_MOST_CHARACTERS", 30_000)
    with pytest.raises(DataError, match="makes only 6 of the first 30,000 characters"):
        first_ids(word_piece(), JoinedText(iter([["a text"], endless()])), 100, "a.txt")


def test_a_tokenizer_that_does_not_know_the_text_says_so() -> None:
    unknown = Tokenizer(models.WordLevel({"the": 0}, unk_token="[UNK]"))
    with pytest.raises(DataError, match="cannot encode this text: WordLevel error: Missing"):
        first_ids(unknown, JoinedText(iter(["the end"])), 5, "a.txt")
    with pytest.raises(DataError, match="a tokenizer with tokens is required, this has none"):
        settled(Tokenizer(models.BPE()), "t.json")


def test_digests_of_earlier_versions_hold() -> None:
    Path("a.txt").write_bytes(("x" * 900 + "aB 日本語\r\n" * 300 + " " * 500).encode() * 9)
    digests = [
        load_tokens(DataConfig(train_tokens=6400)).digest[:12],
        load_tokens(DataConfig(train_tokens=200, first_token=3000)).digest[:12],
        load_tokens(DataConfig(source="text", path="a.txt", train_tokens=6400)).digest[:12],
    ]
    assert digests == ["59ea9365add3", "80089d4ee221", "105951140bbc"]
