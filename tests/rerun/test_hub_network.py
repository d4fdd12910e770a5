"""Networks from the hub: downloaded once and checked as any folder; each refusal is one line."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hub_server import Hub, Repository, serving
from support import REPOSITORY

import cvfp_opt
from cvfp_opt.errors import CheckpointError
from cvfp_opt.rerun.hub_network import is_name
from cvfp_opt.store.files.saved_networks import (
    ACCOUNT,
    CARD,
    EMBEDDINGS,
    FILES,
    MAX_ACCOUNT,
    MAX_FILE,
    WEIGHTS,
)

SAVED = REPOSITORY / "tests" / "fixtures" / "saved-format-2" / "winner"


@pytest.fixture
def client(isolated_folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The hub's client, with an empty cache, as if the network were away."""
    package = pytest.importorskip("huggingface_hub")
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(isolated_folder / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(isolated_folder / "token"))
    return package


@pytest.fixture
def hub(client: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one network, ``user/name``."""
    with serving() as hub:
        reach(client, hub.address, monkeypatch)
        hub.repositories["user/name"] = Repository.of(SAVED)
        yield hub


def reach(client: ModuleType, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = client.constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def refusal(name: str = "user/name", revision: str | None = None) -> str:
    with pytest.raises(CheckpointError) as error:
        cvfp_opt.load(name, revision=revision)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_it_is_the_network_of_the_folder(hub: Hub) -> None:
    local, model = cvfp_opt.load(SAVED), cvfp_opt.load("user/name")
    assert torch.equal(model.contexts("a b c"), local.contexts("a b c"))
    assert (model.account, model.card) == (local.account, local.card)
    assert (model.revision, local.revision) == (hub.repositories["user/name"].commit, "")


@pytest.mark.parametrize("revision", [None, "", "main", "hash"])
def test_a_commit_is_downloaded_once_and_needs_no_hub_again(
    hub: Hub, revision: str | None
) -> None:
    commit = hub.repositories["user/name"].commit
    cvfp_opt.load("user/name", revision=commit if revision == "hash" else revision)
    assert sorted(hub.downloaded) == sorted([*FILES, ACCOUNT])
    assert hub.downloaded[-1] == ACCOUNT
    hub.asked.clear()
    assert cvfp_opt.load("user/name", revision=commit).revision == commit
    assert hub.asked == []


def test_without_a_revision_it_is_the_newest(hub: Hub) -> None:
    repository = hub.repositories["user/name"]
    first = cvfp_opt.load("user/name").revision
    repository.files["notes.txt"] = b"more"
    second = cvfp_opt.load("user/name").revision
    assert first != second == repository.commit
    assert cvfp_opt.load("user/name", revision=first).revision == first


def test_other_files_are_not_downloaded(hub: Hub) -> None:
    files = hub.repositories["user/name"].files
    files |= {"pytorch_model.bin": b"\x80\x04.", "modeling.py": b"raise", ".gitattributes": b""}
    cvfp_opt.load("user/name")
    assert set(hub.downloaded) == {*FILES, ACCOUNT}


def test_what_lies_here_wins(hub: Hub) -> None:
    shutil.copytree(SAVED, "user/name")
    assert cvfp_opt.load("user/name").revision == ""
    assert refusal(revision="main").startswith("user/name: a revision belongs to a network of ")
    assert refusal(revision="main").endswith(
        "named as user/name, but this is here; leave revision= out"
    )
    shutil.rmtree("user/name")
    Path("user/name").touch()
    assert refusal().startswith("user/name: a folder with checkpoint.json")
    assert hub.asked == []


@pytest.mark.parametrize("name", ["winner", "./net", "a/b/c", "a--b/c", "a/..", "a/b.git", "a/ b"])
def test_what_is_no_name_is_a_folder(hub: Hub, name: str) -> None:
    assert not is_name(name)
    assert "a folder with checkpoint.json and weights.safetensors is required" in refusal(name)
    assert "and this is no such name; leave revision= out" in refusal(name, "main")
    with pytest.raises(CheckpointError, match="a folder with checkpoint"):
        cvfp_opt.load(Path("user/name"))  # a path is a path
    assert hub.asked == []


@pytest.mark.parametrize("name", ["user/name", "a/b", "Us-er_1/na.me-2_3", f"a/{'b' * 94}"])
def test_what_is_a_name(client: ModuleType, name: str) -> None:
    assert is_name(name)
    client.utils.validate_repo_id(name)
    assert not is_name(name + "b" * 95)


def test_what_the_hub_does_not_have(hub: Hub) -> None:
    assert refusal("user/nothing") == (
        f"user/nothing: there is no such folder (in {Path.cwd()}), and no 'user/nothing' on the "
        "hub, or it is private; mend the name, or type `hf auth login`"
    )
    assert refusal(revision="v9\x1b") == (
        "user/name has no revision 'v9\\x1b' on the hub; mend it, or leave it out for the newest"
    )
    hub.repositories["user/other"] = Repository({CARD: b"", "model.safetensors": b""})
    assert refusal("user/other").startswith(
        "user/other on the hub: checkpoint.json and weights.safetensors are required, it has "
        "README.md, model.safetensors; "
    )
    hub.repositories["user/empty"] = Repository({})
    assert "are required, it has no files; " in refusal("user/empty")
    assert hub.downloaded == []


@pytest.mark.parametrize(
    ("refuse", "message"),
    [
        ((403, "GatedRepo"), "user/name: who reads it has to be admitted: ask for it on its page"),
        ((401, "GatedRepo"), "user/name: who reads it has to be admitted: ask for it on its page"),
        ((401, "RepoNotFound"), "or it is private; mend the name, or type `hf auth login`"),
        ((403, ""), "user/name: the hub refuses to give it to you (HfHubHTTPError: "),
        ((404, "EntryNotFound"), "and the hub cannot be reached (RemoteEntryNotFoundError: "),
    ],
)
def test_what_the_hub_does_not_give(hub: Hub, refuse: tuple[int, str], message: str) -> None:
    hub.repositories["user/name"].refuse = refuse
    assert message in refusal()


@pytest.mark.parametrize(("status", "message"), [(403, "refuses to give"), (500, "be reached")])
def test_a_hub_that_refuses_everything(hub: Hub, status: int, message: str) -> None:
    hub.status = status
    assert message in refusal()


def test_without_a_network(client: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "there is no such folder (in ", "without a network bring the folder, or name the full "
    for revision in (None, "main", "a" * 40):
        message = refusal(revision=revision)
        assert all(one in message for one in words)
        assert "cannot be reached (OfflineModeIsEnabled: " in message
    reach(client, "http://127.0.0.1:9", monkeypatch)
    message = refusal()
    assert all(one in message for one in words)
    assert "cannot be reached (ConnectError: " in message


@pytest.mark.parametrize(
    ("file", "size"), [(WEIGHTS, MAX_FILE), (EMBEDDINGS, MAX_FILE), (ACCOUNT, MAX_ACCOUNT)]
)
def test_what_is_too_large_is_not_downloaded(hub: Hub, file: str, size: int) -> None:
    hub.repositories["user/name"].sizes[file] = size + 1
    assert refusal() == (
        f"user/name on the hub, {file}: at most {size} bytes are required, it has {size + 1}; "
        "nothing was downloaded"
    )
    assert hub.downloaded == []


@pytest.mark.parametrize("file", [WEIGHTS, EMBEDDINGS, ACCOUNT, CARD])
def test_what_was_changed_is_refused_as_in_a_folder(hub: Hub, file: str) -> None:
    files = hub.repositories["user/name"].files
    files[file] = files[file][:-2] + bytes([files[file][-2] ^ 1]) + files[file][-1:]
    message = refusal()
    assert message.startswith("user/name of the hub: ")
    assert f"(if only the copy here is damaged, remove {Path.cwd()}/cache/models--user--name " in (
        message
    )


def test_a_download_that_broke_off_goes_on(hub: Hub) -> None:
    repository = hub.repositories["user/name"]
    repository.refuse, repository.only = (403, ""), ACCOUNT
    assert "refuses to give it" in refusal(revision=repository.commit)
    assert set(hub.downloaded) == set(FILES)
    repository.refuse = None
    hub.asked.clear()
    assert cvfp_opt.load("user/name", revision=repository.commit).contexts("a").shape == (1, 8)
    assert hub.downloaded == [ACCOUNT]


def test_a_cache_that_cannot_be_written(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*words: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    assert refusal() == (
        "user/name: cannot be kept in the cache of the hub, see HF_HOME: No space left on device"
    )


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    message = refusal()
    assert message.startswith(
        f"user/name: there is no such folder (in {Path.cwd()}); from the hub"
    )
    assert message.endswith("type `pip install 'cvfp-opt[hub]'`")


@pytest.mark.processes
def test_a_process_finds_the_hub_by_its_variables(isolated_folder: Path) -> None:
    code = (
        "import cvfp_opt, sys\n"
        "model = cvfp_opt.load('user/name', revision=sys.argv[1])\n"
        "print(model.revision, tuple(model.contexts('a b c').shape))"
    )
    with serving() as hub:
        hub.repositories["user/name"] = Repository.of(SAVED)
        commit = hub.repositories["user/name"].commit
        for address, offline in ((hub.address, "0"), ("http://127.0.0.1:9", "0"), ("", "1")):
            environment = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": offline}
            process = subprocess.run(
                [sys.executable, "-c", code, commit],
                env=os.environ | environment | {"HF_HOME": str(isolated_folder / "home")},
                capture_output=True,
                text=True,
            )
            assert (process.returncode, process.stderr) == (0, "")
            assert process.stdout == f"{commit} (3, 8)\n"
