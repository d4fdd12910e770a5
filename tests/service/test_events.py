"""Events over HTTP: in order, of one study or of all, and waited for."""

import threading

import pytest
from serving import Answer, Client, Office, Serve

from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.events import read_events
from cvfp_opt.store.record.studies import load_study

EVENTS = "/api/v1/events"


def pause_and_resume(office: Office, name: str = "known") -> None:
    study = load_study(office.store, name)
    control.pause(office.store, study)
    control.resume(office.store, study)


def kinds(answer: Answer) -> list[str]:
    return [event["kind"] for event in answer.json]


def test_events_follow_each_other(office: Office, client: Client) -> None:
    pause_and_resume(office)
    listed = client.ask(EVENTS)
    assert kinds(listed) == ["study-paused", "study-resumed"]
    assert listed.json == [event.to_dict() for event in read_events(office.store)]
    first, second = listed.json
    assert client.ask(f"{EVENTS}?limit=1").json == [first]
    assert client.ask(f"{EVENTS}?after={first['id']}").json == [second]
    assert client.ask(f"{EVENTS}?after={second['id']}").json == []
    assert client.ask("/api/v1/studies/known/events").json == [first, second]
    client.change("/api/v1/studies/other", "PUT", {})
    assert kinds(client.ask("/api/v1/studies/other/events")) == ["study-submitted"]
    assert client.ask("/api/v1/studies/nobody/events").status == 404
    same = client.ask(EVENTS, if_none_match=client.ask(EVENTS).headers["etag"])
    assert same.status == 304


def test_whoever_waits_is_told_when_something_happens(office: Office, client: Client) -> None:
    answers: list[Answer] = []
    asking = threading.Thread(
        target=lambda: answers.append(client.ask(f"{EVENTS}?wait=20")), daemon=True
    )
    asking.start()
    asking.join(0.2)
    assert answers == []
    pause_and_resume(office)
    asking.join(15)
    assert kinds(answers[0])[0] == "study-paused"


def test_many_who_wait_keep_nobody_out(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvfp_opt.service.event_routes._WAITING", threading.Semaphore(1))
    answers: list[Answer] = []
    asking = [
        threading.Thread(target=lambda: answers.append(client.ask(f"{EVENTS}?wait=2")))
        for _ in range(6)
    ]
    for one in asking:
        one.start()
    assert client.ask("/api/v1/queue").status == 200
    for one in asking:
        one.join(20)
    assert [answer.json for answer in answers] == [[]] * 6


def test_a_token_for_some_studies_hears_of_those(office: Office, serve: Serve) -> None:
    client = serve(allowed_hosts=["lab.example"])
    admin = {"authorization": f"Bearer {office.token('admin')}"}
    client.change("/api/v1/studies/paper-1", "PUT", {}, **admin)
    for _ in range(3):
        pause_and_resume(office)
    pause_and_resume(office, "paper-1")
    some = {"authorization": f"Bearer {office.token('read', studies='paper-')}"}
    answer = client.ask(f"{EVENTS}?limit=2", **some)
    assert [event["study"] for event in answer.json] == ["paper-1"] * 2
    assert kinds(answer) == ["study-submitted", "study-paused"]
    last = answer.json[-1]["id"]
    assert kinds(client.ask(f"{EVENTS}?after={last}", **some)) == ["study-resumed"]
    assert b"known" not in client.ask(EVENTS, **some).body
