"""Studies over HTTP: the names, the answers and the errors of a study in a database."""

import copy
import http.server
import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemas
from serving import Office
from support import TINY

import cvfp_opt as cv
from cvfp_opt import errors
from cvfp_opt.api.remote import connection
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.record.tokens import Scope

SETTINGS = dict(setting.split("=") for setting in TINY)


def tiny(**more: Any) -> cv.Plan:
    return cv.define("quick", **more).set({key: json.loads(v) for key, v in SETTINGS.items()})


def local(location: Location, name: str) -> cv.Study:
    return cv.open(name, storage=location)


def test_it_says_what_the_study_in_the_database_says(
    remote: cv.Remote, location: Location
) -> None:
    there, here = remote.open("known"), local(location, "known")
    assert there.look().trials == here.look().trials
    assert there.to_dict() == json.loads(json.dumps(here.to_dict()))
    assert [one.record for one in there.ranking] == [one.record for one in here.ranking]
    assert there.best.number == here.best.number
    assert there.best.to_dict() == here.best.to_dict()
    assert there.trial(3).params == here.trial(3).params
    assert repr(there.best) == repr(here.best)
    assert dict(there.table(sort="score")) == dict(here.table(sort="score"))
    assert there.judgement == here.judgement
    assert there.confirmation is None
    for name in ("counts", "total", "state"):
        assert getattr(there, name) == getattr(here, name)
    assert len(there) == len(here) == 5
    assert there.plan() == here.plan()
    assert [study.name for study in remote.studies()] == ["known"]
    assert remote.open() == there
    assert there._repr_html_()
    assert there.compare("known").sentence == here.compare("known").sentence
    with pytest.raises(cv.DefinitionError, match="a study of a server or its name"):
        there.compare(here)  # type: ignore[arg-type]
    where = f"RemoteStudy('known', url='{remote.url}'): "
    assert repr(there) == f"{where}{repr(here).partition('): ')[2]}"
    schemas.check_value("status", there.to_dict())
    schemas.check_value("trial show", there.best.to_dict())


def test_a_study_is_submitted_changed_and_ended(remote: cv.Remote, location: Location) -> None:
    more: dict[str, Any] = {"name": "a/b ü", "weight": 2, "until": "2099-01-01"}
    study = remote.submit(tiny(), n_trials=7, tags=["x"], **more)
    again = remote.submit(tiny(), n_trials=7, tags="x", **more)
    assert (study, study.total, study.state) == (again, 7, "open")
    assert [one.name for one in remote.studies(tag="x", stage="waiting")] == ["a/b ü"]
    assert remote.studies(tag=("x", "y")) == []
    with pytest.raises(cv.StudyExists, match="is there already, with n_trials 7, not 8"):
        remote.submit(tiny(), n_trials=8, tags=["x"], **more)
    study.set(n_trials=9, budget_hours=2.5, until=None)
    assert (study.total, study.to_dict()["queue"]["budget_hours"]) == (9, 2.5)
    study.pause(now=True)
    assert (study.state, local(location, "a/b ü").state) == ("paused", "paused")
    study.resume()
    study.cancel()
    assert study.state == "cancelled"
    study.resume()
    [trial] = study.enqueue({"dist_reg_weight": 0.6})
    assert (trial.number, trial.state, trial.params) == (0, "waiting", {"dist_reg_weight": 0.6})
    assert study.enqueue({"dist_reg_weight": 0.6}) == (trial,)
    assert study.wait(timeout=0) is False
    [entry] = [one for one in remote.queue() if one["study"] == "a/b ü"]
    assert (entry["stage"], entry["n_trials"]) == ("waiting", 9)
    study.delete()
    with pytest.raises(cv.StudyError, match="there is no study 'a/b ü'"):
        _ = study.total
    assert remote.version["database"] == "sqlite"


def test_a_change_names_the_version_that_was_seen(remote: cv.Remote) -> None:
    study = remote.submit(tiny(), name="mine")
    seen = study.version
    study.set(priority=3, version=seen)
    assert study.version == seen + 1
    for change in (
        lambda: study.set(priority=4, version=seen),
        lambda: study.pause(version=seen),
        lambda: study.delete(version=seen),
    ):
        with pytest.raises(cv.StudyChanged, match="changed"):
            change()
    assert (study.state, study.to_dict()["queue"]["priority"]) == ("open", 3)


REFUSED: list[tuple[Callable[[cv.Remote], Any], str, str]] = [
    (lambda remote: remote.open("knwn"), "StudyMissing", "did you mean 'known'"),
    (lambda remote: remote.open("known").trial(77), "StudyError", "a trial from 0 to 4"),
    (
        lambda remote: remote.open("known").set(n_trials=1),
        "StudyError",
        "at least 5 is required",
    ),
    (lambda remote: remote.open("known").set(weight=-1), "DefinitionError", "weight: "),
    (lambda remote: remote.open("known").set(), "DefinitionError", "nothing to change"),
    (lambda remote: remote.open("known").enqueue({"a": 1}), "DefinitionError", "a"),
    (lambda remote: remote.open("known").enqueue(), "DefinitionError", "one of params"),
    (lambda remote: remote.open("known").enqueue(retry=88), "StudyError", "0 to 4"),
    (lambda remote: remote.drain("nobody"), "StudyError", "there is no worker"),
    (lambda remote: remote.stop(""), "DefinitionError", "worker: a text"),
    (lambda remote: remote.submit("no-such"), "DefinitionError", "no-such"),
    (lambda remote: remote.submit("quick", name="x" * 999), "StudyError", "characters"),
    (lambda remote: remote.submit("quick", max_workers=0), "DefinitionError", "max_workers"),
]


def test_errors_are_those_of_the_library(remote: cv.Remote) -> None:
    for ask, error, words in REFUSED:
        with pytest.raises(getattr(errors, error)) as found:
            ask(remote)
        assert words in str(found.value)
        assert "\n" not in str(found.value)


def test_what_needs_the_database_says_so(remote: cv.Remote) -> None:
    study = remote.open("known")
    for name in ("more", "confirm", "plot", "export", "copy", "rename", "doctor"):
        assert not hasattr(study, name)
        with pytest.raises(cv.StudyError, match=f"{name}: not over HTTP"):
            getattr(study, name)
    with pytest.raises(cv.StudyError, match="load: not over HTTP"):
        study.best.load()
    with pytest.raises(cv.StudyError, match="fail: not over HTTP"):
        study.trial(0).fail()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = study.nonsense
    members = {name for name in dir(cv.Study) if not name.startswith("_")}
    assert {name for name in members if not hasattr(study, name)} == {
        *("more", "confirm", "plot", "export", "copy", "rename", "doctor"),
        *("place", "location", "artifacts"),
    } & members


def test_a_report_is_fetched(remote: cv.Remote) -> None:
    path = remote.open("known").report("page.html")
    assert path == Path("page.html")
    assert path.read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(cv.ReportError, match="no/such"):
        remote.open("known").report("no/such/page.html")


def test_trials_that_have_ended_are_asked_for_once(
    remote: cv.Remote, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    once = connection.Connection._once

    def counted(self: connection.Connection, request: Any) -> connection.Response:
        answer = once(self, request)
        asked.append(f"{request.selector} {answer.status}")
        return answer

    monkeypatch.setattr(connection.Connection, "_once", counted)
    monkeypatch.setattr("cvfp_opt.api.remote.study._PAGE", 2)
    study = remote.open("known")
    whole = study.look()
    trials = "/api/v1/studies/known/trials?"
    assert [one for one in asked if trials in one] == [
        f"{trials}after=-1&limit=2 200",
        f"{trials}after=1&limit=2 200",
        f"{trials}after=3&limit=2 200",
    ]
    asked.clear()
    assert study.look() == whole
    assert asked == ["/api/v1/studies/known 304", f"{trials}after=4&limit=2 200"]
    local(location, "known").enqueue(retry=1)
    assert len(study.trials) == 6
    assert study.trials[5].state == "waiting"
    local(location, "known").fail(5)
    assert study.trials[5].state == "fail"
    study.delete()
    remote.submit(tiny(), name="known")
    assert study.trials == ()


def test_what_happens_is_told_in_its_order(remote: cv.Remote, location: Location) -> None:
    assert remote.events() == []
    first, second = (remote.submit(tiny(), name=name, n_trials=3) for name in ("a", "b"))
    first.pause()
    second.cancel()
    seen = remote.events()
    told = [(event.kind, event.study) for event in seen]
    assert told[-2:] == [("study-paused", "a"), ("study-cancelled", "b")]
    assert seen == cv.events(storage=location)
    assert first.events() == [event for event in seen if event.study == "a"]
    assert second.events(after=seen[-1].id) == []
    first.resume()
    [last] = remote.events(after=seen[-1].id)
    assert (last.kind, last.text) == ("study-resumed", "study a is open")
    assert first.events(after=0, limit=1) == first.events()[:1]
    assert first.events(limit=1) == [last]
    assert first.events(after=last.id, wait=1) == []
    with pytest.raises(cv.DefinitionError, match="after: at least 0 is required"):
        first.events(after=-1)


# tokens


def test_a_token_is_shown_and_never_kept(guarded: str, office: Office) -> None:
    text = office.token(Scope.READ, Scope.SUBMIT)
    remote = cv.connect(guarded, text)
    study = remote.submit(tiny(), name="mine", n_trials=3)
    assert study.to_dict()["queue"]["owner"] == "read and submit 0"
    with pytest.raises(cv.TokenError, match="control"):
        study.pause()
    for shown in (repr(remote), repr(study), repr(vars(study)), str(vars(remote))):
        assert text not in shown
    for kept in (remote, study):
        packed = pickle.dumps(kept)
        assert text.encode() not in packed
        assert text not in repr(vars(copy.copy(kept)))
    bare = pickle.loads(pickle.dumps(study))
    assert bare == study
    with pytest.raises(cv.TokenError, match="token"):
        _ = bare.total
    with pytest.raises(cv.TokenError):
        cv.connect(guarded, "cvfp_wrong").studies()


def test_a_token_for_some_studies_is_told_of_no_other(guarded: str, office: Office) -> None:
    everybody = cv.connect(guarded, office.token("read", "submit", "control"))
    for name in ("mine-1", "theirs", "mine-2"):
        everybody.submit(tiny(), name=name).pause()
    mine = cv.connect(guarded, office.token("read", studies="mine-"))
    seen = {event.study for event in mine.events(after=0)}
    assert seen == {event.study for event in mine.events()} == {"mine-1", "mine-2"}
    last = next(event.id for event in everybody.events() if event.study == "theirs")
    assert {event.study for event in mine.events(after=last, limit=1)} == {"mine-2"}
    with pytest.raises(cv.TokenError, match="mine-"):
        mine.open("theirs")


@pytest.mark.parametrize("odd", ["", "a b", "a\nb", "ü", 3, b"x"])
def test_what_is_no_token_is_refused(odd: Any) -> None:
    with pytest.raises(cv.TokenError, match="token: the text that"):
        cv.connect("http://127.0.0.1:1", odd)


@pytest.mark.parametrize(
    "url",
    [
        *("", "127.0.0.1:8080", "ftp://a/b", "file:///etc/passwd", "http://", "http://a:99999"),
        *("http://a/?q=1", "http://a/#x", "http://me:secret@a/", "http://a b/", "http://ü/", None),
    ],
)
def test_what_is_no_address_is_refused(url: Any) -> None:
    with pytest.raises(cv.ServerError, match="the URL of a `cvfp-opt serve` is required") as found:
        cv.connect(url)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("timeout", [0, -1, "1", True, float("nan")])
def test_what_is_no_time_is_refused(timeout: Any) -> None:
    with pytest.raises(cv.DefinitionError, match="timeout: seconds above 0"):
        cv.connect("http://127.0.0.1:1", timeout=timeout)


# a server that is away, busy, or another one


class Fake(http.server.BaseHTTPRequestHandler):
    """Answers what it is told to, one after the other; 0 closes the connection."""

    answers: list[tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, str, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Authorization")))
        status, headers, body = self.answers.pop(0)
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


LOST = (0, {}, b"")
BUSY = (503, {}, b'{"detail": "busy", "type": "about:blank"}')
EMPTY = (200, {}, b"[]")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[cv.Remote, type[Fake]]]:
    monkeypatch.setattr(connection, "PAUSES", (0.0, 0.0))
    handler = type("Handler", (Fake,), {"answers": [], "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/base"
        yield cv.connect(url, "cvfp_secret", timeout=20), handler
        server.shutdown()
        thread.join()


def test_a_lost_connection_is_made_anew(fake: tuple[cv.Remote, type[Fake]]) -> None:
    remote, server = fake
    server.answers[:] = [LOST, BUSY, EMPTY]
    assert remote.studies() == []
    assert server.asked == [("GET", "/base/api/v1/studies", "Bearer cvfp_secret")] * 3
    server.answers[:] = [LOST] * 3
    with pytest.raises(cv.ServerError, match=r"does not answer: .*is `cvfp-opt serve` running"):
        remote.studies()
    server.answers[:] = [BUSY] * 3
    with pytest.raises(cv.ServerError, match=r"^busy$"):
        remote.studies()


def test_a_server_that_has_answered_is_waited_for_longer(
    fake: tuple[cv.Remote, type[Fake]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSES", (0.0,) * 5)
    remote, server = fake
    for times in (3, 6):
        server.answers[:], server.asked[:] = [LOST] * times, []
        with pytest.raises(cv.ServerError):
            remote.studies()
        assert len(server.asked) == times
        server.answers[:] = [EMPTY]
        assert remote.studies() == []


@pytest.mark.parametrize(
    ("change", "times"),
    [
        (lambda study: study.enqueue({"a": 1}), 1),
        (lambda study: study.delete(), 1),
        (lambda study: study.set(n_trials=3, version=2), 1),
        (lambda study: study.set(n_trials=3), 3),
        (lambda study: study.cancel(), 3),
    ],
)
def test_only_what_does_no_harm_is_sent_again(
    change: Callable[[cv.RemoteStudy], None], times: int, fake: tuple[cv.Remote, type[Fake]]
) -> None:
    remote, server = fake
    study = cv.RemoteStudy("a/b", remote._connection)
    server.answers[:] = [LOST] * times
    with pytest.raises(cv.ServerError) as found:
        change(study)
    assert ("nobody knows" in str(found.value)) is (times == 1)
    assert len(server.asked) == times
    assert all(path.startswith("/base/api/v1/studies/a%2Fb") for _, path, _ in server.asked)


def test_a_token_does_not_follow_to_another_place(fake: tuple[cv.Remote, type[Fake]]) -> None:
    remote, server = fake
    server.answers[:] = [(302, {"Location": f"{remote.url}/other"}, b"")]
    with pytest.raises(cv.ServerError, match=r"answers 302 Found \(it leads to http"):
        remote.studies()
    assert len(server.asked) == 1
    server.answers[:] = [(200, {"Link": '<//evil.example/x>; rel="next"'}, b"[]")]
    response = remote._connection.get("studies")
    server.answers[:] = [EMPTY]
    assert response.next is not None
    remote._connection.get(response.next)
    assert server.asked[-1][1].startswith("/base//evil.example/x")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, {}, b"<html>"), "gave no JSON ('<html>')"),
        ((404, {}, b"<html>"), "answers 404 Not Found, and not as `cvfp-opt serve` does"),
        ((500, {}, b'{"detail": "odd", "type": "urn:cvfp-opt:error:NoSuch"}'), "odd"),
        ((400, {}, b'{"detail": "no", "type": "urn:cvfp-opt:error:CvfpOptError"}'), "no"),
    ],
)
def test_another_server_is_told_apart(
    answer: tuple[int, dict[str, str], bytes], words: str, fake: tuple[cv.Remote, type[Fake]]
) -> None:
    remote, server = fake
    server.answers[:] = [answer]
    with pytest.raises(cv.CvfpOptError) as found:
        remote.studies()
    assert words in str(found.value)


def test_a_host_that_is_not_there_is_not_asked_again() -> None:
    remote = cv.connect("http://no-such-host.invalid")
    before = time.monotonic()
    with pytest.raises(cv.ServerError, match=r"no-such-host\.invalid: does not answer"):
        remote.studies()
    assert time.monotonic() - before < sum(connection.PAUSES)
