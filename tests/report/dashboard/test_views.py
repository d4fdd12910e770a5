"""Requests for what does not exist, does not fit, or was chosen by somebody else."""

import csv
import io
from typing import Any

import optuna
import pytest
from optuna.trial import create_trial
from serving import Client, Serve, Site

from cvfp_opt.errors import StorageError

HUGE = "9" * 60


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/csv/9999",
            f"/csv/{HUGE}",
            f"/csv/-{HUGE}",
            "/csv/-1",
            f"/csv/{2**31}",
            f"/csv/{2**63}",
        ),
        *(f"/api/studies/{HUGE}", f"/api/studies/{HUGE}/param_importances"),
        *(f"/api/studies/{HUGE}/plot/edf", "/api/studies/9999/plot/edf", "/api/studies/1/plot/x"),
        *(f"/artifacts/{HUGE}/a", f"/artifacts/1/{HUGE}/a", "/artifacts/2/1/a"),
    ],
)
def test_what_is_not_there_is_not_found(reader: Client, target: str) -> None:
    assert reader.ask(target).status == 404
    assert reader.said == []


@pytest.mark.parametrize(
    "target",
    [
        f"/csv/{'9' * 5000}",
        *("/csv/1?trial_ids=x", "/csv/1?trial_ids=,", f"/csv/1?trial_ids={'9' * 5000}"),
        *("/api/studies/1?after=x", "/api/studies/1?after=-1", f"/api/studies/1?after={HUGE}"),
    ],
)
def test_what_is_no_number_is_refused(reader: Client, target: str) -> None:
    assert reader.ask(target).status == 400
    assert reader.said == []


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/api/studies/9999/note"),
        ("PUT", f"/api/studies/{HUGE}/note"),
        ("PUT", "/api/studies/1/9999/note"),
        ("PUT", "/api/studies/2/1/note"),  # the trial is another study's
        ("POST", "/api/studies/9999/rename"),
        ("DELETE", "/api/studies/9999"),
        ("DELETE", f"/api/studies/{HUGE}"),
        ("POST", "/api/trials/9999/tell"),
        ("POST", f"/api/trials/{HUGE}/user-attrs"),
        ("POST", "/api/artifacts/9999"),
        ("POST", "/api/artifacts/1/9999"),
        ("DELETE", "/api/artifacts/1/1/dead-beef"),
    ],
)
def test_nothing_is_written_to_what_is_not_there(reader: Client, method: str, target: str) -> None:
    value = {"version": 1, "body": "x", "study_name": "x", "state": "fail", "user_attrs": {"a": 1}}
    answer = reader.change(target, method, value)
    assert answer.status == 404
    assert "not found" in answer.json["reason"] or "no such" in answer.json["reason"]


@pytest.mark.parametrize(
    "value",
    [
        *({"version": one} for one in ("1", 1.0, True, None, [1], 10**400, 2**31)),
        *({"body": one} for one in (None, ["x", "y"], {}, 5, "\0", "\ud800", "x" * 1_000_001)),
    ],
)
def test_a_note_that_nobody_could_read_again_is_refused(reader: Client, value: Any) -> None:
    before = reader.ask("/api/studies/1").json["note"]
    answer = reader.change("/api/studies/1/note", "PUT", {"version": 1, "body": "x"} | value)
    assert answer.status == 400
    assert answer.json["reason"]
    assert reader.ask("/api/studies/1").json["note"] == before
    assert reader.said == []


def test_a_trial_is_told_what_its_study_can_hold(serve: Serve, site: Site) -> None:
    study = optuna.create_study(study_name="asked", storage=site.store.storage)
    trial = study.ask()
    client = serve()
    target = f"/api/trials/{trial._trial_id}/tell"
    for values in ([], [1, 2], ["x"], [True], [10**400], "1", {}):
        sent = {"state": "complete", "values": values}
        assert client.change(target, "POST", sent).status == 400
    body = b'{"state": "complete", "values": [NaN]}'
    assert client.ask(target, "POST", body, content_type="application/json").status == 400
    right = {"state": "complete", "values": [1]}
    assert client.change(target, "POST", right).status == 204
    assert client.change(target, "POST", right).status == 409
    assert study.trials[0].values == [1]
    assert client.said == []


def test_no_study_is_given_preferences_that_is_not_about_them(serve: Serve, site: Site) -> None:
    study = optuna.create_study(study_name="asked", storage=site.store.storage)
    for _ in range(2):
        study.ask()
    client = serve()
    sent = {"mode": "ChooseWorst", "candidates": [0, 1], "clicked": 0}
    target = f"/api/studies/{study._study_id}/preference"
    assert client.change(target, "POST", sent).status == 400
    assert [trial.values for trial in study.trials] == [None, None]
    assert site.store.storage.get_study_system_attrs(study._study_id) == {}


def test_a_renamed_study_is_found_by_all(serve: Serve) -> None:
    client = serve()
    assert client.ask("/api/studies/1/plot/edf").status == 200
    assert client.change("/api/studies/1/rename", "POST", {"study_name": "new"}).status == 201
    for target in ("/api/studies/1/plot/edf", "/api/studies/1/plot/slice", "/csv/1"):
        assert client.ask(target).status == 200
    assert client.said == []


def test_the_table_of_a_strangers_study_is_text(serve: Serve, site: Site) -> None:
    study = optuna.create_study(study_name='é\r\nX-Evil: 1;"=1+1', storage=site.store.storage)
    trial = create_trial(
        value=-0.5, user_attrs={"=cmd|' /C calc'!A0": "@SUM(1)", "b": "-2.5", "c": ["=1"]}
    )
    study.add_trial(trial)
    answer = serve().ask(f"/csv/{study._study_id}")
    assert answer.status == 200
    assert "x-evil" not in answer.headers
    assert answer.headers["content-disposition"] == 'attachment; filename="X-Evil-1-1-1.csv"'
    head, row = csv.reader(io.StringIO(answer.body.decode()))
    assert head[:3] == ["Number", "State", "Value"]
    assert row == ["0", "COMPLETE", "-0.5", "'@SUM(1)", "-2.5", "['=1']"]


def test_static_files_need_no_header(reader: Client) -> None:
    for headers in ({}, {"accept_encoding": "gzip"}, {"accept_encoding": "\xff"}):
        for target in ("/static/bundle.js", "/favicon.ico"):
            assert reader.ask(target, **headers).status == 200


def test_a_database_that_does_not_answer_is_no_fault(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise StorageError("the database does not answer")

    client = serve()
    monkeypatch.setattr("optuna_dashboard._app.get_studies", fail)
    answer = client.ask("/api/studies")
    assert answer.status == 503
    assert answer.json == {"reason": "the database does not answer"}
    assert client.said == []
