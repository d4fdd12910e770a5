"""The artifacts that the dashboard can reach."""

import base64
import io

import pytest
from bottle import HTTPError
from optuna.artifacts import upload_artifact
from serving import Serve, Site

from cvfp_opt.report.dashboard.artifacts import NamedArtifacts
from cvfp_opt.report.dashboard.page import write_missing_curves
from cvfp_opt.store.database.storage import open_for_search


def upload(site: Site, name: str, content: bytes) -> str:
    """An artifact of the study."""
    path = site.location.file.parent / name
    path.write_bytes(content)
    return upload_artifact(
        artifact_store=site.artifacts, file_path=str(path), study_or_trial=site.study
    )


def test_a_named_one_is_served_and_runs_nothing(serve: Serve, site: Site) -> None:
    page = b"<script>alert(1)</script>"
    artifact_id = upload(site, "page.html", page)
    answer = serve().ask(f"/artifacts/1/{artifact_id}")
    assert (answer.status, answer.body) == (200, page)
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert "access-control-allow-origin" not in answer.headers


def test_one_that_is_gone_is_not_found(serve: Serve, site: Site) -> None:
    artifact_id = upload(site, "a.txt", b"a")
    site.artifacts.remove(artifact_id)
    client = serve()
    assert client.ask(f"/artifacts/1/{artifact_id}").status == 404
    assert client.said == []
    # and is no reason to keep its study
    assert client.change("/api/studies/1", "DELETE", {}).status == 204


def test_one_that_nobody_names_is_neither_served_nor_removed(serve: Serve, site: Site) -> None:
    site.artifacts.write("dead-beef", io.BytesIO(b"x"))
    client = serve()
    assert client.ask("/artifacts/1/dead-beef").status == 404
    for target in ("/api/artifacts/1/dead-beef", "/api/artifacts/1/1/dead-beef"):
        assert client.change(target, "DELETE", {}).status == 404
    assert site.artifacts.path("dead-beef").exists()


def test_one_is_uploaded_and_removed(serve: Serve, site: Site) -> None:
    client = serve()
    data = "data:text/plain;base64," + base64.b64encode(b"hello").decode()
    value = {"file": data, "filename": "../../a.txt"}
    answer = client.change("/api/artifacts/1", "POST", value)
    assert answer.status == 201
    artifact_id = answer.json["artifact_id"]
    assert client.ask(f"/artifacts/1/{artifact_id}").body == b"hello"
    assert [path.name for path in site.artifacts.folder.iterdir()] == [artifact_id]
    assert client.change(f"/api/artifacts/1/{artifact_id}", "DELETE", {}).status == 204
    assert client.ask(f"/artifacts/1/{artifact_id}").status == 404
    assert list(site.artifacts.folder.iterdir()) == []


def test_one_of_a_trial_that_has_ended_is_removed_whole(serve: Serve, site: Site) -> None:
    write_missing_curves(site.store, site.study, site.artifacts)
    with open_for_search(site.location) as store:  # anew: it read the trials before
        client = Site(site.location, store, site.study).serve()
        try:
            trial = client.ask("/api/studies/1").json["trials"][1]
            first, second = [one["artifact_id"] for one in trial["artifacts"]]
            target = f"/api/artifacts/1/{trial['trial_id']}/{first}"
            assert client.change(target, "DELETE", {}).status == 204
            assert client.change(target, "DELETE", {}).status == 404
            trial = client.ask("/api/studies/1").json["trials"][1]
            assert [one["artifact_id"] for one in trial["artifacts"]] == [second]
            assert client.said == []
        finally:
            client.end()
    assert not site.artifacts.path(first).exists()


def test_what_another_program_says_of_one_is_no_fault(serve: Serve, site: Site) -> None:
    site.artifacts.write("dead-beef", io.BytesIO(b"x"))
    storage = site.store.storage
    client = serve()
    for account in (
        *("x", "1", "[1]", "{}", '{"mimetype": 1}', '{"mimetype": "\\ud800"}', 5, None, {"a": 1}),
        '{"mimetype": "text/html\\r\\nX-Evil: 1"}',
    ):
        storage.set_study_system_attr(1, "artifacts:dead-beef", account)
        answer = client.ask("/artifacts/1/dead-beef")
        assert answer.status in (200, 404)
        assert "html" not in answer.headers["content-type"]
        assert "x-evil" not in answer.headers
    assert client.said == []


def test_the_store_itself_gives_out_what_is_named_only(site: Site) -> None:
    # the routes of another version of the dashboard may ask less than today's
    site.artifacts.write("dead-beef", io.BytesIO(b"x"))
    named = NamedArtifacts(site.artifacts, site.store)
    for artifact_id in ("dead-beef", "../cvfp.db", "%", "", "a" * 201):
        with pytest.raises(HTTPError) as refused:
            named.open_reader(artifact_id)
        assert refused.value.status_code == 404
    with named.open_reader(upload(site, "a.txt", b"a")) as file:
        assert file.read() == b"a"
