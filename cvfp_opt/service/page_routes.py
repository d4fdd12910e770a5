"""The queue's page over HTTP, its forms, metrics, and whether the server is fit for requests."""

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from cvfp_opt.errors import CvfpOptError, DefinitionError
from cvfp_opt.report.board import read_board
from cvfp_opt.report.dashboard.security_headers import OWN_PAGE
from cvfp_opt.service import queue_routes, study_routes
from cvfp_opt.service.application import problem_of
from cvfp_opt.service.page import make_page, page_html, script_source
from cvfp_opt.service.route import HTML, TEXT, Answer, Call, Route
from cvfp_opt.store.record.tokens import Scope

_OK, _NOT_READY = b"ok\n", b"not ready\n"
_LONGEST_VERSION = 9
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def show_page(call: Call) -> Answer:
    """Show the queue, the studies and the workers as a page."""
    return _page(call)


def show_metrics(call: Call) -> Answer:
    """Show the metrics of queue, studies and workers, for Prometheus."""
    return Answer(content=call.desk.metrics.text())


def show_life(call: Call) -> Answer:
    """Say that the server lives."""
    return Answer(content=_OK)


def show_readiness(call: Call) -> Answer:
    """Say whether the database answers."""
    if call.desk.readiness.is_ready():
        return Answer(content=_OK)
    return Answer(content=_NOT_READY, status=HTTPStatus.SERVICE_UNAVAILABLE)


def pause_study(call: Call) -> Answer:
    """Let no further trial of a study begin, and show the page."""
    return _changed(call, study_routes.pause_study)


def resume_study(call: Call) -> Answer:
    """Let trials of a study begin again, and show the page."""
    return _changed(call, study_routes.resume_study)


def cancel_study(call: Call) -> Answer:
    """Give a study's running trials back, let none begin, and show the page."""
    return _changed(call, study_routes.cancel_study)


def drain_worker(call: Call) -> Answer:
    """Let a worker end after the trials that it runs, and show the page."""
    return _done(call, lambda: queue_routes.drain_worker(call), "#workers")


def stop_worker(call: Call) -> Answer:
    """Let a worker give back what it runs, and end; and show the page."""
    return _done(call, lambda: queue_routes.stop_worker(call), "#workers")


def _changed(call: Call, change: Callable[[Call], Answer]) -> Answer:
    """Change the study that the form was about, if it is as it was when the page was made."""

    def act() -> None:
        change(replace(call, version=_version(call.form.get("version", ""))))

    return _done(call, act, "#studies")


def _version(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > _LONGEST_VERSION:
        raise DefinitionError("version: a whole number is required, as the page's forms send it")
    return int(text)


def _done(call: Call, act: Callable[[], object], place: str) -> Answer:
    """Do something and send the browser back to the page, or show the page with the refusal."""
    try:
        act()
    except CvfpOptError as error:
        return replace(_page(call, str(error)), status=problem_of(error).status)
    # so that to load the page again does nothing again
    where = f"{call.desk.base}/{place}"
    return Answer(content=b"", status=HTTPStatus.SEE_OTHER, headers=(("Location", where),))


def _page(call: Call, notice: str = "") -> Answer:
    location = call.desk.location
    page = make_page(
        read_board(call.desk.store),
        call.rights,
        where=location.shown,
        option=location.option,
        base=call.desk.base,
        notice=notice,
    )
    policy = f"{OWN_PAGE}; script-src {script_source()}; connect-src 'self'"
    return Answer(content=page_html(page).encode(), policy=policy)


def _form(path: str, answer: Callable[[Call], Answer], *, everything: bool = False) -> Route:
    return Route(
        method="POST",
        path=path,
        answer=answer,
        scope=Scope.CONTROL,
        everything=everything,
        media=HTML,
        form=True,
        status=HTTPStatus.SEE_OTHER,
    )


PAGES: tuple[Route, ...] = (
    Route(method="GET", path="/", answer=show_page, scope=Scope.READ, media=HTML),
    Route(
        method="GET",
        path="/metrics",
        answer=show_metrics,
        scope=Scope.READ,
        everything=True,
        media=_PROMETHEUS,
    ),
    Route(method="GET", path="/livez", answer=show_life, scope=None, media=TEXT),
    Route(method="GET", path="/readyz", answer=show_readiness, scope=None, media=TEXT),
    _form("/studies/{name}/pause", pause_study),
    _form("/studies/{name}/resume", resume_study),
    _form("/studies/{name}/cancel", cancel_study),
    _form("/workers/{worker}/drain", drain_worker, everything=True),
    _form("/workers/{worker}/stop", stop_worker, everything=True),
)
