"""``token add``, ``list``, ``revoke``."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Outcome

import cvfp_opt as cv

Invoke = Callable[..., Outcome]


def test_a_token_is_shown_once(invoke: Invoke) -> None:
    made = invoke("token", "add", "alice", "--scope", "read", "--scope", "submit", "--days", "90")
    assert made.code == 0
    assert re.fullmatch(r"cvfp_[\w-]{43}\n", made.out)
    assert (
        made.err == "token alice, shown this once (sqlite:///storage/cvfp.db holds its digest):\n"
    )
    text = made.out.strip()
    assert text.encode() not in Path("storage/cvfp.db").read_bytes()
    invoke("token", "add", "bob", "--studies", "paper-")
    listed = invoke("token", "list").out.splitlines()
    assert listed[0].split("  ")[0] == "token"
    assert re.match(r"alice  read, submit  all +20\d\d-.* UTC  20\d\d-.* UTC  never$", listed[1])
    assert re.match(r"bob +read +paper-\.\.\. +20\d\d-.* UTC +never +never$", listed[2])
    [first, second] = json.loads(invoke("token", "list", "--json").out)
    assert (first["name"], first["scopes"]) == ("alice", ["read", "submit"])
    assert (second["studies"], second["expires"], second["used"]) == ("paper-", None, None)
    assert text not in invoke("token", "list", "--json").out
    assert invoke("token", "revoke", "alice").out == "token alice is revoked\n"
    assert [token.name for token in cv.tokens()] == ["bob"]
    cv.revoke_token("bob")
    assert invoke("token", "list").out == "there is no token; `cvfp-opt token add` makes one\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "alice"), "storage/cvfp.db already; name another"),
        (("add", "a", "--scope", "reed"), "scope: unknown name 'reed'; did you mean 'read'?"),
        (("add", "a", "--days", "-1"), "days: above 0, at most 36500 are required, got -1.0"),
        (("add", "a", "--days", "nan"), "days: above 0, at most 36500 are required, got nan"),
        (("add", ""), "token: a name of at most 64 characters in one line is required, got ''"),
        (("revoke", "alic"), "there is no token 'alic'; did you mean 'alice'?"),
    ],
)
def test_what_cannot_be_is_one_line(invoke: Invoke, words: tuple[str, ...], said: str) -> None:
    cv.add_token("alice")
    outcome = invoke("token", *words)
    assert (outcome.code, outcome.out) == (1, "")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


def test_without_a_database_there_is_none(invoke: Invoke) -> None:
    for words in (("list",), ("revoke", "a")):
        outcome = invoke("token", *words)
        assert outcome.code == 1
        assert "there is no study database" in outcome.err
    assert not Path("storage").exists()


def test_one_scope_may_be_named_alone() -> None:
    cv.add_token("alice", "submit")
    assert [scope.value for scope in cv.tokens()[0].scopes] == ["submit"]
