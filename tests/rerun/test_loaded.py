"""`cvfp_opt.load`: contexts as the definition of a pass has them, or a refusal."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support import REPOSITORY, TINY_ARGUMENTS, Outcome
from tokenizers import Tokenizer, models, pre_tokenizers

import cvfp_opt
from cvfp_opt.errors import CheckpointError, DataError
from cvfp_opt.rerun.loaded import LoadedNetwork
from cvfp_opt.store.files.saved_networks import (
    TOKENIZER,
    WEIGHTS,
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)

Invoke = Callable[..., Outcome]
POINT = {
    "dist_reg_weight": 0.5,
    "phase1_learning_rate": 0.002,
    "phase1_convergence_threshold": 0.5,
    "layernorm_mix": 0.7,
}
FIXED = [word for name, value in POINT.items() for word in ("--set", f"space.{name}={value}")]
TEXT = "The context after each token should come out the same."


@pytest.fixture
def train(invoke: Invoke) -> Callable[..., LoadedNetwork]:
    """``cvfp-opt train --save net`` on a tiny net, opened."""

    def run(*words: str) -> LoadedNetwork:
        fixed = [*TINY_ARGUMENTS, *FIXED, "--threads", "1", "--save", "net"]
        outcome = invoke("train", "quick", *fixed, *words)
        assert outcome.code == 0, outcome.err
        return cvfp_opt.load("net")

    return run


def by_hand(model: LoadedNetwork, passes: int) -> torch.Tensor:
    """The definition: each pass from the last context of the one before, the first from zero."""
    ids = model.tokenizer.encode(TEXT).ids
    context, rows = torch.zeros(1, 8), []
    for _ in range(passes):
        rows = []
        for token in ids:
            context = model.network(context, model.table[token].unsqueeze(0))
            rows.append(context[0])
    return torch.stack(rows)


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_contexts_are_those_of_the_last_of_so_many_passes(
    train: Callable[..., LoadedNetwork], passes: int
) -> None:
    model = train()
    contexts = model.contexts(TEXT, passes=passes)
    assert contexts.shape == (len(model.tokens(TEXT)), 8)
    torch.testing.assert_close(contexts, by_hand(model, passes), rtol=1e-4, atol=1e-5)
    assert not contexts.requires_grad
    assert contexts.numpy().dtype == "float32"


def test_two_passes_are_the_default_and_text_may_be_any(
    train: Callable[..., LoadedNetwork],
) -> None:
    model = train()
    assert torch.equal(model.contexts(TEXT), model.contexts(TEXT, passes=2))
    assert torch.isfinite(model.contexts("Ünïcode 漢字 🙂\n\x00")).all()
    with pytest.raises(DataError, match="at least one token is required"):
        model.contexts("")
    with pytest.raises(DataError, match="passes: a whole number from 1 on is required, got 0"):
        model.contexts(TEXT, passes=0)


def test_what_it_was_trained_by_is_at_hand(train: Callable[..., LoadedNetwork]) -> None:
    model = train("--seed", "5")
    assert model.definition.hyperparameters().layernorm_mix == 0.7
    assert model.account.origin["seed"] == 5
    assert model.account.result["audit"]["frozen_train"]["convergence"] >= 0
    assert "\n# A CVFP network\n" in model.card


def test_its_embeddings_are_those_that_it_was_trained_on(
    train: Callable[..., LoadedNetwork],
) -> None:
    table = train("--seed", "5").table
    assert table.shape == (4031, 6)
    torch.testing.assert_close(table.mean(dim=1), torch.zeros(4031), rtol=0, atol=1e-5)
    from cvfp_opt.training.embedding import random_embeddings
    from cvfp_opt.training.seeds import Purpose, torch_generator

    drawn = random_embeddings(4031, 6, torch_generator(5, 0, Purpose.EMBEDDINGS))
    assert torch.equal(table, drawn)


def test_embeddings_and_a_tokenizer_from_elsewhere_come_along(
    train: Callable[..., LoadedNetwork],
) -> None:
    words = {word: i for i, word in enumerate(["a", "b", "c", "d", "unknown"])}
    theirs = Tokenizer(models.WordLevel(words, unk_token="unknown"))
    theirs.pre_tokenizer = pre_tokenizers.Whitespace()
    theirs.save("words.json")
    save_file({"table": torch.randn(5, 6)}, "table.safetensors")
    Path("text.txt").write_text("a b c d " * 60)
    places = ("source=safetensors", "path=table.safetensors", "tokenizer=words.json")
    settings = [word for place in places for word in ("--set", f"embedding.{place}")]
    train(*settings, "--data", "text.txt")
    for path in ("words.json", "table.safetensors", "text.txt"):
        Path(path).unlink()
    model = cvfp_opt.load(Path("net"))
    assert model.tokens("a c x") == ["a", "c", "unknown"]
    assert model.contexts("a c x").shape == (3, 8)


def rewritten(change: Callable[[Checkpoint], Checkpoint]) -> None:
    """A folder ``forged`` that is consistent, and not what this program writes."""
    write_checkpoint(Path("forged"), change(read_checkpoint(Path("net"))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: replace(
                c, account=replace(c.account, tokenizer={"sha256": "0", "version": "9.9"})
            ),
            "the tokenizer that cvfp-opt 9.9 ships is required.*`pip install cvfp-opt==9.9`$",
        ),
        *[
            (
                lambda c, odd=odd: replace(
                    c, account=replace(c.account, tokenizer={"sha256": "0", "version": odd})
                ),
                "that another cvfp-opt ships is required, this version's is another$",
            )
            for odd in ("0.9 evil-package", "0.9;id", "0.9\n", "--index-url=x", None, [1])
        ],
        (
            lambda c: replace(c, weights={f"{i}": a for i, a in enumerate(c.weights.values())}),
            r"definition: layers\S+ \(.*\) and 2 more are required, there are 0 .* and 2 more$",
        ),
        (lambda c: replace(c, tokenizer="{}"), "its tokenizer is not the one"),
        (lambda c: replace(c, embeddings=None), "embeddings of 4031 tokens or more.*got none"),
        (lambda c: replace(c, embeddings=c.embeddings[:9]), r"required, got \(9, 6\)"),
        (lambda c: replace(c, embeddings=c.embeddings[:, :5]), "each of 6 numbers"),
        (lambda c: replace(c, embeddings=c.embeddings[0]), "are required, got"),
        (
            lambda c: replace(c, weights={"x": next(iter(c.weights.values()))}),
            "another size or architecture",
        ),
    ],
)
def test_a_forged_folder_is_refused(
    train: Callable[..., LoadedNetwork],
    change: Callable[[Checkpoint], Checkpoint],
    message: str,
) -> None:
    train()
    rewritten(change)
    with pytest.raises(CheckpointError, match=message):
        cvfp_opt.load("forged")


def test_code_that_a_folder_names_is_not_run(
    train: Callable[..., LoadedNetwork], invoke: Callable[..., Outcome]
) -> None:
    train()
    Path("loud.py").write_text("from pathlib import Path\nPath('imported').touch()\n")

    def named(c: Checkpoint) -> Checkpoint:
        definition = {**c.account.definition, "diversity": {"loss": "loud:loss"}}
        definition["schedule"] = {"kind": "loud:kind"}
        return replace(c, account=replace(c.account, definition=definition))

    rewritten(named)
    assert cvfp_opt.load("forged").contexts("any text").shape[1] == 8
    assert invoke("verify", "quick", "forged").code in (0, 1)
    assert invoke("thresholds", "forged").code == 0
    assert not Path("imported").exists()


def test_a_tokenizer_that_is_none_is_refused(train: Callable[..., LoadedNetwork]) -> None:
    train()
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of "{}"
    rewritten(
        lambda c: replace(
            c, tokenizer="{}", account=replace(c.account, tokenizer={"sha256": digest})
        )
    )
    with pytest.raises(CheckpointError, match=r"not a tokenizer\.json"):
        cvfp_opt.load("forged")


@pytest.mark.parametrize("content", [b"\x80\x04cos\nsystem\n(S'touch hit'\ntR.", b"PK\x03\x04"])
def test_a_pickle_is_not_opened(train: Callable[..., LoadedNetwork], content: bytes) -> None:
    train()
    (Path("net") / WEIGHTS).write_bytes(content)
    with pytest.raises(CheckpointError, match="is not what was written"):
        cvfp_opt.load("net")
    assert not Path("hit").exists()


def test_a_file_more_is_not_read(train: Callable[..., LoadedNetwork]) -> None:
    train()
    (Path("net") / TOKENIZER).write_text("{}")
    assert cvfp_opt.load("net").tokens("a") == ["a"]


def test_the_first_format_lacks_what_it_takes() -> None:
    folder = REPOSITORY / "tests" / "fixtures" / "format-1" / "checkpoint"
    with pytest.raises(CheckpointError, match="left embeddings and tokenizer out"):
        cvfp_opt.load(folder)
    assert json.loads((folder / "checkpoint.json").read_text())["format"] == 1


def test_the_second_format_opens_with_its_card(isolated_folder: Path) -> None:
    fixture = REPOSITORY / "tests" / "fixtures" / "saved-format-2" / "winner"
    model = cvfp_opt.load(fixture)
    assert model.account.format == 2
    assert model.contexts("a b c").shape == (3, 8)
    assert model.card.startswith("# A CVFP network: trial 0 of study quick\n")
    copy = Path(shutil.copytree(fixture, "copy"))
    (copy / "README.md").write_text("---\nlicense: mit\n---\n" + model.card)
    with pytest.raises(CheckpointError, match=r"bytes are required|its digest is not the one"):
        cvfp_opt.load("copy")


def test_a_folder_to_publish_tells_nothing_of_its_authors_machine(
    train: Callable[..., LoadedNetwork], invoke: Invoke, isolated_folder: Path
) -> None:
    (isolated_folder / "elsewhere").mkdir()
    (isolated_folder / "here").mkdir()
    os.chdir("here")
    text = isolated_folder / "elsewhere" / "text.txt"
    text.write_text("a b c d e f g h " * 60)
    train("--data", str(text))
    for path in Path("net").iterdir():
        content = path.read_bytes()
        for word in (str(isolated_folder), "elsewhere", socket.gethostname(), Path.home().name):
            assert f'"{word}'.encode() not in content, (path, word)
            assert f"/{word}".encode() not in content, (path, word)
    assert cvfp_opt.load("net").definition.data.path == "text.txt"
    lost = invoke("verify", "quick", "net")
    assert (lost.code, lost.out) == (1, "")
    assert f"text.txt: no such file or folder (in {Path.cwd()})" in lost.err
    os.chdir("../elsewhere")
    assert "of 6 checks failed" in invoke("verify", "quick", "../here/net").out


def test_importing_the_package_imports_nothing_slow() -> None:
    slow = ("torch", "optuna", "click", "numpy")
    code = f"import cvfp_opt, sys; print([name for name in {slow} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"
