"""Files that are refused before they are opened as an SQLite database."""

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.sqlite import _ReadOnly, check_readable, check_writable, has_database
from cvfp_opt.store.database.storage import open_for_reading, open_for_search


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below a folder, and its content's digest; but for what SQLite's readers leave."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file() and not p.name.endswith(("-shm", "-wal"))
    }


def no_sqlite() -> str:
    Path("x.db").write_text("just some text, longer than a header")
    return "an SQLite file is required"


def another_program() -> str:
    with sqlite3.connect("x.db") as connection:
        connection.execute("CREATE TABLE songs (name)")
    return r"belongs to another program \(its tables: songs\)"


def newer_schema() -> str:
    with open_for_search(resolve_location("x.db")):
        pass
    Path("x.db.lock").unlink()
    with sqlite3.connect("x.db") as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("UPDATE alembic_version SET version_num = 'v9.0.0.a'")
    return r"written by a newer Optuna \(schema v9\.0\.0\.a\).*pip install -U"


def damaged() -> str:
    with open_for_search(resolve_location("x.db")):
        pass
    Path("x.db.lock").unlink()
    content = bytearray(Path("x.db").read_bytes())
    content[100:4096] = b"\xff" * 3996
    Path("x.db").write_bytes(content)
    return "damaged or unreadable"


@pytest.mark.parametrize("make", [no_sqlite, another_program, newer_schema, damaged])
@pytest.mark.parametrize("check", [check_readable, check_writable])
def test_a_wrong_file_is_refused_and_left_as_it_was(
    make: Callable[[], str], check: Callable[[Location], None], tmp_path: Path
) -> None:
    message = make()
    before = snapshot(tmp_path)
    with pytest.raises(StorageError, match=message):
        check(resolve_location("x.db"))
    assert snapshot(tmp_path) == before


def test_reading_what_is_not_there_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no study database; type `cvfp-opt run`"):
        check_readable(resolve_location(None))
    assert snapshot(tmp_path) == {}


def test_a_missing_folder_is_refused_but_the_default_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="mkdir -p"):
        check_writable(resolve_location("missing/x.db"))
    assert not (tmp_path / "missing").exists()
    with open_for_search(resolve_location(None)):
        pass
    assert (tmp_path / "storage" / "cvfp.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("locked", ["x.db", "."])
def test_a_read_only_file_or_folder_is_refused(locked: str, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    location = resolve_location(str(folder / "x.db"))
    with open_for_search(location):
        pass
    path = folder / locked
    mode = path.stat().st_mode
    path.chmod(mode & ~0o222)
    before = snapshot(folder)
    try:
        with pytest.raises(StorageError, match="is read-only"):
            check_writable(location)
        with open_for_reading(location) as store:  # looking is allowed
            assert store.storage.get_all_studies() == []
        assert snapshot(folder) == before
    finally:
        path.chmod(mode)


def test_an_empty_file_is_no_database_yet() -> None:
    Path("x.db").touch()
    location = resolve_location("x.db")
    assert not has_database(location)
    with pytest.raises(StorageError, match="the database is empty"):
        check_readable(location)
    with open_for_search(location):
        pass
    assert has_database(location)


@dataclass
class Mount:
    mountpoint: str
    fstype: str


def test_a_network_file_system_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    mounts = [Mount("/", "ext4"), Mount(str(tmp_path), "nfs4"), Mount(str(home), "ext4")]
    monkeypatch.setattr("psutil.disk_partitions", lambda all: mounts)
    with pytest.raises(StorageError, match=r"\(nfs4\).*--storage postgresql://USER@HOST"):
        check_writable(resolve_location("x.db"))
    check_writable(resolve_location("home/x.db"))
    mounts.append(Mount(str(home), "cifs"))  # over the one before
    with pytest.raises(StorageError, match="cifs"):
        check_writable(resolve_location("home/x.db"))


@pytest.mark.processes
def test_many_first_opens_at_once_make_one_database() -> None:
    code = (
        "from cvfp_opt.store.database.location import resolve_location as r;"
        "from cvfp_opt.store.database.storage import open_for_search as o;"
        "import sys; sys.stdin.readline()\n"
        "with o(r('x.db')) as s: print(s.storage.get_all_studies())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in processes] == ["[]\n"] * 6


def test_looking_at_a_database_keeps_the_locks_of_this_process_on_it(tmp_path: Path) -> None:
    location = Location.of_file(tmp_path / "x.db")
    with open_for_search(location):
        check_writable(location)
        visit = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM trials')"
        subprocess.run([sys.executable, "-c", visit, str(location.file)], check=True)
        assert (tmp_path / "x.db-wal").exists(), "the visitor took itself for the last to close"


def test_two_versions_of_the_tables_are_damage() -> None:
    location = resolve_location("x.db")
    with open_for_search(location) as store, store.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('v3.0.0.a')")
    damaged = pytest.raises(StorageError, match=r"damaged: .*; type `cvfp-opt study doctor")
    with damaged, open_for_search(location):
        pass


def test_a_file_shorter_than_a_header_is_not_written_over() -> None:
    Path("x.db").write_text("S")
    for check in (check_readable, check_writable):
        with pytest.raises(StorageError, match="an SQLite file is required"):
            check(resolve_location("x.db"))
    assert Path("x.db").read_text() == "S"


def test_a_write_that_was_broken_off_is_told_with_what_undoes_it() -> None:
    location = resolve_location("x.db")
    with open_for_search(location):
        pass
    broken_off = (
        "import os, sqlite3; c = sqlite3.connect('x.db', isolation_level=None);"
        "c.execute('PRAGMA journal_mode = DELETE'); c.execute('PRAGMA cache_size = 1');"
        "c.execute('BEGIN IMMEDIATE');"
        "[c.execute('INSERT INTO studies (study_name) VALUES (?)', [str(i) * 400])"
        " for i in range(1000)]; os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", broken_off], check=True)
    assert Path("x.db-journal").exists()
    told = pytest.raises(StorageError, match=r"a write was broken off, .* study doctor --repair")
    with told, open_for_reading(location):
        pass


def test_a_file_that_goes_while_it_is_opened_is_not_called_damaged() -> None:
    with open_for_search(resolve_location("x.db")):
        pass
    with pytest.raises(StorageError, match="was removed or moved while it was being opened"):
        move_while_read()


def move_while_read() -> None:
    with _ReadOnly(Path("x.db").absolute()):
        Path("x.db").rename("y.db")
        raise sqlite3.OperationalError("disk I/O error")
