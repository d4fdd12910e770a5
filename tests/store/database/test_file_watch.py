"""A database file that is removed, moved or replaced while it is open: nothing is lost."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import text

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.file_watch import FileGone, FileWatch, head_of
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.sqlite import databases_beside
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.doctor.snapshot import is_sqlite, stillness

FILES = ("x.db", "x.db-wal", "x.db-shm")


@pytest.fixture
def folder() -> Path:
    """Where the database lies; the current folder is another one."""
    found = Path("there").absolute()
    found.mkdir()
    return found


def write(store: Store, number: int) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS mine (x INTEGER)"))
        connection.execute(text(f"INSERT INTO mine VALUES ({number})"))


def numbers(path: Path) -> list[int]:
    """What is in a file, by itself and whole."""
    alone = Path("alone.db")
    shutil.copy(path, alone)
    if (log := Path(f"{path}-wal")).exists():
        shutil.copy(log, f"{alone}-wal")
    with closing(sqlite3.connect(alone)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [number for (number,) in connection.execute("SELECT x FROM mine ORDER BY x")]


def refused_after(folder: Path, act: Callable[[], object]) -> str:
    """What is said when a file is written to to which something was done."""
    with ExitStack() as stack:
        store = stack.enter_context(open_for_search(location_in(folder)))
        write(store, 1)
        write(store, 2)
        act()
        with pytest.raises(FileGone):
            write(store, 3)
        with pytest.raises(FileGone):  # reading, too: an answer from nowhere is none
            store.engine.connect().execute(text("SELECT 1"))
        with pytest.raises(FileGone):
            store.lock()
        with pytest.raises(FileGone) as refused:
            stack.close()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def location_in(folder: Path) -> Location:
    return resolve_location(str(folder / "x.db"))


def copies() -> list[Path]:
    return sorted(Path("storage/unsent").glob("*"))


@pytest.mark.parametrize("names", [FILES, FILES[:1]])
def test_what_was_removed_is_copied(names: tuple[str, ...], folder: Path) -> None:
    def remove() -> None:
        for name in names:
            (folder / name).unlink()

    said = refused_after(folder, remove)
    [copy] = copies()
    assert "x.db: was removed while it was in use; all that was written is in " in said
    assert said.endswith(f"type the same command with --storage {copy.absolute()}")
    assert numbers(copy) == [1, 2]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert not (folder / "x.db").exists()  # none was made in its place


@pytest.mark.parametrize("names", [FILES, FILES[:1]])
def test_what_was_moved_is_whole_there(names: tuple[str, ...], folder: Path) -> None:
    def move() -> None:
        for name in names:
            (folder / name).rename(folder / name.replace("x.db", "y z.db"))

    said = refused_after(folder, move)
    there = folder / "y z.db"
    assert f"x.db: was moved to {there} while it was in use, with all that was written" in said
    assert said.endswith(f"type the same command again with --storage '{there}'")
    assert numbers(there) == [1, 2]
    assert copies() == []


def test_a_folder_that_was_moved_takes_its_files_along(folder: Path) -> None:
    said = refused_after(folder, lambda: folder.rename("elsewhere"))
    assert f"moved to {Path('elsewhere/x.db').absolute()}" in said
    assert numbers(Path("elsewhere/x.db")) == [1, 2]
    assert not folder.exists()


def test_a_file_moved_to_another_disk_is_a_removed_one(folder: Path) -> None:
    def move() -> None:  # as mv does it there
        shutil.copy(folder / "x.db", "y.db")
        (folder / "x.db").unlink()

    assert "was removed" in refused_after(folder, move)
    [copy] = copies()
    assert numbers(copy) == [1, 2]


def put_another(folder: Path) -> None:
    """In the place of the database, by one move; of another history."""
    other = folder / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE mine (x INTEGER)")
        connection.execute("INSERT INTO mine VALUES (7)")
        connection.commit()
    other.replace(folder / "x.db")


def test_what_was_replaced_is_copied_and_the_other_file_stays_as_it_is(folder: Path) -> None:
    said = refused_after(folder, lambda: put_another(folder))
    [copy] = copies()
    assert "was replaced by another file" in said
    assert f"--storage {copy.absolute()}" in said
    assert numbers(copy) == [1, 2]
    assert numbers(folder / "x.db") == [7]  # and was given nothing of the log of the former one


READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
print(connection.execute("SELECT x FROM mine").fetchall(), flush=True)
input()
"""


def other_file(folder: Path) -> bytes:
    """A study database of its own, as another run left it."""
    path = folder / "other.db"
    with open_for_search(resolve_location(str(path))) as store:
        for number in range(7, 30):
            write(store, number)
    return path.read_bytes()


def test_what_was_copied_over_it_stays_as_it_is(folder: Path) -> None:
    content = other_file(folder)
    said = refused_after(folder, lambda: (folder / "x.db").write_bytes(content))
    assert said.startswith(f"{folder / 'x.db'}: was overwritten while it was in use; ")
    assert (folder / "x.db").read_bytes() == content
    assert numbers(folder / "x.db") == list(range(7, 30))
    for copy in copies():  # all of the short study was in the log, or nothing is kept
        assert numbers(copy) == [1, 2]
    assert copies() or "only parts of it are left" in said


def test_what_was_cut_off_or_brought_back_to_an_older_state_is_told(folder: Path) -> None:
    path = folder / "x.db"
    with open_for_search(location_in(folder)) as store:
        write(store, 1)
    older = path.read_bytes()
    with open_for_search(location_in(folder)) as store:
        for number in range(2, 9):
            write(store, number)
            with store.engine.begin() as connection:
                connection.execute(text(f"CREATE TABLE more{number} (x INTEGER)"))
    for content in (older, b"", b"no database" * 1000):
        newer = path.read_bytes()
        with ExitStack() as stack:
            store = stack.enter_context(open_for_search(location_in(folder)))
            write(store, 9)
            path.write_bytes(content)
            with pytest.raises(FileGone, match="was overwritten while it was in use"):
                write(store, 10)
            with pytest.raises(FileGone):
                stack.close()
        assert path.read_bytes() == content
        path.write_bytes(newer)


def test_a_log_that_is_brought_in_is_no_other_file(folder: Path) -> None:
    with (
        open_for_search(location_in(folder)) as store,
        closing(sqlite3.connect(folder / "x.db")) as other,
    ):
        for number in range(1, 6):
            write(store, number)
            for word in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA optimize"):
                other.execute(word).fetchall()
    assert numbers(folder / "x.db") == [1, 2, 3, 4, 5]


def test_a_log_that_another_program_uses_stays(folder: Path) -> None:
    """It has opened the other file, and by its name the former one's log."""
    sizes = []
    with ExitStack() as stack:

        def put_a_copy() -> None:
            path, copied = folder / "x.db", folder / "copied.db"
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copied)) as to:
                source.backup(to)
            copied.replace(path)
            words = [sys.executable, "-c", READER, str(path)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            other = stack.enter_context(subprocess.Popen(words, text=True, **pipes))
            stack.callback(other.communicate, "\n")
            assert other.stdout is not None
            assert other.stdout.readline() == "[(1,), (2,)]\n"
            sizes.append((folder / "x.db-wal").stat().st_size)

        assert "was replaced" in refused_after(folder, put_a_copy)
        assert (folder / "x.db-wal").stat().st_size == sizes[0] > 0
    [copy] = copies()
    assert numbers(copy) == [1, 2]


def test_a_link_is_not_the_file_that_it_leads_to(folder: Path) -> None:
    """That one is named when a database is opened; the link may lead elsewhere from then on."""
    (folder / "real.db").touch(0o600)
    (folder / "x.db").symlink_to("real.db")
    with open_for_search(location_in(folder)) as store:
        write(store, 1)
        (folder / "x.db").unlink()
        (folder / "x.db").symlink_to("none.db")
        write(store, 2)
    assert numbers(folder / "real.db") == [1, 2]
    assert not (folder / "none.db").exists()


def test_a_log_that_was_removed_is_folded_in(folder: Path) -> None:
    said = refused_after(folder, (folder / "x.db-wal").unlink)
    assert "its log x.db-wal was removed while it was in use" in said
    assert said.endswith("what that held is in the database: type the same command again")
    assert numbers(folder / "x.db") == [1, 2]


def test_a_log_that_was_replaced(folder: Path) -> None:
    def replace() -> None:
        (folder / "none").touch()
        (folder / "none").replace(folder / "x.db-wal")

    assert "removed or replaced" in refused_after(folder, replace)
    [copy] = copies()
    assert numbers(copy) == [1, 2]


def test_two_workers_make_one_copy_and_leave_a_later_one_alone(folder: Path) -> None:
    said = []
    with ExitStack() as stack:
        one, two = (stack.enter_context(open_for_search(location_in(folder))) for _ in range(2))
        write(one, 1)
        (folder / "x.db").unlink()
        for store in (one, two):
            with pytest.raises(FileGone) as refused:
                store.check()
            said.append(str(refused.value))
            [copy] = copies()
            copy.write_text("somebody goes on here")
        with pytest.raises(FileGone):
            stack.close()
    assert said[0] == said[1]
    assert copy.read_text() == "somebody goes on here"


def test_a_copy_that_cannot_be_made_is_said_to_be_lost(folder: Path) -> None:
    Path("storage").write_text("no folder")
    said = refused_after(folder, (folder / "x.db").unlink)
    assert "cannot be copied (storage/unsent: cannot be made here" in said
    assert said.endswith(", and is lost")


def test_nothing_is_said_where_nothing_happened(folder: Path) -> None:
    with open_for_search(location_in(folder)) as store:
        write(store, 1)
        with closing(sqlite3.connect(folder / "x.db")) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            other.execute("VACUUM")
        os.chmod(folder / "x.db", 0o400)
        os.utime(folder / "x.db")
        os.link(folder / "x.db", folder / "another name.db")
        write(store, 2)
        store.engine.dispose()
        write(store, 3)
    assert numbers(folder / "x.db") == [1, 2, 3]
    assert not (folder / "x.db-wal").exists()


def test_a_file_that_is_gone_when_the_watch_begins_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "gone.db"
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with pytest.raises(StorageError, match=r"gone\.db: cannot be opened: unable to open"):
        FileWatch(path, engine)
    engine.dispose()
    assert not path.exists()


# Where SQLite locks: SHARED, in the file itself, and that somebody uses the log, in its index.
_TAKES_LOCKS = """
import fcntl, sys
for name, first, count in ((sys.argv[1], 0x40000002, 510), (sys.argv[1] + "-shm", 128, 1)):
    with open(name, "rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, count, first)
        except BlockingIOError:
            print("locked")
"""


@pytest.mark.parametrize(
    "look",
    [
        lambda path: [head_of(Path(f"{path}{end}"), 16) for end in ("", "-wal", "-shm")],
        lambda path: list(databases_beside(path.with_name("another.db"))),
        lambda path: is_sqlite(path),
        lambda path: stillness(resolve_location(str(path))),
    ],
    ids=["head", "beside", "doctor", "stillness"],
)
def test_looking_at_an_open_database_keeps_its_locks(
    folder: Path, look: Callable[[Path], object]
) -> None:
    path = folder / "x.db"
    with closing(sqlite3.connect(folder / "another.db")) as another:
        another.execute("CREATE TABLE mine (x INTEGER)")
    with open_for_search(resolve_location(str(path))) as store:
        write(store, 1)
        look(path)
        command = [sys.executable, "-c", _TAKES_LOCKS, str(path)]
        seen = subprocess.run(command, capture_output=True, text=True, check=True)
        assert seen.stdout == "locked\nlocked\n"
