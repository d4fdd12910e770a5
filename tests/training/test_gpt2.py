"""Folders that are no whole GPT-2: each refused by what it lacks, and nothing drawn at random."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from support import TINY_ARGUMENTS, Outcome

from cvfp_opt.errors import DataError
from cvfp_opt.training.data_config import EmbeddingConfig
from cvfp_opt.training.embedding import Vocabulary, load_vocabulary
from cvfp_opt.training.tokenizer import load_tokenizer

SIZE, WIDTH = load_tokenizer().get_vocab_size(), 6
WTE = "transformer.wte.weight"
WEIGHTS = Path("gpt2/model.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GPT-2 with the shipped tokenizer, as transformers writes it."""
    folder = tmp_path_factory.mktemp("whole") / "gpt2"
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=SIZE,
        n_embd=WIDTH,
        n_layer=1,
        n_head=2,
        n_positions=8,
        bos_token_id=0,
        eos_token_id=0,
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=load_tokenizer())
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def gpt2(whole: Path) -> None:
    """A copy to spoil, in the current folder."""
    shutil.copytree(whole, "gpt2")


def load(path: str = "gpt2") -> Vocabulary:
    return load_vocabulary(EmbeddingConfig(source="gpt2", path=path), WIDTH)


def edit(name: str, **changes: object) -> None:
    path = Path("gpt2") / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def renamed(change: Callable[[str], str | None]) -> None:
    names = {name: change(name) for name in load_file(WEIGHTS)}
    weights = load_file(WEIGHTS)
    save_file(
        {new: weights[old] for old, new in names.items() if new},
        WEIGHTS,
        metadata={"format": "pt"},
    )


def test_the_table_of_a_folder_is_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    stored = load_file(WEIGHTS)[WTE]
    shutil.copytree("gpt2", "a [x]*::b")
    for place in ("gpt2", "a [x]*::b"):
        expected = torch.nn.functional.layer_norm(stored, (WIDTH,))
        torch.testing.assert_close(load(place).table, expected)
    assert capfd.readouterr().err == ""


def test_shards_and_half_floats_and_names_without_prefix_are_read() -> None:
    stored = load_file(WEIGHTS)[WTE]
    model = transformers.GPT2LMHeadModel.from_pretrained("gpt2")
    WEIGHTS.unlink()
    model.save_pretrained("gpt2", max_shard_size="10KB")
    assert len(list(Path("gpt2").glob("model-*"))) > 1
    digest = load().identity["digest"]
    shutil.rmtree("gpt2")
    Path("gpt2").mkdir()
    model.transformer.half().save_pretrained("gpt2")
    transformers.PreTrainedTokenizerFast(tokenizer_object=load_tokenizer()).save_pretrained("gpt2")
    half = load()
    expected = torch.nn.functional.layer_norm(stored.half().float(), (WIDTH,))
    torch.testing.assert_close(half.table, expected)
    assert half.identity["digest"] != digest


def without_table() -> None:
    renamed(lambda name: None if name == WTE else name)


def tied() -> None:
    renamed(lambda name: "lm_head.weight" if name == WTE else name)


def compiled() -> None:
    renamed(lambda name: f"_orig_mod.{name}")


def pointer() -> None:
    WEIGHTS.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n")


def pipe() -> None:
    WEIGHTS.unlink()
    os.mkfifo(WEIGHTS)


def cut_off() -> None:
    WEIGHTS.write_bytes(WEIGHTS.read_bytes()[:2000])


def no_tokenizer() -> None:
    for file in Path("gpt2").glob("tokenizer*"):
        file.unlink()


def no_merges() -> None:
    no_tokenizer()
    Path("gpt2/vocab.json").write_text("{}")


def no_tokens() -> None:
    content = json.loads(Path("gpt2/tokenizer.json").read_text())
    edit("tokenizer.json", model=content["model"] | {"vocab": {}, "merges": []})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            without_table,
            "a tensor wte.weight or transformer.wte.weight, but the files have none; ",
        ),
        (tied, "(they have lm_head.weight); bring a whole GPT-2"),
        (compiled, "(they have _orig_mod.transformer.wte.weight, "),
        (lambda: edit("config.json", model_type="opt"), "has model_type = 'opt'; bring GPT-2"),
        (lambda: edit("config.json", model_type="bert"), "has model_type = 'bert'"),
        (
            lambda: edit("config.json", vocab_size=SIZE + 9),
            f"the file's is [{SIZE}, {WIDTH}]; mend",
        ),
        (lambda: edit("config.json", n_embd=8), f"the file's is [{SIZE}, {WIDTH}]; mend"),
        (pointer, "model.safetensors: text is required, this is a pointer of Git LFS"),
        (pipe, "model.safetensors: a file is required, this is a named pipe"),
        (cut_off, "gpt2: cannot be read as GPT-2: SafetensorError"),
        (WEIGHTS.unlink, "gpt2: cannot be read as GPT-2: OSError"),
        (no_tokenizer, "GPT-2's tokenizer is required, a tokenizer.json, or a vocab.json and a"),
        (no_merges, "GPT-2's tokenizer is required"),
        (no_tokens, "a tokenizer with tokens is required, this has none"),
    ],
)
def test_what_is_no_whole_gpt2_is_refused_by_what_it_lacks(
    spoil: Callable[[], None], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil()
    for _ in range(2):  # not once another table, and once a refusal
        with pytest.raises(DataError) as error:
            load()
        assert message in str(error.value)
        assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_what_tokenizer_json_says_of_one_run_is_switched_off() -> None:
    words = "My sourdough looks magnificent going into the oven. " * 9
    ids = load().tokenizer.encode(words).ids
    cut = {"direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
    edit("tokenizer.json", truncation=cut)
    assert load().tokenizer.encode(words).ids == ids


def test_run_refuses_it_in_one_line(invoke: Callable[..., Outcome]) -> None:
    without_table()
    words = ["--set", "embedding.source=gpt2", "--set", "embedding.path=gpt2"]
    outcome = invoke("run", "quick", *TINY_ARGUMENTS, *words, "--set", "model.embedding_size=6")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("Error: gpt2: GPT-2's token embeddings are required")
    assert len(outcome.err.splitlines()) == 1
    assert not Path("storage").exists()
