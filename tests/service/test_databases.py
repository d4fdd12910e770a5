"""The service on each kind of database."""

from collections.abc import Iterator

import pytest
from serving import Client, Office
from support import TINY

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_search

NAME = "paper%2F%E7%A0%94%E7%A9%B6%20%F0%9F%91%A9"
STUDY = f"/api/v1/studies/{NAME}"
BODY = {
    "definition": "quick",
    "n_trials": 9,
    "set": {key: int(value) for key, _, value in (one.partition("=") for one in TINY)},
}


@pytest.fixture
def office(location: Location) -> Iterator[Office]:
    with open_for_search(location) as store:
        yield Office.filled(location, store)


@pytest.fixture
def guarded(office: Office) -> Iterator[Client]:
    client = office.serve(allowed_hosts=["lab.example"])
    yield client
    client.end()
    assert client.said == []


def test_a_study_from_submission_to_deletion(office: Office, guarded: Client) -> None:
    token = {"authorization": f"Bearer {office.token('admin')}"}
    assert guarded.change(STUDY, "PUT", BODY, **token).status == 201
    assert guarded.change(STUDY, "PUT", BODY, **token).status == 200
    shown = guarded.ask(STUDY, **token)
    assert shown.json["study_name"] == "paper/研究 👩"
    assert shown.json["total"] == 9
    tag = shown.headers["etag"]
    assert guarded.ask(STUDY, if_none_match=tag, **token).status == 304
    point = {"params": {"dist_reg_weight": 0.5}}
    assert guarded.change(f"{STUDY}/trials", "POST", point, **token).status == 201
    assert guarded.ask(f"{STUDY}/pause", "POST", if_match=tag, **token).status == 200
    assert guarded.ask(f"{STUDY}/resume", "POST", if_match=tag, **token).status == 412
    events = guarded.ask(f"{STUDY}/events", **token).json
    assert [event["kind"] for event in events] == ["study-submitted", "study-paused"]
    stages = {row["study"]: row["stage"] for row in guarded.ask("/api/v1/queue", **token).json}
    assert stages["paper/研究 👩"] == "paused"
    assert guarded.ask("/api/v1/studies/known/trials", **token).json[1]["state"] == "complete"
    assert guarded.ask(STUDY, "DELETE", if_match="*", **token).status == 204
    assert guarded.ask(STUDY, **token).status == 404


def test_a_name_is_taken_to_the_letter(office: Office, guarded: Client) -> None:
    # MariaDB takes both for one name, but a token's right must not depend on it
    token = {"authorization": f"Bearer {office.token('admin', studies='K')}"}
    assert guarded.ask("/api/v1/studies/known", **token).status == 403
    assert guarded.ask("/api/v1/studies/Known", **token).status == 404
    made = guarded.change("/api/v1/studies/Known", "PUT", BODY, **token)
    assert made.status == (409 if office.location.kind == "mysql" else 201)
    assert b"'known'" not in made.body
    assert guarded.ask("/api/v1/studies", **token).json == [
        row for row in guarded.ask("/api/v1/studies", **token).json if row["name"] == "Known"
    ]
