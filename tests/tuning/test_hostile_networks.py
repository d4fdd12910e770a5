"""Saved networks made to do harm: they load and read, or are refused in a line; never a bug."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch
from hostile import no_longer_than, odd_safetensors, with_odd
from safetensors.torch import save_file
from support import TINY_ARGUMENTS, Outcome
from tokenizers import Tokenizer, models, pre_tokenizers

import cvfp_opt
from cvfp_opt.errors import CvfpOptError
from cvfp_opt.store.files.saved_networks import ACCOUNT, CARD, EMBEDDINGS, TOKENIZER, WEIGHTS

GOOD, ODD = Path("net"), Path("odd")
PATIENCE = 120
FIXED = ("dist_reg_weight", "phase1_learning_rate", "phase1_convergence_threshold")


@pytest.fixture
def saved(invoke: Callable[..., Outcome]) -> Path:
    """A folder with all files that there can be."""
    words = {word: i for i, word in enumerate(["a", "b", "c", "d", "unknown"])}
    theirs = Tokenizer(models.WordLevel(words, unk_token="unknown"))
    theirs.pre_tokenizer = pre_tokenizers.Whitespace()
    theirs.save("words.json")
    table = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    save_file({"table": table}, "table.safetensors")
    Path("text.txt").write_text("a b c d " * 60)
    places = ("source=safetensors", "path=table.safetensors", "tokenizer=words.json")
    settings = [word for place in places for word in ("--set", f"embedding.{place}")]
    values = [f"space.{name}=0.3" for name in FIXED] + ["space.layernorm_mix=1"]
    settings += [word for value in values for word in ("--set", value)]
    words_ = ["train", "quick", *TINY_ARGUMENTS, *settings, "--data", "text.txt"]
    outcome = invoke(*words_, "--threads", "1", "--save", str(GOOD))
    assert outcome.code == 0, outcome.err
    (GOOD / CARD).write_text("# A card\n\nof two lines\n")
    return GOOD


def spoil(folder: Path, draw: Random) -> None:
    """Something odd in one of the files; mostly with an account that agrees."""
    name = draw.choice((ACCOUNT, ACCOUNT, ACCOUNT, WEIGHTS, EMBEDDINGS, TOKENIZER, CARD))
    text = (folder / ACCOUNT).read_text()
    if name in (WEIGHTS, EMBEDDINGS):
        content = odd_safetensors(draw, (folder / name).read_bytes())
    elif name == TOKENIZER:
        odd = with_odd((folder / name).read_text(), draw)
        content = odd.encode("utf-8", "surrogatepass")
    elif name == CARD:
        content = draw.choice((b"\xff", b"# A card\r\n\r\nof two lines\r\n", b"", b"\0" * 99))
    else:
        text = with_odd(text, draw)
        content = b""
    account = {}
    try:
        account = json.loads(text)
        if name != ACCOUNT:
            (folder / name).write_bytes(content)
            known = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            account["files"][name] = known
            if name == TOKENIZER:
                account["tokenizer"] = {"sha256": known["sha256"]}
        del account["sha256"]
        digested = json.dumps(account, sort_keys=True).encode()
        text = json.dumps(account | {"sha256": hashlib.sha256(digested).hexdigest()})
    except (ValueError, RecursionError, TypeError, KeyError):
        pass
    (folder / ACCOUNT).write_bytes(text.encode("utf-8", "surrogatepass"))


def try_case(seed: int) -> None:
    shutil.rmtree(ODD, ignore_errors=True)
    shutil.copytree(GOOD, ODD)
    spoil(ODD, Random(seed))
    refused = ""
    with no_longer_than(PATIENCE):
        try:
            cvfp_opt.load(ODD).contexts("a b x")
        except CvfpOptError as error:
            refused = str(error)
    assert len(refused) < 2000, seed
    assert refused.isprintable(), seed


def test_some_cases(saved: Path) -> None:
    for seed in range(40):
        try_case(seed)


@pytest.mark.slow
def test_a_thousand_cases(saved: Path) -> None:
    for seed in range(1000, 2000):
        try_case(seed)
