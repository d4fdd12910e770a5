"""Studies over HTTP: submitted, shown, changed, deleted."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from serving import Answer, Client, Office, Serve
from support import TINY

from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.queue import control
from cvfp_opt.store.record.studies import load_study

SMALL = {key: int(value) for key, _, value in (setting.partition("=") for setting in TINY)}
STUDIES = "/api/v1/studies"
MANY = [f"a.b:c{number}" for number in range(1000)]
ODD_NAMES = (
    "a/b",
    "/",
    "a//b",
    "..x",
    "a b",
    "100%",
    "%2F",
    "a?b#c",
    "\\",
    "käse",
    "研究",
    "👩‍🔬",
    "line\nfeed",
    "\u202eabc",
    '"quoted" <b>',
    "trials",
    "x" * 400,
)


def address(name: str) -> str:
    return f"{STUDIES}/{quote(name, safe='')}"


def submit(client: Client, name: str, **body: Any) -> Answer:
    sent = {"definition": "quick", "set": SMALL} | body
    return client.change(address(name), "PUT", {k: v for k, v in sent.items() if v is not None})


def test_a_study_is_submitted_once(office: Office, client: Client) -> None:
    first = submit(client, "mine", n_trials=7, weight=2, tags=["paper"], until="2100-01-01T00:00")
    assert first.status == 201
    assert first.headers["etag"] == '"0"'
    assert (first.json["created"], first.json["n_trials"], first.json["weight"]) == (True, 7, 2.0)
    again = submit(client, "mine", n_trials=7, weight=2, tags=["paper"], until="2100-01-01T00:00")
    assert again.status == 200
    assert again.json == first.json | {"created": False}
    other = submit(client, "mine", n_trials=8, weight=2, tags=["paper"])
    assert other.status == 409
    assert other.json["type"] == "urn:cvfp-opt:error:StudyExists"
    assert "n_trials 7, not 8" in other.json["detail"]
    another = submit(client, "mine", n_trials=7, set=SMALL | {"training.num_epochs": 3})
    assert another.status == 409
    assert "training.num_epochs: the study has " in another.json["detail"]
    shown = client.ask(address("mine")).json
    assert shown["queue"] | {"created": True, "study": "mine"} == first.json
    assert shown["total"] == 7
    assert shown["record"]["definition"]["model"]["context_size"] == 8


def test_its_owner_is_the_token(office: Office, guarded: Client) -> None:
    token = {"authorization": f"Bearer {office.token('submit')}"}
    body = {"definition": "quick", "set": SMALL}
    answer = guarded.change(address("mine"), "PUT", body, **token)
    assert (answer.status, answer.json["owner"]) == (201, "submit 0")
    other = {"authorization": f"Bearer {office.token('submit')}"}
    refused = guarded.change(address("mine"), "PUT", body, **other)
    assert refused.status == 409
    assert 'owner "submit 0", not "submit 1"' in refused.json["detail"]


def test_a_definition_is_sent_in_three_ways(client: Client) -> None:
    toml = "[model]\ncontext_size = 8\nembedding_size = 6\n"
    for name, sent in (
        ("toml", {"toml": toml}),
        ("line", {"toml": "model.context_size = 8"}),
        ("sections", {"sections": {"model": {"context_size": 8, "embedding_size": 6}}}),
    ):
        answer = submit(client, name, definition=None, set=None, **sent)
        assert answer.status == 201, answer.body
        found = client.ask(address(name)).json["record"]["definition"]
        assert found["model"]["context_size"] == 8
    assert client.change(address("default"), "PUT", {}).status == 201
    assert client.ask(address("default")).json["total"] == 50


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"definition": "quik"}, "did you mean 'quick'?"),
        ({"definition": "./quick.toml"}, "one that comes with the package is required"),
        ({"definition": "/etc/passwd"}, "one that comes with the package is required"),
        ({"toml": "/etc/passwd", "definition": None}, "TOML"),
        ({"toml": "a" + ".a" * 20_000 + " = 1", "definition": None}, "at most 16384 characters"),
        ({"toml": "[model]", "sections": {}}, "got definition and toml and sections"),
        ({"toml": "[modle]\nx = 1", "definition": None}, "did you mean 'model'?"),
        ({"sections": {"modle": {}}, "definition": None}, "did you mean 'model'?"),
        ({"set": {"modle.x": 1}}, "did you mean 'model'?"),
        ({"set": {"model": 1}}, "section.key is required"),
        ({"set": {"training.num_epochs": "many"}}, "a whole number is required"),
        ({"set": {"training.num_epochs": None}}, "a number, a word, a list or a dict"),
        ({"n_trials": 0}, "a whole number from 1 to 999999999"),
        ({"n_trials": 1.5}, "n_trials: a whole number is required, got 1.5"),
        ({"n_trials": True}, "n_trials: a whole number is required, got true"),
        ({"weight": -1}, "a number from 0.001 to 1000 is required"),
        ({"budget_hours": "x"}, "budget_hours: a number or null is required"),
        ({"until": "tomorrow"}, "until: a time as 2027-01-31T18:00 is required"),
        ({"tags": "paper"}, "tags: a list, each a text, is required"),
        ({"tags": [1]}, "tags: a list, each a text, is required"),
        ({"nn_trials": 3}, "did you mean 'n_trials'?"),
        ({"owner": "somebody"}, "owner: unknown key"),
        ({"set": {"schedule.kind": "os:system"}}, "os:system: code is not taken over HTTP"),
        ({"set": {"space.diversity.loss": ["deviation", "a.b:c"]}}, "a.b:c: code is not taken"),
        ({"set": {"space.diversity.loss": MANY, "space.schedule.kind": MANY}}, "of choices"),
        ({"sections": {"space": {"a": MANY, "b": MANY}}, "definition": None}, "got 1000000"),
    ],
)
def test_what_is_not_as_required_is_one_sentence(
    shared: Client, sent: dict[str, Any], words: str
) -> None:
    answer = submit(shared, "mine", **sent)
    assert answer.status == 400
    assert words in answer.json["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert shared.ask(address("mine")).status == 404
    assert shared.said == []


def test_files_of_the_server_are_for_those_who_may_all(
    office: Office, guarded: Client, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("many words of the server\n" * 400)
    for keys in (
        {"data.source": "text", "data.path": str(text)},
        {"data.source": "ultrachat"},
        {"embedding.source": "gpt2"},
        {"embedding.source": "safetensors", "embedding.path": str(text)},
    ):
        body = {"definition": "quick", "set": SMALL | keys}
        token = {"authorization": f"Bearer {office.token('submit')}"}
        answer = guarded.change(address("mine"), "PUT", body, **token)
        assert answer.status == 403
        assert "the scope `admin`" in answer.json["detail"]
    token = {"authorization": f"Bearer {office.token('admin')}"}
    body = {"set": SMALL | {"data.source": "text", "data.path": str(text)}}
    assert guarded.change(address("mine"), "PUT", body, **token).status == 201
    code = {"set": SMALL | {"schedule.kind": "os:system"}}
    assert guarded.change(address("code"), "PUT", code, **token).status == 400


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_may_be_any_text(shared: Client, name: str) -> None:
    assert submit(shared, name).status == 201
    assert shared.ask(address(name)).json["study_name"] == name
    assert shared.ask(f"{address(name)}/trials").json == []
    paused = shared.ask(f"{address(name)}/pause", "POST", if_match="*")
    assert paused.json["study"] == name
    assert name in [row["name"] for row in shared.ask(STUDIES).json]
    assert shared.ask(address(name), "DELETE", if_match="*").status == 204
    assert shared.ask(address(name)).status == 404


@pytest.mark.parametrize("name", ["", "%20", "x" * 2000, "%00", "a%00b", "%FF", ".", "%2e%2e"])
def test_what_can_be_no_name_is_refused(shared: Client, name: str) -> None:
    answer = shared.change(f"{STUDIES}/{name}", "PUT", {"definition": "quick", "set": SMALL})
    if name == "%20":
        assert answer.status == 400
        assert "a name is required" in answer.json["detail"]
    else:
        assert answer.status in (400, 404, 405)
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(shared.ask(STUDIES).json) == 1
    assert shared.said == []


def test_it_is_told_whether_anything_is_different(office: Office, client: Client) -> None:
    first = client.ask(address("known"))
    tag = first.headers["etag"]
    assert tag.startswith('"0-')
    assert first.headers["cache-control"] == "no-cache"
    for header in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        same = client.ask(address("known"), if_none_match=header)
        assert (same.status, same.body) == (304, b"")
        assert same.headers["etag"] == tag
    control.amend(office.store, load_study(office.store, "known"), {"total": 9})
    other = client.ask(address("known"), if_none_match=tag)
    assert other.status == 200
    assert other.headers["etag"].startswith('"1-')
    head = client.ask(address("known"), "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["etag"] == other.headers["etag"]
    assert head.headers["content-length"] == str(len(other.body))


def test_a_change_names_what_it_is_made_to(office: Office, client: Client) -> None:
    control.amend(office.store, load_study(office.store, "known"), {"total": 9})
    pause = f"{address('known')}/pause"
    missing = client.ask(pause, "POST")
    assert missing.status == 428
    assert "If-Match is required" in missing.json["detail"]
    for wrong in ('"0"', '"0-abc"', '"2"'):
        late = client.ask(pause, "POST", if_match=wrong)
        assert late.status == 412
        assert late.json["type"] == "urn:cvfp-opt:error:StudyChanged"
        assert "it has version 1; look at it again" in late.json["detail"]
    for nonsense in ("", "1", '"x"', '"1", "2"', "W/1", '"99999999999"'):
        assert client.ask(pause, "POST", if_match=nonsense or '""').status == 400
    tag = client.ask(address("known")).headers["etag"]
    paused = client.ask(pause, "POST", if_match=tag)
    assert paused.status == 200
    assert paused.headers["etag"] == '"2"'
    assert paused.json["queue"]["state"] == "paused"
    assert client.ask(f"{address('known')}/resume", "POST", if_match='W/"2"').status == 200
    cancelled = client.ask(f"{address('known')}/cancel", "POST", if_match='"3"')
    assert cancelled.json["queue"]["state"] == "cancelled"
    refused = client.ask(pause, "POST", if_match="*")
    assert refused.status == 409
    assert refused.json["detail"].startswith("study 'known' is cancelled")


def test_wishes_are_changed_together_or_not_at_all(client: Client) -> None:
    def change(**body: Any) -> Answer:
        return client.change(address("known"), "PATCH", body, if_match="*")

    done = change(n_trials=9, weight=3, budget_hours=1.5, max_workers=None, tags=["a", "b"])
    assert done.status == 200
    queue = done.json["queue"]
    assert (queue["n_trials"], queue["weight"], queue["budget_hours"]) == (9, 3.0, 1.5)
    assert change(owner="somebody").json["queue"]["owner"] == "somebody"
    for body, status, words in (
        ({}, 400, "nothing to change"),
        ({"n_trials": 1}, 409, "a total of at least 5 is required"),
        ({"weight": 4, "priority": 10_000}, 400, "priority: a whole number from -1000 to 1000"),
        ({"definition": "quick"}, 400, "definition: unknown key"),
    ):
        refused = change(**body)
        assert refused.status == status
        assert words in refused.json["detail"]
    assert client.ask(address("known")).json["queue"]["weight"] == 3.0


def test_an_owner_is_changed_by_those_who_may_all(office: Office, guarded: Client) -> None:
    token = {"authorization": f"Bearer {office.token('control')}", "if_match": "*"}
    assert guarded.change(address("known"), "PATCH", {"weight": 2}, **token).status == 200
    refused = guarded.change(address("known"), "PATCH", {"owner": "me"}, **token)
    assert refused.status == 403


def test_a_deleted_study_is_gone_from_the_dashboard_too(office: Office, client: Client) -> None:
    study_id = study_id_of(load_study(office.store, "known"))
    assert len(client.ask(f"/api/studies/{study_id}").json["trials"]) == 5
    assert client.ask(address("known"), "DELETE").status == 428
    assert client.ask(address("known"), "DELETE", if_match='"7"').status == 412
    assert client.ask(address("known"), "DELETE", if_match="*").status == 204
    assert client.ask(f"/api/studies/{study_id}").status == 404
    assert client.ask(address("known"), "DELETE", if_match="*").status == 404
    assert submit(client, "next").status == 201  # of the same number, in a file
    assert client.ask(f"/api/studies/{study_id}").json["trials"] == []
    assert client.ask(f"{address('next')}/trials").json == []


def test_studies_are_listed_by_what_is_said_of_them(client: Client) -> None:
    submit(client, "a", tags=["paper", "fig1"])
    submit(client, "b", tags=["paper"])
    client.ask(f"{address('b')}/pause", "POST", if_match="*")

    def names(query: str) -> list[str]:
        return [row["name"] for row in client.ask(f"{STUDIES}{query}").json]

    assert names("") == ["known", "a", "b"]
    assert names("?tag=paper") == ["a", "b"]
    assert names("?tag=paper&tag=fig1") == ["a"]
    assert names("?stage=paused") == ["b"]
    assert names("?stage=no%20total") == ["known"]
    assert names("?stage=waiting&tag=paper") == ["a"]
    assert names("?owner=nobody") == []
    for query, words in (
        ("?stage=pausd", "did you mean 'paused'?"),
        ("?tga=paper", "did you mean 'tag'?"),
        ("?owner=a&owner=b", "one value is required"),
    ):
        refused = client.ask(f"{STUDIES}{query}")
        assert refused.status == 400
        assert words in refused.json["detail"]


def test_a_report_runs_by_itself_alone(shared: Client) -> None:
    answer = shared.ask(f"{address('known')}/report")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert "connect-src" not in policy
    assert "default-src 'none'" in policy
    assert b"<title>known: report of cvfp-opt</title>" in answer.body


def test_a_token_for_some_studies_lists_those(office: Office, serve: Serve) -> None:
    client = serve(allowed_hosts=["lab.example"])
    token = {"authorization": f"Bearer {office.token('read', 'submit', studies='paper-')}"}
    body = {"definition": "quick", "set": SMALL}
    assert client.change(address("paper-1"), "PUT", body, **token).status == 201
    assert client.change(address("other"), "PUT", body, **token).status == 403
    assert [row["name"] for row in client.ask(STUDIES, **token).json] == ["paper-1"]
    assert [row["study"] for row in client.ask("/api/v1/queue", **token).json] == ["paper-1"]
    missing = client.ask(address("paper-2"), **token)
    assert missing.status == 404
    assert missing.json["detail"] == "there is no study 'paper-2'"
    copied = client.change(f"{address('paper-1')}/trials", "POST", {"best_of": "known"}, **token)
    assert copied.status == 403
