"""Files that a user names: what is not one is refused at once, what is there keeps what it is."""

import os
import stat
import threading
from pathlib import Path

import pytest

from cvfp_opt.disk import (
    check_new,
    is_folder,
    making_folder,
    open_file,
    read_file,
    replacing,
    what_it_is,
    write_file,
)
from cvfp_opt.errors import DataError, ReportError


def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "pipe", "this is a named pipe"),
        (Path("/dev/zero"), "this is a device"),
        (tmp_path, "this is a folder"),
        (tmp_path / "none", "there is no such file"),
        (tmp_path / "none" / "below", "there is no such file"),
        (tmp_path / ("x" * 300), "File name too long"),
        (Path("a\0b"), "null"),
    ):
        with pytest.raises(DataError, match=words):
            open_file(path, error=DataError)


def test_only_a_new_path_in_a_folder_that_is_there_is_accepted(tmp_path: Path) -> None:
    check_new(tmp_path / "new", error=DataError, instead="name another")
    for path, words in (
        (tmp_path, "exists already; name another"),
        (tmp_path / "none" / "new", "does not exist; type `mkdir -p .*/none` first"),
        (tmp_path / ("x" * 300), "cannot be written: File name too long"),
    ):
        with pytest.raises(DataError, match=words):
            check_new(path, error=DataError, instead="name another")


def test_a_file_is_read_through_links_and_up_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link", error=DataError, limit=5) == b"12345"
    with pytest.raises(DataError, match=r"^--data link: at most 4 bytes"):
        read_file(tmp_path / "link", error=DataError, limit=4, name="--data link")
    assert what_it_is(tmp_path / "link") == "a file"
    assert what_it_is(tmp_path / "no") is None


def test_a_new_file_has_the_permissions_of_any(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "new", "x", error=ReportError)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_links_modes_and_other_names_stay(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("a longer text from before")
    target.chmod(0o600)
    (tmp_path / "link").symlink_to("target")
    write_file(tmp_path / "link", "new", error=ReportError)
    assert (tmp_path / "link").is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    os.link(target, tmp_path / "other")
    write_file(target, "again", error=ReportError)
    assert (tmp_path / "other").read_text() == "again"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "other", "target"]


def test_a_link_to_nothing_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("later")
    write_file(tmp_path / "link", b"x", error=ReportError)
    assert (tmp_path / "later").read_bytes() == b"x"


def test_pipes_and_devices_are_written_to_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ReportError, match="cannot be written"):
        write_file(pipe, "nobody reads", error=ReportError)
    read: list[bytes] = []
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    thread = threading.Thread(
        target=write_file, args=(pipe, "text"), kwargs={"error": ReportError}
    )
    thread.start()
    thread.join()
    read.append(os.read(reader, 100))
    os.close(reader)
    assert read == [b"text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_file(Path("/dev/null"), "gone", error=ReportError)
    read_end, write_end = os.pipe()  # as `-o >(wc -c)` names one
    write_file(Path(f"/dev/fd/{write_end}"), "text", error=ReportError)
    assert os.read(read_end, 100) == b"text"
    os.close(read_end)
    os.close(write_end)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    for bad in (tmp_path, tmp_path / "no" / "x", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(ReportError):
            write_file(bad, "x", error=ReportError)
    assert list(tmp_path.iterdir()) == []
    longest = tmp_path / ("x" * 255)
    write_file(longest, "x", error=ReportError)
    assert longest.read_text() == "x"


def test_a_private_file_takes_the_place_of_what_others_could_write(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "token").symlink_to("theirs")
    with replacing(tmp_path / "token", error=ReportError, private=True) as file:
        file.write(b"ours")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert not (tmp_path / "token").is_symlink()
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    with (
        pytest.raises(ReportError, match="this is a folder"),
        replacing(tmp_path, error=ReportError, private=True),
    ):
        pass


def test_a_file_that_is_written_piece_by_piece_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def fail() -> None:
        with replacing(path, error=ReportError) as file:
            file.write(b"half")
            raise OSError(28, "the disk is full")

    with pytest.raises(ReportError, match="the disk is full"):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with replacing(path, error=ReportError) as file:
        file.write(b"one")
        assert path.read_text() == "before"
        file.write(b"two")
    assert path.read_text() == "onetwo"


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    with making_folder(tmp_path / "new", error=ReportError) as folder:
        (folder / "a").write_text("a")
        assert not is_folder(tmp_path / "new")
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["a"]
    with pytest.raises(KeyboardInterrupt), making_folder(tmp_path / "b", error=ReportError):
        raise KeyboardInterrupt
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for bad in ("file", "new", "link", "none/x", "x" * 300, "a\0b"):
        with (
            pytest.raises(ReportError, match="cannot be written"),
            making_folder(tmp_path / bad, error=ReportError) as folder,
        ):
            (folder / "a").touch()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "link", "new"]


def test_nothing_that_cannot_be_looked_at_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "none", tmp_path / "loop", tmp_path / ("x" * 300), Path("a\0b")):
        assert not is_folder(path)
    assert is_folder(tmp_path)
