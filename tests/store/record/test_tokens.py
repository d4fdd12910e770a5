"""Tokens: made, shown, used, expired, revoked, on every kind of database."""

import hashlib
import threading
from pathlib import Path

import pytest
from sqlalchemy import select, update

from cvfp_opt.errors import TokenError
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_reading, open_for_search
from cvfp_opt.store.database.tables import OWN, TOKENS
from cvfp_opt.store.files.dashboard_token import digest_of
from cvfp_opt.store.record.tokens import (
    Rights,
    Scope,
    add_token,
    read_tokens,
    revoke_token,
    token_of,
)


def set_back(store: Store, **columns: float | None) -> None:
    with store.engine.begin() as connection:
        connection.execute(update(TOKENS).values(columns))


def test_a_token_is_known_by_its_text_alone(store: Store) -> None:
    text = add_token(store, "käthe", ["submit", "read"], studies="paper-", days=2)
    assert text.startswith("cvfp_")
    assert len(text) > 40
    found = token_of(store, digest_of(text))
    assert found is not None
    assert (found.name, found.scopes, found.studies) == (
        "käthe",
        (Scope.READ, Scope.SUBMIT),
        "paper-",
    )
    assert found.expires is not None
    assert found.expires - found.created == pytest.approx(2 * 86400)
    for other in (text[:-1], f"{text}x", text.swapcase(), "", digest_of(text).hex()):
        assert token_of(store, digest_of(other)) is None
    with store.engine.connect() as connection:
        [row] = connection.execute(select(TOKENS)).mappings()
    assert text not in str(row)
    assert row["digest"] == hashlib.sha256(text.encode()).hexdigest()


def test_its_use_is_noted_once_a_minute(store: Store) -> None:
    key = digest_of(add_token(store, "a", ["read"]))
    assert read_tokens(store)[0].used is None
    token_of(store, key)
    first = read_tokens(store)[0].used
    assert first is not None
    token_of(store, key)
    assert read_tokens(store)[0].used == first
    set_back(store, used=first - 61)
    token_of(store, key)
    later = read_tokens(store)[0].used
    assert later is not None
    assert later >= first


def test_one_that_has_expired_says_so(store: Store) -> None:
    key = digest_of(add_token(store, "a", ["read"], days=1))
    assert token_of(store, key) is not None
    set_back(store, expires=86400.0)
    with pytest.raises(TokenError, match=r"^token 'a' expired at 1970-01-02 00:00 UTC$"):
        token_of(store, key)


def test_one_that_is_revoked_is_gone_and_its_name_is_free(store: Store) -> None:
    key = digest_of(add_token(store, "a", ["read"]))
    with pytest.raises(TokenError, match=r"there is a token 'a' in .* already; name another one"):
        add_token(store, "a", ["admin"])
    revoke_token(store, "a")
    assert token_of(store, key) is None
    assert read_tokens(store) == []
    with pytest.raises(TokenError, match="there is no token 'a'; it has none"):
        revoke_token(store, "a")
    add_token(store, "alice", ["admin"])
    with pytest.raises(TokenError, match="did you mean 'alice'"):
        revoke_token(store, "alic")


def test_of_two_who_make_one_of_a_name_one_does(store: Store) -> None:
    done: list[object] = []
    ready = threading.Barrier(4)

    def make() -> None:
        ready.wait(20)
        try:
            done.append(add_token(store, "a", ["read"]))
        except TokenError as error:
            done.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(type(one).__name__ for one in done) == ["TokenError"] * 3 + ["str"]
    [text] = [one for one in done if isinstance(one, str)]
    assert token_of(store, digest_of(text)) is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"name": ""}, "token: a name of at most 64 characters in one line is required"),
        ({"name": " a"}, "token: a name"),
        ({"name": "a\nb"}, "token: a name"),
        ({"name": "x" * 65}, "token: a name"),
        ({"scopes": []}, "scope: at least one of read, submit, control, admin is required"),
        ({"scopes": ["reed"]}, "scope: unknown name 'reed'; did you mean 'read'"),
        ({"studies": "x" * 513}, "studies: the beginning of names of studies is required"),
        ({"studies": "\0"}, "studies: the beginning of names"),
        ({"days": 0}, "days: above 0, at most 36500 are required, got 0"),
        ({"days": float("nan")}, "days: above 0"),
        ({"days": float("inf")}, "days: above 0"),
    ],
)
def test_what_can_be_no_token_is_refused(words: dict[str, object], message: str) -> None:
    with open_for_search(Location.of_file(_here("x.db"))) as store:
        given = {"name": "a", "scopes": ["read"]} | words
        with pytest.raises(TokenError, match=message):
            add_token(store, **given)  # type: ignore[arg-type]
        assert read_tokens(store) == []


def _here(name: str) -> Path:
    return Path.cwd() / name


def test_a_database_from_before_has_none() -> None:
    location = Location.of_file(_here("old.db"))
    with open_for_search(location) as store:
        OWN.drop_all(store.engine)
    with open_for_reading(location) as store:
        assert read_tokens(store) == []


def test_who_may_all_has_every_right() -> None:
    admin, reader = (
        Rights(scopes=frozenset((scope,)), studies="p") for scope in (Scope.ADMIN, Scope.READ)
    )
    assert all(admin.may(scope) for scope in Scope)
    assert [scope for scope in Scope if reader.may(scope)] == [Scope.READ]
    assert (reader.covers("paper"), reader.covers("Paper"), reader.covers("")) == (
        True,
        False,
        False,
    )
