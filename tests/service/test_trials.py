"""Trials over HTTP: listed page by page, shown, enqueued."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from serving import Answer, Client, Office

from cvfp_opt.api.schemas import schema
from cvfp_opt.report.best import best_json
from cvfp_opt.report.json_text import json_text
from cvfp_opt.report.trial import trial_json
from cvfp_opt.store.record.studies import load_study
from cvfp_opt.store.record.summary import Summary

TRIALS = "/api/v1/studies/known/trials"
POINT = {"dist_reg_weight": 0.5}


def numbers(answer: Answer) -> list[int]:
    return [trial["number"] for trial in answer.json]


def summary(office: Office) -> Summary:
    return Summary.of(load_study(office.store, "known"), office.location.shown)


def test_a_trial_is_what_the_command_prints(office: Office, client: Client) -> None:
    found = summary(office)
    shown = client.ask(f"{TRIALS}/1")
    assert shown.body.decode() == f"{json_text(trial_json(found, found.trial(1)))}\n"
    listed = client.ask(TRIALS).json
    assert listed == [json.loads(json_text(trial_json(found, one))) for one in found.trials]
    best = client.ask("/api/v1/studies/known/best")
    assert best.body.decode() == f"{json_text(best_json(found))}\n"
    assert best.json["number"] == found.ranking[0].number
    assert schema("best")["properties"].keys() >= best.json.keys()


def test_pages_of_trials_follow_each_other(shared: Client) -> None:
    target, found = f"{TRIALS}?limit=2", list[int]()
    for _ in range(3):
        answer = shared.ask(target)
        found += numbers(answer)
        link = answer.headers.get("link", "")
        if not link:
            break
        [target] = re.findall(r'^<(.*)>; rel="next"$', link)
        assert urlsplit(target).path == TRIALS
    assert found == [0, 1, 2, 3, 4]
    assert "link" not in shared.ask(f"{TRIALS}?limit=5").headers
    assert numbers(shared.ask(f"{TRIALS}?after=3")) == [4]
    assert numbers(shared.ask(f"{TRIALS}?after=4")) == []
    assert numbers(shared.ask(f"{TRIALS}?state=pruned&state=fail")) == [2, 4]
    page = shared.ask(f"{TRIALS}?state=complete&limit=1&after=0")
    assert numbers(page) == [1]
    assert page.headers["link"] == f'<{TRIALS}?after=1&limit=1&state=complete>; rel="next"'


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=0", "limit: a whole number from 1 to 1000 is required, got '0'"),
        ("limit=1001", "limit: a whole number from 1 to 1000"),
        ("limit=x", "limit: a whole number from 1 to 1000"),
        ("limit=", "limit: a whole number from 1 to 1000"),
        ("limit=1&limit=2", "limit: one value is required, got several"),
        ("after=-2", "after: a whole number from -1"),
        ("after=%D9%A3", "after: a whole number from -1"),
        ("after=" + "9" * 5000, "after: a whole number from -1"),
        ("state=done", "state: unknown value 'done'; valid: complete"),
        ("states=fail", "did you mean 'state'?"),
        ("limit", "limit: a whole number from 1 to 1000"),
    ],
)
def test_what_a_page_cannot_be_is_one_sentence(shared: Client, query: str, words: str) -> None:
    answer = shared.ask(f"{TRIALS}?{query}")
    assert answer.status == 400
    assert words in answer.json["detail"]
    assert len(answer.body) < 1000


@pytest.mark.parametrize("number", ["5", "x", "-1", "1.0", "01x", "9" * 30, "%D9%A3", "%31%00"])
def test_a_trial_that_is_not_there_is_not_found(shared: Client, number: str) -> None:
    answer = shared.ask(f"{TRIALS}/{number}")
    assert answer.status == 404
    assert answer.json["type"] == "urn:cvfp-opt:error:StudyMissing"


def test_without_a_complete_trial_there_is_no_best(client: Client) -> None:
    client.change("/api/v1/studies/empty", "PUT", {"definition": "quick"})
    answer = client.ask("/api/v1/studies/empty/best")
    assert answer.status == 404
    assert "at least one complete trial is required" in answer.json["detail"]


def enqueue(client: Client, **body: Any) -> Answer:
    return client.change(TRIALS, "POST", body)


def test_a_point_is_enqueued_once(client: Client) -> None:
    first = enqueue(client, params=POINT)
    assert (first.status, first.json["study"]) == (201, "known")
    assert first.json["trials"] == [{"trial": 5, "params": POINT, "new": True}]
    again = enqueue(client, params=POINT)
    assert again.status == 200
    assert again.json["trials"] == [{"trial": 5, "params": POINT, "new": False}]
    assert client.ask(f"{TRIALS}/5").json["state"] == "waiting"


def test_points_of_others_and_of_before_are_enqueued(office: Office, client: Client) -> None:
    retried = enqueue(client, retry=0)
    assert retried.status == 201
    assert retried.json["trials"][0]["params"] == summary(office).trial(0).params
    client.change("/api/v1/studies/next", "PUT", {})
    answer = client.change(
        "/api/v1/studies/next/trials", "POST", {"best_of": "known", "top": 2, "clip": True}
    )
    assert answer.status == 201
    assert [one["trial"] for one in answer.json["trials"]] == [0, 1]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "one of params, retry, best_of is required, got none"),
        ({"params": POINT, "retry": 1}, 400, "got params and retry"),
        ({"params": {"x": 1}}, 400, "x"),
        ({"params": {"dist_reg_weight": 7}}, 400, "dist_reg_weight"),
        ({"params": {"dist_reg_weight": [1]}}, 400, "a number or a word is required"),
        ({"params": {"dist_reg_weight": None}}, 400, "a number or a word is required"),
        ({"params": {"a=b": 1, "": 2}}, 400, ""),
        ({"params": {f"p{n}": 1 for n in range(101)}}, 400, "params: at most 100 are required"),
        ({"params": {"p" * 100_000: 1}}, 400, "ppp ..."),
        ({"params": 3}, 400, "params: an object is required, got 3"),
        ({"retry": 99}, 404, "a trial from 0 to 4 is required, got 99"),
        ({"retry": -1}, 404, "a trial from 0 to 4 is required, got -1"),
        ({"retry": True}, 400, "retry: a whole number is required, got true"),
        ({"best_of": "nobody"}, 404, "there is no study 'nobody'"),
        ({"best_of": "known", "top": 0}, 400, "top: from 1 to 1000 is required, got 0"),
        ({"parms": {}}, 400, "did you mean 'params'?"),
    ],
)
def test_what_cannot_be_enqueued_is_one_sentence(
    shared: Client, body: dict[str, Any], status: int, words: str
) -> None:
    answer = enqueue(shared, **body)
    assert answer.status == status
    assert words in answer.json["detail"]
    assert len(answer.body) < 5000
    assert numbers(shared.ask(TRIALS)) == [0, 1, 2, 3, 4]
    assert shared.said == []


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"params=1", "application/x-www-form-urlencoded", 415),
        (b"[", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"params": {"a": NaN}}', "application/json", 400),
        (b'{"params": {"a": "\\u0000"}}', "application/json", 400),
        (b'{"params": {"a": "\\ud800"}}', "application/json", 400),
        (b'{"params": ' + b'{"a":' * 900 + b"1" + b"}" * 901, "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
    ],
)
def test_only_json_is_taken(shared: Client, body: bytes, media: str, status: int) -> None:
    answer = shared.ask(TRIALS, "POST", body, content_type=media)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["detail"]
    assert shared.said == []
