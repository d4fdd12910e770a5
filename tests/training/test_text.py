"""Text sources, tokenizer, corpus, and the tokens made of them."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import TINY_ARGUMENTS, Outcome, load_script

from cvfp_opt.errors import DataError, DefinitionError
from cvfp_opt.training.data import load_tokens
from cvfp_opt.training.data_config import DataConfig
from cvfp_opt.training.text import CORPUS, SEPARATOR, TEXT_SOURCES, JoinedText, read_files
from cvfp_opt.training.tokenizer import TOKENIZER, load_tokenizer
from cvfp_opt.tuning.definition_file import data_settings

WORDS = " ".join(f"some words, number {i}." for i in range(100))


def config(path: str, **changes: object) -> DataConfig:
    return replace(DataConfig(source="text", path=path, train_tokens=64), **changes)  # type: ignore[arg-type]


def documents(path: str) -> list[str]:
    return ["".join(document) for document in read_files(path)]


def test_the_corpus_is_as_large_and_as_shaped_as_promised() -> None:
    dialogues = [json.loads(line) for line in CORPUS.read_text().splitlines()]
    assert len(dialogues) >= 60
    assert len({d["messages"][1]["content"] for d in dialogues}) == len(dialogues)
    assert len({d["subject"] for d in dialogues}) >= 60
    for dialogue in dialogues:
        assert [m["role"] for m in dialogue["messages"]] == ["user", "assistant"]
    everything, _ = JoinedText(TEXT_SOURCES["embedded"]("", "", "")[0]).first(10**9)
    assert len(everything.encode()) >= 60_000
    assert len(load_tokenizer().encode(everything).ids) >= 12_000


def test_the_shipped_tokenizer_is_the_one_its_script_makes(tmp_path: Path) -> None:
    load_script("docs/corpus/build_tokenizer.py").write_tokenizer(tmp_path / "tokenizer.json")
    assert (tmp_path / "tokenizer.json").read_bytes() == TOKENIZER.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]


@settings(deadline=None)
@given(st.text())
def test_any_text_survives_the_tokenizer(original: str) -> None:
    tokenizer = load_tokenizer()
    assert tokenizer.decode(tokenizer.encode(original).ids) == original


def test_no_token_is_longer_than_the_budget_of_text_assumes() -> None:
    longest = load_script("docs/corpus/build_tokenizer.py").MAX_TOKEN_LENGTH
    assert max(map(len, load_tokenizer().get_vocab())) <= longest


def test_a_file_a_folder_and_both_kinds_of_jsonl_give_documents() -> None:
    Path("a.txt").write_text("\ufeffone", encoding="utf-8")
    assert documents("a.txt") == ["one"]
    folder = Path("folder")
    folder.mkdir()
    for name, content in (("2.txt", "second"), ("1.txt", "first"), ("x.md", "not this")):
        (folder / name).write_text(content)
    assert documents("folder") == ["first", "second"]
    rows = [{"text": "plain"}, {"messages": [{"content": "asked"}, {"content": "answered"}]}]
    Path("a.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows))
    assert documents("a.jsonl") == ["plain", "asked\nanswered"]


def test_of_a_folder_hidden_files_and_folders_are_no_documents() -> None:
    folder = Path("folder")
    (folder / "0.txt").mkdir(parents=True)
    (folder / "b.TXT").write_text("second")
    (folder / "a.txt").write_text("first")
    (folder / ".a.txt").write_text("hidden")
    (folder / "._a.txt").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    (folder / ".#a.txt").symlink_to("somebody@host.1:2")
    assert documents("folder") == ["first", "second"]
    os.mkfifo(folder / "c.txt")
    with pytest.raises(DataError, match=r"folder/c.txt: a file is required, this is a named pipe"):
        documents("folder")
    (folder / "c.txt").unlink()
    (folder / "c.txt").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"folder/c.txt: there is no such file"):
        documents("folder")


@pytest.mark.parametrize("name", ["a.jsonl", "a.JSONL", "a.ndjson", "a.json"])
def test_rows_are_no_prose_whatever_the_case_of_the_name(name: str) -> None:
    Path(name).write_text('{"text": "one"}\n{"text": "two"}\n')
    assert documents(name) == ["one", "two"]


def test_a_path_is_a_path_and_the_home_is_understood(
    monkeypatch: pytest.MonkeyPatch, isolated_folder: Path
) -> None:
    for name in ("[x]", "*", "a::b", "{a,b}", "#1?", "%20", "hf:"):
        Path(name).mkdir()
        (Path(name) / f"{name}.txt").write_text(name)
        assert documents(name) == documents(f"{name}/{name}.txt") == [name]
    monkeypatch.setenv("HOME", str(isolated_folder))
    assert documents("~/[x]") == ["[x]"]
    Path("~nobody.txt").write_text("no home")
    assert documents(json.loads(data_settings("~nobody.txt")[1].partition("=")[2])) == ["no home"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("x" * 300, "cannot be read: File name too long"),
        ("a\0b", "cannot be read: embedded null byte"),
        ("loop", "cannot be read: Too many levels"),
        ("gone.txt", r"no such file or folder \(in /.*\); give a .txt file"),
        ("/gone.txt", r"--data /gone.txt: no such file or folder; give"),
        ("/dev/zero", "a file is required, this is a device"),
    ],
)
def test_paths_that_lead_nowhere_are_refused(path: str, message: str) -> None:
    Path("loop").symlink_to("loop")
    with pytest.raises(DataError, match=message):
        documents(path)


@pytest.mark.parametrize("path", ["", " ", "\t"])
def test_an_empty_path_is_not_the_current_folder(
    path: str, invoke: Callable[..., Outcome]
) -> None:
    Path("a.txt").write_text(WORDS)
    outcome = invoke("run", "quick", *TINY_ARGUMENTS, "--data", path)
    assert (outcome.code, outcome.out) == (1, "")
    assert "a path is required, got an empty one (a variable that is not set?)" in outcome.err
    with pytest.raises(DefinitionError, match="a path belongs to source"):
        DataConfig(source="text", path=path)
    if path:
        return
    meant = invoke("run", "quick", *TINY_ARGUMENTS, "--data", ".", "--n-trials", "1")
    assert meant.code == 0, meant.err
    replayed = invoke("trial", "replay", "0", "--data", path)
    assert (replayed.code, replayed.out) == (1, "")
    assert "a path is required, got an empty one" in replayed.err


def test_documents_without_text_are_counted_and_told_of_once(
    invoke: Callable[..., Outcome],
) -> None:
    rows = [{"text": f"{WORDS} {i}"} for i in range(4)]
    rows[1:1] = [{"text": None}, {"messages": []}, {"text": " "}]  # type: ignore[list-item]
    Path("a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokens = load_tokens(config("a.jsonl", train_tokens=2000))
    assert tokens.notice == "3 of 7 documents read had no text"
    outcome = invoke("run", "quick", *TINY_ARGUMENTS, "--data", "a.jsonl", "--n-trials", "1")
    assert outcome.out.count("documents read had no text") == 1
    assert "note: 3 of 7 documents read had no text" in outcome.out
    train = invoke("train", "standard", *TINY_ARGUMENTS, "--data", "a.jsonl")
    assert train.out.count("note: 3 of 7 documents read had no text") == 1, train.err
    with pytest.raises(
        DataError, match=r"bring more text.* \(3 of 7 documents read had no text\)"
    ):
        load_tokens(config("a.jsonl", train_tokens=90_000))


def test_line_ends_of_every_system_read_the_same() -> None:
    for name, end in (("unix", b"\n"), ("windows", b"\r\n"), ("mac", b"\r")):
        Path(f"{name}.txt").write_bytes(end.join([b"one", b"two", b""]))
        assert documents(f"{name}.txt") == ["one\ntwo\n"]


def test_documents_are_joined_until_there_is_enough() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "word " * 10

    joined, is_all = JoinedText(endless()).first(120)
    assert (len(joined), is_all) == (120, False)
    assert SEPARATOR in joined


REFUSED = [
    ("missing.txt", None, "no such file or folder"),
    ("folder", "", "a folder with *.txt files is required"),
    ("bad.jsonl", b'{"text": "fine"}\n{"text": \n', "bad.jsonl:2: a JSON object is required"),
    ("keys.jsonl", b'{"body": "x"}\n', "keys.jsonl:1: an object with"),
    ("list.jsonl", b"[1]\n", "got list"),
    ("messages.jsonl", b'{"messages": [{"role": "user"}]}\n', "messages.jsonl:1: an object"),
    ("latin1.txt", b"caf\xe9", "the byte at offset 3 is not; convert it"),
    ("latin1.jsonl", b'{"text": "a"}\n{"text": "\xe9"}\n', "the byte at offset 24 is not"),
    ("bom.txt", b"\xef\xbb\xbfa\xff", "the byte at offset 4 is not"),
    ("nested.jsonl", b"[" * 100_000, "nested.jsonl:1: a JSON object is required"),
    ("digits.jsonl", b'{"text": ' + b"9" * 5000 + b"}", "digits.jsonl:1: a JSON object"),
    ("half.jsonl", b'{"text": "\\ud800"}', "half.jsonl:1: a JSON object is required"),
    ("empty.txt", b" \n", "text is required, but there is none"),
    ("empty.jsonl", b"", "text is required, but there is none"),
]


@pytest.mark.parametrize(("name", "content", "message"), REFUSED)
def test_text_that_cannot_be_used_is_refused(
    name: str, content: bytes | None, message: str
) -> None:
    if content == "":
        Path(name).mkdir()
    elif content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(DataError) as error:
        load_tokens(config(name))
    assert message in str(error.value)


def test_the_held_out_text_follows_the_training_text() -> None:
    Path("a.txt").write_text(WORDS)
    ids = load_tokenizer().encode(WORDS).ids
    tokens = load_tokens(config("a.txt"))
    assert tokens.train.tolist() == ids[:64]
    assert tokens.held_out.tolist() == ids[64 : 64 + 13]
    assert tokens.num_validation == 13
    held_out = load_tokens(config("a.txt", validation="held_out"))
    assert held_out.num_validation == 0
    assert held_out.digest == tokens.digest


def test_the_digest_tells_one_text_from_another() -> None:
    Path("a.txt").write_text(WORDS)
    Path("same.txt").write_text(WORDS + " and more that is never read")
    Path("other.txt").write_text(WORDS.replace("number 3", "number 4"))
    first, same, other = (load_tokens(config(f"{n}.txt")).digest for n in ("a", "same", "other"))
    assert first == same != other


def test_too_short_a_text_says_by_how_much_and_the_way_out_works() -> None:
    Path("a.txt").write_text(WORDS)
    available = len(load_tokenizer().encode(WORDS).ids)
    with pytest.raises(DataError) as error:
        load_tokens(config("a.txt", train_tokens=6400))
    assert (
        f"7680 tokens are required (6400 to train on and 1280 held out), the text has {available}"
        in str(error.value)
    )
    suggested = int(str(error.value).split("data.train_tokens=")[1])
    assert len(load_tokens(config("a.txt", train_tokens=suggested)).train) == suggested


def test_a_part_further_on_is_what_stands_there() -> None:
    whole = load_tokens(DataConfig(train_tokens=200))
    part = load_tokens(DataConfig(train_tokens=80, first_token=100))
    assert torch.equal(part.train, whole.train[100:180])
    assert torch.equal(part.held_out, torch.cat([whole.train[180:], whole.held_out])[:16])
    message = "7680 tokens are required after the first 29000 .* the text has 29174; bring more"
    with pytest.raises(DataError, match=message):
        load_tokens(DataConfig(first_token=29000))


def test_the_embedded_corpus_serves_the_standard_protocol() -> None:
    tokens = load_tokens(DataConfig())
    assert (len(tokens.train), len(tokens.held_out), tokens.num_validation) == (6400, 1280, 1280)
    assert int(torch.cat([tokens.train, tokens.held_out]).max()) < tokens.vocabulary_size


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "text"}, "a path belongs to"),
        ({"first_token": -1}, "a number from 0 on is required, got -1"),
        ({"validation": "heldout"}, "did you mean 'held_out'"),
        ({"validation_fraction": 0.0}, "a share of train_tokens in (0, 1)"),
        ({"validation_fraction": 0.001}, "gives at least 8 tokens"),
    ],
)
def test_bad_data_sections_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        DataConfig(**changes)  # type: ignore[arg-type]
    assert message in str(error.value)
