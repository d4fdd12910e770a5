"""Which database is meant."""

from pathlib import Path

import pytest

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.location import ENVIRONMENT, Location, resolve_location


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
    "text", ["redis://x", "", "sqlite:///", "postgresql://host", "mysql://me:secret@host:port/db"]
)
def test_what_is_no_database_is_refused(text: str) -> None:
    with pytest.raises(StorageError, match="a path, sqlite:///PATH, postgresql:") as refused:
        resolve_location(text)
    assert "secret" not in str(refused.value)
