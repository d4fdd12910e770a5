"""Servers as they are run: poolers between, clocks that jump, refusals in any language."""

import os
import pwd
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pymysql
import pytest
import sqlalchemy
from databases import empty_database, fresh_database
from outages import administrator
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.error_codes import refusal_code, refusal_passes
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.retry import AT_ONCE, Patience, passes
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.record.studies import has_study


@pytest.fixture
def postgresql() -> Iterator[Location]:
    with fresh_database("postgresql") as location:
        yield location


@pytest.fixture
def mysql() -> Iterator[Location]:
    with fresh_database("mysql") as location:
        yield location


def refusal(location: Location, **changes: str) -> DBAPIError:
    """What connecting by a changed URL raises."""
    url = sqlalchemy.make_url(location.url).set(**changes)  # type: ignore[arg-type]
    with pytest.raises(DBAPIError) as refused:
        sqlalchemy.create_engine(url, poolclass=NullPool).connect()
    return refused.value


def test_a_refused_connection_to_postgresql_has_a_code(postgresql: Location) -> None:
    name = sqlalchemy.make_url(postgresql.url).database
    nowhere = refusal(postgresql, database="cvfp_nowhere")
    assert (refusal_code(nowhere.orig), passes(nowhere)) == ("3D000", False)
    nobody = refusal(postgresql, username="cvfp_nobody")
    assert (refusal_code(nobody.orig), passes(nobody)) == ("28000", False)
    with administrator() as other:
        other.execute(f"CREATE ROLE {name}_role LOGIN CONNECTION LIMIT 0")
        try:
            full = refusal(postgresql, username=f"{name}_role")
            assert (refusal_code(full.orig), passes(full)) == ("53300", True)
        finally:
            other.execute(f"DROP ROLE {name}_role")
    away = refusal(postgresql, port=1)  # type: ignore[arg-type]
    assert (refusal_code(away.orig), passes(away)) == (None, True)


def test_a_refused_connection_to_mysql_has_a_code(mysql: Location) -> None:
    nowhere = refusal(mysql, database="cvfp_nowhere")
    assert (refusal_code(nowhere.orig), passes(nowhere)) == ("1049", False)
    assert not passes(refusal(mysql, username="cvfp_nobody"))
    assert passes(refusal(mysql, port=1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        ("53300", True),  # zu viele Verbindungen
        ("57P03", True),  # das Datenbanksystem startet
        ("57P01", True),
        ("25006", True),  # kann in einer Read-Only-Transaktion nicht ausgefuehrt werden
        ("08006", True),
        ("40P01", True),
        ("28P01", False),
        ("3D000", False),
        ("57P04", False),
        ("42P01", False),
    ],
)
def test_postgresql_is_judged_by_its_code(code: str, waits: bool) -> None:
    for kind in (psycopg.OperationalError, psycopg.InternalError, psycopg.ProgrammingError):
        error = kind("im Wortlaut des Servers: database x does not exist")
        error.sqlstate = code
        assert passes(DBAPIError("", {}, error)) is waits


@pytest.mark.parametrize(
    ("number", "waits"),
    [
        *((n, True) for n in (1040, 1053, 1290, 1836, 1927, 2013)),
        *((n, False) for n in (1044, 1045, 1049, 1146, 1064)),
    ],
)
def test_mysql_is_judged_by_its_number(number: int, waits: bool) -> None:
    for kind in (pymysql.err.OperationalError, pymysql.err.InternalError):
        assert refusal_passes(kind(number, "im Wortlaut: Access denied")) is waits


def test_our_own_message_passes_as_its_cause_does(postgresql: Location) -> None:
    cause = OperationalError("", {}, pymysql.err.OperationalError(1040, "voll"))
    tries = []

    def work() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise StorageError("the server cannot be used") from cause
        return "done"

    assert Patience(seconds=60, pause=lambda seconds: None)(work) == "done"
    tries.clear()
    with pytest.raises(StorageError):
        AT_ONCE(work)


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_an_empty_database_is_no_study_database_yet(kind: str) -> None:
    with empty_database(kind) as location:
        with pytest.raises(StorageError, match="the database is empty; type `cvfp-opt run"):
            kind_of(location).check_readable(location)
        kind_of(location).check_writable(location)  # to fill it


@pytest.mark.parametrize(
    ("kind", "driver"), [("postgresql", "psycopg"), ("mysql", "pymysql")], ids=lambda value: value
)
def test_a_missing_driver_is_told_with_what_brings_it(
    kind: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = resolve_location(f"{kind}://127.0.0.1/studies")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    required = f"the driver {driver} is required; type `pip install 'cvfp-opt\\[{kind}\\]'`"
    with pytest.raises(StorageError, match=required):
        kind_of(location).check_readable(location)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://nowhere.invalid/studies", "there is no host 'nowhere.invalid'"),
        ("mysql://nowhere.invalid/studies", "there is no host 'nowhere.invalid'"),
        (f"postgresql://{'x' * 64}/studies", f"'{'x' * 64}' cannot be a host's name"),
        ("mysql://127.0.0.1/studies?read_timeout=soon", "pymysql cannot connect by this URL"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_at_once(url: str, told: str) -> None:
    location = resolve_location(url)
    with pytest.raises(StorageError, match=told):
        kind_of(location).check_readable(location)


def test_the_lock_of_mysql_is_waited_for_and_then_free(mysql: Location) -> None:
    kind = kind_of(mysql)
    with kind.lock(mysql, 30), pytest.raises(StorageError, match="database's lock for 0 s"):
        kind.lock(mysql, 0).__enter__()
    with kind.lock(mysql, 0):
        pass


BERLIN = "2025-10-26"  # at 01:00 UTC its clocks went from 03:00 back to 02:00


@pytest.mark.parametrize("zone", ["+00:00", "+02:00", "SYSTEM", "Europe/Berlin"])
def test_the_lease_clock_of_mysql_has_no_time_zone(mysql: Location, zone: str) -> None:
    engine = sqlalchemy.create_engine(mysql.url, poolclass=NullPool)
    moments = [1761437400.25 + 1800 * half for half in range(5)]  # 00:10 UTC and on, past 01:00
    with engine.connect() as connection:
        try:
            connection.exec_driver_sql(f"SET time_zone = '{zone}'")
        except DBAPIError:
            pytest.skip(f"the server knows no time zone {zone}")
        for moment in moments:
            connection.exec_driver_sql(f"SET timestamp = {moment}")
            found = connection.scalar(sqlalchemy.select(kind_of(mysql).now()))
            assert found == pytest.approx(moment, abs=1e-3)
        connection.exec_driver_sql("SET timestamp = DEFAULT")


def test_one_who_waits_for_the_lock_keeps_no_connection(postgresql: Location) -> None:
    kind = kind_of(postgresql)
    name = sqlalchemy.make_url(postgresql.url).database
    got, ended = threading.Event(), threading.Event()

    def wait() -> None:
        with kind.lock(postgresql, 30):
            got.set()
        ended.set()

    with administrator() as other:
        with kind.lock(postgresql, 30):
            waiter = threading.Thread(target=wait)
            waiter.start()
            blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
            assert other.execute(blocked).fetchone() == (0,)
            with pytest.raises(StorageError, match="kept the database's lock for 0 s"):
                kind.lock(postgresql, 0.1).__enter__()
            assert not got.is_set()
        assert got.wait(30)
        waiter.join(30)
        left = f"SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
            WHERE l.locktype = 'advisory' AND d.datname = '{name}'"
        assert other.execute(left).fetchone() == (0,)


@contextmanager
def pooled(location: Location, size: int) -> Iterator[Location]:
    """The database behind a PgBouncer in transaction mode with so many connections."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    url = sqlalchemy.make_url(location.url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path("pool")
    folder.mkdir()
    (folder / "users.txt").write_text(f'"{url.username}" "{url.password or ""}"\n')
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any" if url.password is None else "trust",
        "auth_file": "users.txt",
        "pool_mode": "transaction",
        "default_pool_size": size,
        "query_wait_timeout": 10,
    }
    given = f"host={url.host} port={url.port or 5432} dbname={url.database}"
    given += f" user={url.username}" if url.password is None else ""
    lines = ["[databases]", f"{url.database} = {given}", "[pgbouncer]"]
    lines += [f"{key} = {value}" for key, value in settings.items()]
    (folder / "pool.ini").write_text("\n".join(lines) + "\n")
    who = {}
    if os.getuid() == 0:  # it refuses to run as root
        nobody = pwd.getpwnam("nobody")
        who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
        for one in (folder, *folder.iterdir()):
            os.chown(one, nobody.pw_uid, nobody.pw_gid)
        for parent in folder.resolve().parents[:-2]:
            parent.chmod(parent.stat().st_mode | 0o011)
    process = subprocess.Popen(
        [program, "pool.ini"], cwd=folder, stderr=subprocess.PIPE, text=True, **who
    )
    assert process.stderr is not None
    drain = threading.Thread(target=process.stderr.read)  # or its pipe fills
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if "process up" in line:
                break
        else:
            raise AssertionError("".join(said))
        drain.start()
        there = url.set(host="127.0.0.1", port=port)
        yield resolve_location(there.render_as_string(hide_password=False))
    finally:
        process.terminate()
        process.wait(30)
        if drain.ident is not None:
            drain.join(30)
        process.stderr.close()


def test_a_pooler_in_transaction_mode_is_a_database_like_others(postgresql: Location) -> None:
    with pooled(postgresql, 3) as location:
        for _ in range(3):  # the second one met the prepared statements of the first
            with open_for_search(location, AT_ONCE) as store:
                for number in range(8):  # psycopg prepares what it executes for the sixth time
                    assert not has_study(store, f"s{number}")
                    with store.lock(), store.engine.connect() as connection:
                        level = connection.exec_driver_sql("SHOW transaction_isolation")
                        assert level.scalar() == "read committed"
        with administrator() as other:
            query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = \
                (SELECT oid FROM pg_database WHERE datname = %s)"
            name = sqlalchemy.make_url(location.url).database
            assert other.execute(query, [name]).fetchone() == (0,)
