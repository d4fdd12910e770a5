"""Accounts of bugs: each of another fault, and never more than a folder holds."""

import os
import traceback
from pathlib import Path

import pytest

from cvfp_opt.errors import StorageError
from cvfp_opt.store.files.bug_log import FOLDER, MAX_CHARACTERS, MAX_LOGS, write_bug_log


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def account(number: int) -> str:
    try:
        int("x" * number)
    except ValueError:
        return f"request {number}\n\n{traceback.format_exc()}"
    raise AssertionError


def test_the_same_fault_has_one_file_with_its_last_account() -> None:
    paths = {write_bug_log(account(number)) for number in range(1, 6)}
    assert list(FOLDER.iterdir()) == list(paths)
    [path] = paths
    assert path.read_text() == account(5)


def test_other_faults_have_others_and_the_oldest_goes() -> None:
    paths = [write_bug_log(f"fault {number}") for number in range(MAX_LOGS)]
    for age, path in enumerate(reversed(paths)):
        os.utime(path, (1000 - age, 1000 - age))
    paths += [write_bug_log(f"fault {number}") for number in (0, MAX_LOGS, MAX_LOGS + 1)]
    assert len(list(FOLDER.iterdir())) == MAX_LOGS
    assert [path.exists() for path in paths[:4]] == [True, False, False, True]
    assert all(path.exists() for path in paths[-3:])


def test_files_of_others_stay() -> None:
    FOLDER.mkdir(parents=True)
    for number in range(MAX_LOGS + 5):
        (FOLDER / f"{number}.log").touch()
    write_bug_log("a fault")
    assert len(list(FOLDER.iterdir())) == MAX_LOGS + 6


def test_a_large_account_keeps_its_ends() -> None:
    text = write_bug_log("begins so" + "x" * 3 * MAX_CHARACTERS + "ends so").read_text()
    assert len(text) < MAX_CHARACTERS + 100
    assert text.startswith("begins so")
    assert text.endswith("ends so")
    assert f"{2 * MAX_CHARACTERS + 16} characters are left out" in text


def test_any_text_can_be_written_and_shown() -> None:
    text = write_bug_log("\udcff \ud800 \x1b[2J\r \0\n\tnext line é").read_text()
    assert text == "\\udcff \\ud800 \\x1b[2J\\r \\x00\n\tnext line é"


def test_what_cannot_be_written_leaves_nothing() -> None:
    path = write_bug_log("a fault")
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match="a file is required, this is a folder"):
        write_bug_log("a fault")
    assert list(FOLDER.iterdir()) == [path]


def test_it_holds_no_password() -> None:
    path = write_bug_log("connecting to postgresql://me:Sec@ret@host/db failed")
    assert path.read_text() == "connecting to postgresql://me:***@host/db failed"
