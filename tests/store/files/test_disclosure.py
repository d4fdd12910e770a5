"""What a saved network tells of the machine that it was trained on."""

from pathlib import Path

import pytest

from cvfp_opt.store.files.disclosure import (
    disclosed_environment,
    disclosed_path,
    disclosed_sections,
)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("text.txt", "text.txt"),
        ("texts/a.txt", "texts/a.txt"),
        ("texts/../a.txt", "a.txt"),
        ("/home/me/texts/a.txt", "a.txt"),
        ("~/texts/a.txt", "a.txt"),
        ("../texts/a.txt", "a.txt"),
        ("/", "/"),
    ],
)
def test_a_path_is_shown_below_the_current_folder_only(path: str, shown: str) -> None:
    assert disclosed_path(path) == shown


def test_an_absolute_path_below_the_current_folder_becomes_relative() -> None:
    assert disclosed_path(str(Path("texts/a.txt").absolute())) == "texts/a.txt"
    assert disclosed_path(str(Path.cwd())) == Path.cwd().name


def test_of_a_definition_only_paths_change() -> None:
    sections = {
        "data": {"source": "text", "path": "/home/me/a.txt", "hub": "some/chat"},
        "embedding": {"path": "/home/me/t", "tokenizer": "/home/me/x.json", "tensor": ""},
        "training": {"path": "/home/me"},
    }
    assert disclosed_sections(sections) == {
        "data": {"source": "text", "path": "a.txt", "hub": "some/chat"},
        "embedding": {"path": "t", "tokenizer": "x.json", "tensor": ""},
        "training": {"path": "/home/me"},
    }
    digest = {"data": {"source": "embedded"}, "embedding": {"tokenizer": "f" * 64}}
    assert disclosed_sections(digest) == digest


def test_the_name_of_the_machine_is_left_out() -> None:
    assert disclosed_environment({"host": "mine", "threads": 2}) == {"threads": 2}
