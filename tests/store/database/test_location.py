"""Locations of databases: which one a path or URL means."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy
from support import Outcome

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import ENVIRONMENT, Location, resolve_location
from cvfp_opt.store.files.artifact_stores import open_artifacts
from cvfp_opt.store.files.folder import FolderStore


def test_path_and_url_mean_the_same_file() -> None:
    by_path, by_url = resolve_location("a/b.db"), resolve_location("sqlite:///a/b.db")
    assert by_path == by_url == Location.of_file(Path("a/b.db"))
    assert by_path.path == Path.cwd() / "a" / "b.db"
    assert by_path.shown == "sqlite:///a/b.db"
    assert by_path.option == " --storage a/b.db"


def test_the_default_needs_no_option() -> None:
    location = resolve_location(None)
    assert location.path == Path.cwd() / "storage" / "cvfp.db"
    assert location.option == ""


def test_what_the_environment_names_needs_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "postgresql://host/db")
    assert resolve_location("postgresql://host/db").option == ""
    assert resolve_location("postgresql://host/other").option == (
        " --storage postgresql://host/other"
    )


@pytest.mark.parametrize(
    ("typed", "kind", "shown"),
    [
        ("postgresql://me:secret@host:5433/db", "postgresql", "postgresql://me:***@host:5433/db"),
        ("postgres://host/db", "postgresql", "postgresql://host/db"),
        ("postgresql+psycopg2://host/db", "postgresql", "postgresql://host/db"),
        ("mariadb://me:secret@host/db", "mysql", "mysql://me:***@host/db"),
        ("mysql+pymysql://host/db", "mysql", "mysql://host/db"),
    ],
)
def test_a_server_is_shown_without_its_password(typed: str, kind: str, shown: str) -> None:
    location = resolve_location(typed)
    assert (location.kind, location.shown, location.where) == (kind, shown, shown)
    assert ("secret" in typed) == ("secret" in location.url)


@pytest.mark.parametrize(
    "text",
    [
        "redis://x",
        "",
        " ",
        ":memory:",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://host/x.db",
        "sqlite:///x.db?timeout=30",
        "sqlite:///x.db?mode=ro&uri=true",
        "sqlite:x.db",
        "file:///x.db",
        "postgresql://host",
        "postgres:me:secret@host/db",
        "mysql://me:secret@host:port/db",
        "postgresql://me:pa@secret@host/db",
        "postgresql://me:pa@secret/@host/db",
        "postgresql://me:pa@secret?x=@host/db",
    ],
)
def test_what_is_no_database_is_refused(text: str) -> None:
    with pytest.raises(StorageError, match="a path, sqlite:///PATH, postgresql:") as refused:
        resolve_location(text)
    assert "secret" not in str(refused.value)


ODD_PATHS = [
    "what?/x.db",
    "h#1/x.db",
    "pct%20x/x.db",
    "a%41b.db",
    "a b.db",
    "-x.db",
    "./~/x.db",
    "é.db",
    "a&mode=memory.db",
    "x.db?mode=memory",
    "file:z.db",
    "a;b.db",
    "a'b.db",
    'a"b.db',
    "a\nb.db",
    "{SCHEMA_VERSION}.db",
    "a\udcff.db",
]


@pytest.mark.parametrize("typed", ODD_PATHS)
def test_a_path_is_that_file_and_no_other(typed: str) -> None:
    location = resolve_location(typed)
    location.file.parent.mkdir(exist_ok=True)
    kind = kind_of(location)
    kind.create(location)
    for url in (location.url, kind.reading_url(location)):
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            if url is location.url:
                connection.exec_driver_sql("CREATE TABLE x (y)")
            assert connection.exec_driver_sql("SELECT * FROM x").all() == []
        engine.dispose()
    files = [Path(at) / name for at, _, names in os.walk(".") for name in names]
    assert files == [Path(typed)]
    assert resolve_location(location.url) == location


@pytest.mark.parametrize("typed", [t for t in ODD_PATHS if t.isprintable()])
def test_what_is_printed_to_be_typed_means_the_same(typed: str) -> None:
    location = resolve_location(typed)
    _, word = shlex.split(location.option)
    assert resolve_location(word) == resolve_location(location.shown) == location


def test_two_names_of_a_file_are_one_database() -> None:
    Path("real").mkdir()
    Path("real/x.db").touch()
    Path("link.db").symlink_to("real/x.db")
    Path("folder").symlink_to("real")
    first, *others = map(resolve_location, ("real/x.db", "link.db", "folder/x.db"))
    assert others == [first, first]
    assert [one.shown for one in others] == ["sqlite:///link.db", "sqlite:///folder/x.db"]
    assert others[0].option == " --storage link.db"
    for other in others:
        store = open_artifacts(other, None)
        assert isinstance(store, FolderStore)
        assert store.folder == Path("real/artifacts").resolve()
        with kind_of(other).lock(other, 1):
            assert [p.name for p in Path("real").iterdir()].count("x.db.lock") == 1


def test_a_home_is_followed_and_an_unknown_one_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(Path.cwd() / "home"))
    assert resolve_location("~/x.db").file == Path.cwd() / "home" / "x.db"
    assert resolve_location("sqlite:///~/x.db") == resolve_location("~/x.db")
    with pytest.raises(StorageError, match="there is no user nobody-here here"):
        resolve_location("~nobody-here/x.db")
    with pytest.raises(StorageError, match="there is no user nobody-here here"):
        open_artifacts(resolve_location(None), "~nobody-here/x")


@pytest.mark.parametrize("typed", ["s3://key:Secret@bucket/x", "s3://bu?cket", "s3:///x"])
def test_a_bucket_has_a_plain_name(typed: str) -> None:
    with pytest.raises(StorageError, match="BUCKET/PREFIX is required") as refused:
        open_artifacts(resolve_location(None), typed)
    assert "Secret" not in str(refused.value)


SECRETS = [
    "postgresql://me:Secret@127.0.0.1:1/db",
    "postgresql+psycopg://me:S%40Secret@127.0.0.1:1/db",
    "postgresql://me@127.0.0.1:1/db?password=Secret&sslpassword=Secret",
    "mysql+pymysql://me:Secret@127.0.0.1:1/db",
    "mysql://me@127.0.0.1:1/db?passwd=Secret",
    "mysql://me@127.0.0.1:1/db?unheard_of=Secret",
    "postgresql://me@127.0.0.1:1/db?unheard_of=Secret",
    "postgresql://me:x@Secret@127.0.0.1:1/db",
    "postgresql://me:x/Secret#@127.0.0.1:1/db",
    "postgresql://me:x Secret@127.0.0.1:1/db",
]


@pytest.mark.filterwarnings("ignore:'passwd' is deprecated:DeprecationWarning")
@pytest.mark.parametrize("url", SECRETS)
def test_no_message_has_a_password(
    url: str, invoke: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvfp_opt.store.database.retry.LOOKING.__class__.__call__", at_once)
    for words in (
        ["status", "--storage", url],
        ["status", url],
        ["run", url],
        ["study", "copy", "quick", "--to", url],
        ["run", "quick", "--artifacts", url],
    ):
        outcome = invoke(*words)
        assert outcome.code in (1, 2), outcome
        assert "Secret" not in outcome.out + outcome.err


def at_once(patience: object, work: Callable[[], object]) -> object:
    return work()


def test_the_account_of_a_bug_has_no_password(
    invoke: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://me:S@Secret@host/db"

    def fail(storage: str | None) -> Location:
        raise ZeroDivisionError(f"at {storage}")

    monkeypatch.setattr("cvfp_opt.store.database.location.resolve_location", fail)
    outcome = invoke("status", "--storage", url)
    assert outcome.code == 3
    told = outcome.err + "".join(p.read_text() for p in Path().rglob("*.log"))
    assert "command: " in told
    assert "Secret" not in told
