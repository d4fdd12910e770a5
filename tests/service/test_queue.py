"""Queue and workers over HTTP."""

import json
from typing import Any

import pytest
from serving import Client, Office, Serve

from cvfp_opt.report.json_text import json_text
from cvfp_opt.report.queue import queue_json, workers_json
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.overview import read_queue
from cvfp_opt.store.queue.workers import (
    StayingWorker,
    Wanted,
    WorkerState,
    join,
    read_workers,
    tell,
)
from cvfp_opt.store.record.studies import load_study


def worker(office: Office, **known: Any) -> StayingWorker:
    """One that stays, in this process."""
    made = StayingWorker(
        **vars(StayingWorker.of_this_process())
        | {"study_id": study_id_of(load_study(office.store, "known"))}
        | known
    )
    join(office.store, made)
    return made


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"patterns": ("other*", "more")}, "no worker fits: it serves other* and more alone"),
        ({"state": WorkerState.DRAINING}, "no worker fits: it is draining"),
        ({"patterns": ("kn*",)}, ""),
        ({}, ""),
    ],
)
def test_a_study_that_no_worker_will_serve_says_why(
    office: Office, client: Client, known: dict[str, Any], why: str
) -> None:
    worker(office, **known)
    control.amend(office.store, load_study(office.store, "known"), {"total": 9})
    [entry] = [one for one in client.ask("/api/v1/queue").json if one["study"] == "known"]
    assert (entry["why"], entry["served"]) == (why, not why)


def test_the_queue_is_what_the_command_prints(office: Office, client: Client) -> None:
    worker(office, skipped={"known": "of another version"})
    control.amend(office.store, load_study(office.store, "known"), {"total": 9})
    studies, workers = read_queue(office.store), read_workers(office.store)
    shown = client.ask("/api/v1/queue")
    assert shown.body.decode() == f"{json_text(queue_json(studies, workers))}\n"
    assert shown.json[0]["why"] == "no worker fits: of another version"
    listed = client.ask("/api/v1/workers")
    assert listed.body.decode() == f"{json_text(workers_json(workers, studies))}\n"
    same = client.ask("/api/v1/queue", if_none_match=shown.headers["etag"])
    assert same.status == 304


def test_a_worker_is_drained_and_stopped(office: Office, client: Client) -> None:
    known = worker(office)
    target = f"/api/v1/workers/{known.short}"
    drained = client.change(f"{target}/drain", "POST", {"within": 60})
    assert (drained.status, drained.json["wanted"]) == (200, "drain")
    assert drained.json["worker"] == known.worker
    order = tell(office.store, known)
    assert order.wanted is Wanted.DRAIN
    assert order.seconds is not None
    assert 0 < order.seconds <= 60
    client.change(f"{target}/drain", "POST", {"within": None})
    assert tell(office.store, known).seconds is None
    assert client.ask(f"{target}/stop", "POST").json["wanted"] == "stop"
    assert tell(office.store, known).wanted is Wanted.STOP


@pytest.mark.parametrize("name", ["nobody", "%2F", "%00", "%20", "0" * 4000])
def test_a_worker_that_is_not_there_is_not_found(shared: Client, name: str) -> None:
    for verb in ("drain", "stop"):
        answer = shared.ask(f"/api/v1/workers/{name}/{verb}", "POST")
        assert answer.status == 404
        assert "there is no worker with an id that begins with" in answer.json["detail"]


def test_one_that_is_gone_is_in_conflict(office: Office, client: Client) -> None:
    gone = worker(office, seconds=-1.0)
    answer = client.ask(f"/api/v1/workers/{gone.worker}/stop", "POST")
    assert answer.status == 409
    assert "is gone: it was silent for too long" in answer.json["detail"]


def test_seconds_of_a_drain_are_checked(office: Office, client: Client) -> None:
    known = worker(office)
    for within, words in (
        (-1, "seconds from 0 on"),
        ("x", "a number or null"),
        (1e300, "seconds"),
    ):
        answer = client.change(f"/api/v1/workers/{known.worker}/drain", "POST", {"within": within})
        assert answer.status == 400
        assert words in answer.json["detail"]
    assert tell(office.store, known).wanted is Wanted.WORK


def test_who_may_see_some_studies_sees_no_names_of_others(office: Office, serve: Serve) -> None:
    worker(office, skipped={"known": "of another version", "paper-1": "it is paused"})
    client = serve(allowed_hosts=["lab.example"])
    token = {"authorization": f"Bearer {office.token('admin', studies='paper-')}"}
    answer = client.ask("/api/v1/workers", **token)
    assert b"known" not in answer.body
    [found] = answer.json
    assert found["study"] is None
    assert found["skipped"] == {"paper-1": "it is paused"}
    assert json.loads(client.ask("/api/v1/queue", **token).body) == []
    stop = client.ask(f"/api/v1/workers/{found['worker']}/stop", "POST", **token)
    assert stop.status == 403
    assert "this is about all" in stop.json["detail"]
