"""UltraChat, GPT-2 and embedding files, on small copies made here; and without a network."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import datasets
import pytest
import torch
import transformers
from safetensors.torch import save_file
from support import TINY_ARGUMENTS, Outcome
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch.nn import functional as F

from cvfp_opt.errors import DataError, DefinitionError
from cvfp_opt.training.data import load_tokens
from cvfp_opt.training.data_config import DataConfig, EmbeddingConfig
from cvfp_opt.training.embedding import load_vocabulary
from cvfp_opt.training.text import TEXT_SOURCES
from cvfp_opt.training.tokenizer import load_tokenizer

Invoke = Callable[..., Outcome]
WIDTH = 6
FIRST = [f"Question {i}: why does the number {i} follow {i - 1}?" for i in range(40)]


@pytest.fixture(autouse=True)
def no_cache_outside(isolated_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's packages keep what they make in this test's folder, and ask no network."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", isolated_folder / "cache")


def dialogues() -> list[dict[str, object]]:
    return [
        {
            "prompt_id": str(i),
            "messages": [
                {"role": "user", "content": first},
                {"role": "assistant", "content": "An answer that is not read."},
            ],
        }
        for i, first in enumerate(FIRST)
    ]


@pytest.fixture
def copies(isolated_folder: Path) -> Path:
    """UltraChat in each format that it is published in."""
    rows = dialogues()
    datasets.Dataset.from_list(rows).to_parquet("chat.parquet")
    Path("chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    original = [{"id": str(i), "data": [first, "An answer."]} for i, first in enumerate(FIRST)]
    Path("original.jsonl").write_text("".join(json.dumps(row) + "\n" for row in original))
    folder = Path("shards")
    folder.mkdir()
    datasets.Dataset.from_list(rows[:25]).to_parquet(folder / "train-0.parquet")
    datasets.Dataset.from_list(rows[25:]).to_parquet(folder / "train-1.parquet")
    (folder / "README.md").write_text("not data")
    return isolated_folder


@pytest.mark.parametrize("name", ["chat.parquet", "chat.jsonl", "original.jsonl", "shards"])
def test_the_first_message_of_each_dialogue_is_read_in_order(copies: Path, name: str) -> None:
    documents, identity = TEXT_SOURCES["ultrachat"](name, "", "")
    assert list(documents) == FIRST
    assert identity == {"path": name}


def test_a_copy_gives_the_tokens_of_the_same_text(copies: Path) -> None:
    Path("plain.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in FIRST))
    chat = load_tokens(DataConfig(source="ultrachat", path="chat.parquet", train_tokens=200))
    plain = load_tokens(DataConfig(source="text", path="plain.jsonl", train_tokens=200))
    assert chat.digest == plain.digest
    assert chat.sources["data"] == {"source": "ultrachat", "path": "chat.parquet"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text", "a .parquet, .jsonl or .json file, or a folder of files"),
        ("nowhere.parquet", None, "got none"),
        ("a.parquet", "not parquet", "a.parquet: cannot be read: "),
        ("a.jsonl", '{"text": "no dialogue"}\n', "a.jsonl, row 0: "),
        ("a.jsonl", '{"messages": [5]}\n', 'or "data" ["...", ...] is required'),
        ("a.jsonl", '{"messages": []}\n', "text is required, but there is none in it"),
    ],
)
def test_a_copy_that_is_not_ultrachat_is_refused(
    name: str, content: str | None, message: str
) -> None:
    if content is not None:
        Path(name).write_text(content)
    with pytest.raises(DataError) as error:
        load_tokens(DataConfig(source="ultrachat", path=name, train_tokens=100))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def first_of(path: str) -> str:
    documents, _ = TEXT_SOURCES["ultrachat"](path, "", "")
    return "".join(next(documents))


def write_first(path: str, first: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps({"messages": [{"role": "user", "content": first}]}) + "\n")


@pytest.mark.parametrize("folder", ["copy", "copy/data"])
def test_of_a_copy_of_the_hub_the_split_is_read_that_the_hub_gives_first(folder: str) -> None:
    for split in ("test_gen", "test_sft", "train_gen", "train_sft"):
        write_first(f"copy/data/{split}-00000-of-00003.jsonl", split)
    Path("copy/README.md").write_text("---\nconfigs: []\n---\n")
    assert first_of(folder) == "train_sft"


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (["test.jsonl", "train.jsonl"], "train.jsonl"),
        (["a-validation.jsonl", "z-train.jsonl"], "z-train.jsonl"),
        (["train_gen-0.jsonl", "test_sft-0.jsonl"], "train_gen-0.jsonl"),
        (["dev.jsonl", "part-0.jsonl", "part-1.jsonl"], "part-0.jsonl"),
        (["contest.jsonl", "z.jsonl"], "contest.jsonl"),
        ([".train.jsonl", "._train.jsonl", "train.jsonl"], "train.jsonl"),
        (["b.JSONL"], "b.JSONL"),
        (["a.jsonl/x", "b.jsonl"], "b.jsonl"),
        (["dataset_infos.json", "state.json", "b.jsonl"], "b.jsonl"),
    ],
)
def test_of_a_folder_what_is_to_train_on_is_read(names: list[str], first: str) -> None:
    for name in names:
        write_first(f"folder/{name}", name)
    assert first_of("folder") == first


def test_a_folder_without_a_split_to_train_on_is_refused() -> None:
    write_first("folder/test-0.jsonl", "no")
    with pytest.raises(DataError, match=r"files of a split to train on .* got test-0.jsonl"):
        first_of("folder")
    assert first_of("folder/test-0.jsonl") == "no"  # named, it is meant


def test_a_path_is_no_pattern_and_no_address(
    monkeypatch: pytest.MonkeyPatch, isolated_folder: Path
) -> None:
    for name in ("[x]", "*", "a::b", "{a,b}", "#1?", "%20", "hf:"):
        write_first(f"{name}/{name}.jsonl", name)
        assert first_of(name) == first_of(f"{name}/{name}.jsonl") == name
    monkeypatch.setenv("HOME", str(isolated_folder))
    assert first_of("~/[x]") == "[x]"
    os.mkfifo("pipe.parquet")
    with pytest.raises(DataError, match="a file is required, this is a named pipe"):
        first_of("pipe.parquet")
    for missing in ("x" * 300, "gone.parquet"):
        with pytest.raises(DataError, match=r"cannot be read: File name|no such file .* \(in /"):
            first_of(missing)


def test_dialogues_without_a_first_message_are_counted() -> None:
    rows = dialogues()
    rows[1:1] = [{"messages": None}, {"messages": []}, {"messages": [{"content": None}]}]
    Path("chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokens = load_tokens(DataConfig(source="ultrachat", path="chat.jsonl", train_tokens=200))
    assert tokens.notice == "3 of 43 documents read had no text"
    Path("chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in dialogues()))
    same = load_tokens(DataConfig(source="ultrachat", path="chat.jsonl", train_tokens=200))
    assert (same.digest, same.notice) == (tokens.digest, "")


@pytest.fixture
def tokenizer_file(isolated_folder: Path) -> Path:
    """A byte-level BPE of 300 tokens, as GPT-2's, with its end of text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(FIRST, trainer)
    tokenizer.save("tokenizer.json")
    return isolated_folder / "tokenizer.json"


@pytest.fixture
def gpt2_folder(tokenizer_file: Path) -> Path:
    """A GPT-2 of 300 tokens, six wide, as transformers writes it."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=300, n_embd=WIDTH, n_layer=1, n_head=2, n_positions=8
    )
    transformers.GPT2Model(config).save_pretrained("gpt2")
    transformers.PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_file)).save_pretrained(
        "gpt2"
    )
    return tokenizer_file.parent / "gpt2"


def test_gpt2_gives_its_tokenizer_and_its_embeddings_normalised(gpt2_folder: Path) -> None:
    vocabulary = load_vocabulary(EmbeddingConfig(source="gpt2", path="gpt2"), WIDTH)
    own = Tokenizer.from_file("tokenizer.json")
    assert vocabulary.tokenizer.encode(FIRST[7]).ids == own.encode(FIRST[7]).ids
    weight = transformers.GPT2Model.from_pretrained("gpt2").wte.weight.detach()
    torch.testing.assert_close(vocabulary.table, F.layer_norm(weight, (WIDTH,)))
    assert vocabulary.size == 300
    assert vocabulary.identity["source"] == "gpt2"
    assert len(vocabulary.identity["digest"]) == 64


def test_a_study_runs_on_ultrachat_with_gpt2_and_refuses_another_table(
    copies: Path, gpt2_folder: Path, invoke: Invoke
) -> None:
    words = [*TINY_ARGUMENTS, "--threads", "1"]
    for setting in (
        "data.source=ultrachat",
        "data.path=chat.parquet",
        "embedding.source=gpt2",
        "embedding.path=gpt2",
    ):
        words += ["--set", setting]
    first = invoke("run", "quick", "--n-trials", "2", *words)
    assert first.code == 0, first.err
    assert "text: chat.parquet, 64 tokens" in first.out
    status = json.loads(invoke("status", "--json").out)
    sources = status["record"]["sources"]
    assert sources["data"] == {"source": "ultrachat", "path": "chat.parquet"}
    assert sources["embedding"]["path"] == "gpt2"
    assert invoke("run", "quick", "--n-trials", "3", *words).code == 0
    Path("elsewhere").mkdir()
    Path("chat.parquet").rename("elsewhere/chat.parquet")
    lost = invoke("run", "--study-name", "quick", "--n-trials", "4", "--threads", "1")
    assert (lost.code, lost.out) == (1, "")
    assert f"no such file or folder (in {Path.cwd()})" in lost.err
    found = ["--set", "data.path=elsewhere/chat.parquet"]
    assert "add --set data.path=PATH or --set embedding.path=PATH)" in lost.err
    on = invoke("run", "--study-name", "quick", "--n-trials", "3", "--threads", "1", *found)
    assert on.code == 0, on.err
    Path("elsewhere/chat.parquet").rename("chat.parquet")
    config = transformers.GPT2Config(
        vocab_size=300, n_embd=WIDTH, n_layer=1, n_head=2, n_positions=8
    )
    torch.manual_seed(1)
    transformers.GPT2Model(config).save_pretrained("gpt2")
    refused = invoke("run", "quick", "--n-trials", "4", *words)
    assert (refused.code, refused.out) == (1, "")
    assert "was created with other embeddings" in refused.err


def test_a_matrix_from_a_file_serves_the_shipped_tokenizer_or_one_given(
    tokenizer_file: Path,
) -> None:
    size = load_tokenizer().get_vocab_size()
    table = torch.randn(size, WIDTH)
    save_file({"wte.weight": table, "bias": torch.zeros(3)}, "table.safetensors")
    whole = load_vocabulary(EmbeddingConfig(source="safetensors", path="table.safetensors"), WIDTH)
    torch.testing.assert_close(whole.table, F.layer_norm(table, (WIDTH,)))
    own = EmbeddingConfig(
        source="safetensors",
        path="table.safetensors",
        tensor="wte.weight",
        tokenizer="tokenizer.json",
    )
    assert load_vocabulary(own, WIDTH).tokenizer.get_vocab_size() == 300


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "nowhere.safetensors"}, "there is no such file"),
        ({"path": "text.safetensors"}, "not a safetensors file"),
        ({"path": "two.safetensors"}, "has 2 matrices; name one with --set embedding.tensor=NAME"),
        ({"path": "two.safetensors", "tensor": "on"}, "no matrix 'on'; did you mean 'one'?"),
        ({"path": "few.safetensors"}, "a row for each of the tokenizer's 4031 tokens"),
        ({"path": "nan.safetensors"}, "finite embeddings are required"),
        ({"path": "wide.safetensors"}, "type --set model.embedding_size=7"),
        ({"path": "good.safetensors", "tokenizer": "nowhere.json"}, "there is no such file"),
        ({"path": "good.safetensors", "tokenizer": "text.safetensors"}, "not a tokenizer.json"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(settings: dict[str, str], message: str) -> None:
    size = load_tokenizer().get_vocab_size()
    Path("text.safetensors").write_text("not it")
    good = torch.ones(size, WIDTH)
    save_file({"one": good, "two": good.clone()}, "two.safetensors")
    save_file({"one": good}, "good.safetensors")
    save_file({"one": torch.ones(10, WIDTH)}, "few.safetensors")
    save_file({"one": torch.full((size, WIDTH), torch.nan)}, "nan.safetensors")
    save_file({"one": torch.ones(size, 7)}, "wide.safetensors")
    with pytest.raises(DataError) as error:
        load_vocabulary(EmbeddingConfig(source="safetensors", **settings), WIDTH)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "gpt3"}, "unknown source 'gpt3'; did you mean 'gpt2'?"),
        ({"source": "safetensors"}, 'source = "safetensors" requires a file'),
        ({"path": "x"}, "embedding.path: belongs to source = 'gpt2' or 'safetensors'"),
        ({"source": "gpt2", "tensor": "x"}, "embedding.tensor: belongs to source"),
    ],
)
def test_a_bad_embedding_section_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        EmbeddingConfig(**settings)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("package", "settings", "key"),
    [
        ("datasets", ["data.source=ultrachat", "data.path=x.parquet"], "data.source"),
        ("huggingface_hub", ["data.source=ultrachat"], "data.source"),
        ("transformers", ["embedding.source=gpt2"], "embedding.source"),
    ],
)
def test_without_the_extra_one_line_names_it(
    package: str,
    settings: list[str],
    key: str,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    words = [word for setting in settings for word in ("--set", setting)]
    outcome = invoke("run", "quick", *TINY_ARGUMENTS, *words)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"Error: {key} = ")
    assert f"the package {package} is required" in outcome.err
    assert "type `pip install 'cvfp-opt[hub]'`" in outcome.err
    assert not Path("storage").exists()


class NoSuchRepository(BaseHTTPRequestHandler):
    """A hub that has nothing."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def empty_hub() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), NoSuchRepository)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("settings", "missing", "unreachable"),
    [
        (
            ["data.source=ultrachat", "data.hub=nobody/nothing"],
            "data.hub: there is no 'nobody/nothing' on the hub, or it is private",
            "without a network bring a local copy: --set data.path=FILE.parquet",
        ),
        (
            ["embedding.source=gpt2", "embedding.hub=nobody/nothing"],
            "embedding.hub: there is no 'nobody/nothing' on the hub",
            "without a network bring a folder: --set embedding.path=DIR",
        ),
    ],
)
def test_a_name_that_the_hub_does_not_have_and_no_hub_at_all(
    settings: list[str], missing: str, unreachable: str, empty_hub: str, isolated_folder: Path
) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    for endpoint, message in ((empty_hub, missing), ("http://127.0.0.1:9", unreachable)):
        process = subprocess.run(
            [sys.executable, "-m", "cvfp_opt", "run", "quick", *TINY_ARGUMENTS, *words],
            env=os.environ
            | {"HF_ENDPOINT": endpoint, "HF_HOME": str(isolated_folder), "HF_HUB_OFFLINE": "0"},
            capture_output=True,
            text=True,
        )
        assert (process.returncode, process.stdout) == (1, "")
        assert message in process.stderr
        assert len(process.stderr.splitlines()) == 1
    assert not Path("storage").exists()
