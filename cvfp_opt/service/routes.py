"""The table of routes: what `serve` answers beside the dashboard."""

from http import HTTPStatus

from cvfp_opt.report.dashboard.replies import API
from cvfp_opt.report.queue import WorkerJson
from cvfp_opt.service.about_routes import VersionJson, show_openapi, show_version
from cvfp_opt.service.event_routes import EventsQuery, list_events, list_study_events
from cvfp_opt.service.page_routes import PAGES
from cvfp_opt.service.queue_routes import (
    DrainBody,
    drain_worker,
    list_workers,
    show_queue,
    stop_worker,
)
from cvfp_opt.service.route import HTML, Route
from cvfp_opt.service.study_routes import (
    Changes,
    DeletionQuery,
    PauseBody,
    StudiesQuery,
    cancel_study,
    change_study,
    delete_study,
    list_studies,
    pause_study,
    resume_study,
    show_report,
    show_study,
)
from cvfp_opt.service.submissions import Submission, submit
from cvfp_opt.service.trial_routes import (
    EnqueueBody,
    TrialsQuery,
    enqueue_trials,
    list_trials,
    show_best,
    show_trial,
)
from cvfp_opt.store.record.tokens import Scope

_STUDIES = f"{API}studies"
_STUDY = f"{_STUDIES}/{{name}}"
_WORKER = f"{API}workers/{{worker}}"
_READ, _SUBMIT, _CONTROL, _ADMIN = Scope.READ, Scope.SUBMIT, Scope.CONTROL, Scope.ADMIN

ROUTES: tuple[Route, ...] = (
    *PAGES,
    Route(method="GET", path=f"{API}version", answer=show_version, scope=_READ, gives=VersionJson),
    Route(method="GET", path=f"{API}openapi.json", answer=show_openapi, scope=_READ, gives=dict),
    Route(
        method="GET",
        path=_STUDIES,
        answer=list_studies,
        scope=_READ,
        query=StudiesQuery,
        gives="list",
    ),
    Route(
        method="PUT",
        path=_STUDY,
        answer=submit,
        scope=_SUBMIT,
        body=Submission,
        gives="submit",
        status=HTTPStatus.CREATED,
        others=(HTTPStatus.OK,),
        slow=True,
    ),
    Route(method="GET", path=_STUDY, answer=show_study, scope=_READ, gives="status"),
    Route(
        method="PATCH",
        path=_STUDY,
        answer=change_study,
        scope=_CONTROL,
        body=Changes,
        gives="study set",
        changes=True,
    ),
    Route(
        method="DELETE",
        path=_STUDY,
        answer=delete_study,
        scope=_ADMIN,
        query=DeletionQuery,
        status=HTTPStatus.NO_CONTENT,
        changes=True,
    ),
    Route(
        method="POST",
        path=f"{_STUDY}/pause",
        answer=pause_study,
        scope=_CONTROL,
        body=PauseBody,
        gives="study pause",
        changes=True,
    ),
    Route(
        method="POST",
        path=f"{_STUDY}/resume",
        answer=resume_study,
        scope=_CONTROL,
        gives="study resume",
        changes=True,
    ),
    Route(
        method="POST",
        path=f"{_STUDY}/cancel",
        answer=cancel_study,
        scope=_CONTROL,
        gives="study cancel",
        changes=True,
    ),
    Route(
        method="GET",
        path=f"{_STUDY}/trials",
        answer=list_trials,
        scope=_READ,
        query=TrialsQuery,
        gives="trial show",
        many=True,
    ),
    Route(
        method="POST",
        path=f"{_STUDY}/trials",
        answer=enqueue_trials,
        scope=_SUBMIT,
        body=EnqueueBody,
        gives="trial enqueue",
        status=HTTPStatus.CREATED,
        others=(HTTPStatus.OK,),
    ),
    Route(
        method="GET",
        path=f"{_STUDY}/trials/{{number}}",
        answer=show_trial,
        scope=_READ,
        gives="trial show",
    ),
    Route(method="GET", path=f"{_STUDY}/best", answer=show_best, scope=_READ, gives="best"),
    Route(
        method="GET",
        path=f"{_STUDY}/report",
        answer=show_report,
        scope=_READ,
        media=HTML,
        slow=True,
    ),
    Route(
        method="GET",
        path=f"{_STUDY}/events",
        answer=list_study_events,
        scope=_READ,
        query=EventsQuery,
        gives="events",
    ),
    Route(
        method="GET",
        path=f"{API}events",
        answer=list_events,
        scope=_READ,
        query=EventsQuery,
        gives="events",
    ),
    Route(method="GET", path=f"{API}queue", answer=show_queue, scope=_READ, gives="queue"),
    Route(
        method="GET", path=f"{API}workers", answer=list_workers, scope=_READ, gives="worker list"
    ),
    Route(
        method="POST",
        path=f"{_WORKER}/drain",
        answer=drain_worker,
        scope=_CONTROL,
        everything=True,
        body=DrainBody,
        gives=WorkerJson,
    ),
    Route(
        method="POST",
        path=f"{_WORKER}/stop",
        answer=stop_worker,
        scope=_CONTROL,
        everything=True,
        gives=WorkerJson,
    ),
)
"""Paths below /api/v1 are cut at their slashes before they are decoded, so that a study's name may
have any characters; so are those below /studies, which forms of our own pages send to."""

SEGMENTED = (API, "/studies/")
# What anybody is told.
OPEN = frozenset(route.path for route in ROUTES if route.scope is None)
