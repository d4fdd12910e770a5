"""Stores of artifacts: their common contract, and which one ``--artifacts`` means."""

import errno
import io
import os
import stat
import sys
from pathlib import Path

import pytest
from artifact_stores import Bucket
from optuna.artifacts.exceptions import ArtifactNotFound

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.files.artifact_stores import ArtifactStore, open_artifacts
from cvfp_opt.store.files.folder import LEFTOVER_SECONDS, FolderStore
from cvfp_opt.store.files.s3 import S3Store

ID = "0123abcd-1"


def content_of(store: ArtifactStore, artifact_id: str = ID) -> bytes:
    with store.open_reader(artifact_id) as file:
        return file.read()


class Broken(io.RawIOBase):
    """A file that ends in an error."""

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self._begun = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._begun:
            raise self._error
        self._begun = True
        return b"half"


def test_what_is_written_is_read_replaced_and_removed(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactNotFound):
        store.open_reader(ID)
    for content in (b"first", b"", b"x" * 3_000_000):
        store.write(ID, io.BytesIO(content))
        assert content_of(store) == content
    store.write("other", io.BytesIO(b"o"))
    store.remove(ID)
    with pytest.raises(ArtifactNotFound):
        store.open_reader(ID)
    assert content_of(store, "other") == b"o"


@pytest.mark.parametrize(
    "artifact_id",
    ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\\b", "a\0", "a\n", "x" * 201, "~"],
)
def test_what_could_name_another_file_is_refused(store: ArtifactStore, artifact_id: str) -> None:
    for use in (
        store.open_reader,
        store.remove,
        lambda artifact_id: store.write(artifact_id, io.BytesIO(b"x")),
    ):
        with pytest.raises(StorageError, match="an artifact's id: up to 200 letters"):
            use(artifact_id)
    assert not Path("artifacts").exists()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), SystemExit()])
def test_what_cannot_be_written_whole_leaves_the_old(
    store: ArtifactStore, error: BaseException
) -> None:
    store.write(ID, io.BytesIO(b"old"))
    expected = StorageError if isinstance(error, OSError) else SystemExit
    with pytest.raises(expected):
        store.write(ID, Broken(error))
    assert content_of(store) == b"old"


def test_a_folder_is_private_and_holds_nothing_half_written(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "artifacts")
    store.write(ID, io.BytesIO(b"x"))
    with pytest.raises(StorageError, match=f"{ID}: cannot be written: No space left on device"):
        store.write(ID, Broken(OSError(errno.ENOSPC, "No space left on device")))
    assert os.listdir(store.folder) == [ID]
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(store.path(ID).stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = FolderStore(tmp_path / "file")
    for use in (store.open_reader, lambda name: store.write(name, io.BytesIO(b"x"))):
        with pytest.raises(StorageError, match=r"file/.*: cannot be (read|written): "):
            use(ID)


def test_leftovers_are_what_no_writer_touches_any_more(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert FolderStore(tmp_path / "none").leftovers() == []
    store.write(ID, io.BytesIO(b"x"))
    old, young = (tmp_path / f".{ID}.{digit * 32}.tmp" for digit in "ab")
    for path in (old, young, tmp_path / ".foreign.tmp"):
        path.write_bytes(b"half")
    before = young.stat().st_mtime - LEFTOVER_SECONDS - 10
    for path in (old, tmp_path / ".foreign.tmp", store.path(ID)):
        os.utime(path, (before, before))
    assert store.leftovers() == [old]


def test_keys_in_a_bucket_begin_with_the_prefix(bucket: Bucket) -> None:
    for url, key in (("s3://b", ID), ("s3://b/", ID), ("s3://b/my/studies/", f"my/studies/{ID}")):
        S3Store(url, client=bucket).write(ID, io.BytesIO(b"x"))
        assert bucket.objects.pop(key) == b"x"


def test_a_bucket_that_cannot_be_reached_is_said_in_a_line(bucket: Bucket) -> None:
    with pytest.raises(
        StorageError, match=r"--artifacts s3://c/x: cannot be reached: .*Not Found"
    ):
        S3Store("s3://c/x", client=bucket)
    store = S3Store("s3://b/x", client=bucket)
    bucket.unreachable = True
    with pytest.raises(StorageError, match="cannot be reached: Could not connect"):
        S3Store("s3://b/x", client=bucket)
    with pytest.raises(StorageError, match="cannot be read: Could not connect"):
        store.open_reader(ID)
    with pytest.raises(StorageError, match="cannot be written to: Could not") as raised:
        store.write(ID, io.BytesIO(b"x"))
    assert "\n" not in str(raised.value)


def test_without_boto3_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "boto3"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        StorageError, match=r"boto3 is required; type `pip install 'cvfp-opt\[s3\]'"
    ):
        open_artifacts(resolve_location(None), "s3://b/x")


def test_by_default_artifacts_lie_beside_the_database(tmp_path: Path) -> None:
    store = open_artifacts(resolve_location("studies.db"), None)
    assert store == FolderStore(tmp_path / "artifacts")
    store = open_artifacts(resolve_location(None), None)
    assert store == FolderStore(tmp_path / "storage" / "artifacts")
    store = open_artifacts(resolve_location("postgresql://me@host/studies"), None)
    assert store == FolderStore(tmp_path / "storage" / "artifacts")
    assert os.listdir(tmp_path) == []  # made by the first write


def test_a_folder_may_be_named(tmp_path: Path) -> None:
    location = resolve_location(None)
    assert open_artifacts(location, "here") == FolderStore(tmp_path / "here")
    (tmp_path / "file").write_text("x")
    for artifacts, message in (
        ("file", "a folder is required, this is a file"),
        ("no/where", "type `mkdir -p .*/no` first"),
        ("gs://b/x", "a folder or s3://BUCKET/PREFIX is required, got gs://b/x"),
        ("s3://", "s3://BUCKET/PREFIX is required, the bucket's name .*, got 's3://'"),
        ("", "got nothing"),
    ):
        with pytest.raises(StorageError, match=message):
            open_artifacts(location, artifacts)
