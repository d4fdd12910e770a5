"""Checks of a request before one of optuna-dashboard's functions runs.

Those look for what does not exist, take any value, and answer all of it with 500 and a trace. What
does not fit is refused here, with what would fit, before anything is written.
"""

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NoReturn

import sqlalchemy
from bottle import HTTPError, HTTPResponse, Route, request, response
from optuna.exceptions import UpdateFinishedTrialError
from sqlalchemy import select

from cvfp_opt.report.dashboard.dashboard_private import PREFERENTIAL
from cvfp_opt.report.dashboard.request_bodies import BadBody, read_body
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import DIRECTIONS, STUDIES, TRIALS

# The largest id that Optuna's columns take.
_MAX_ID = 2**31 - 1
_NUMBER = re.compile(r"[0-9]{1,9}")

View = Callable[..., Any]


class Checked:
    """A plugin of bottle that makes these checks before each function.

    Args:
        store: the database.
    """

    name = "checked"
    api = 2

    def __init__(self, store: Store) -> None:
        self._store = store

    def apply(self, callback: View, route: Route) -> View:
        """Wrap one function: bottle calls this for each."""
        # optuna-dashboard's wrapper, which would hide every error, has nothing that ours has not
        view = getattr(callback, "__wrapped__", callback)
        is_api = route.rule.startswith("/api/")

        def checked(**found: Any) -> Any:
            self._check_exists(found)
            if request.method in ("POST", "PUT", "DELETE"):
                self._check_change(route, found)
            elif not _NUMBER.fullmatch(request.query.get("after", "0")):
                refuse(HTTPStatus.BAD_REQUEST, "after: a trial number is required")
            if is_api:
                response.content_type = "application/json"
            try:
                return view(**found)
            except (HTTPResponse, MemoryError):
                raise
            except UpdateFinishedTrialError as error:
                refuse(HTTPStatus.CONFLICT, str(error))
            except Exception as error:
                self._check_exists(found)  # it may have been deleted right now
                if _is_refused_value(error):
                    refuse(HTTPStatus.BAD_REQUEST, "the database does not take such a value")
                if "plot_type" in found and isinstance(error, ValueError):
                    refuse(HTTPStatus.BAD_REQUEST, f"it cannot be drawn: {error}")
                raise

        return checked

    def _check_exists(self, found: dict[str, Any]) -> None:
        """Refuse a study or trial that does not exist, or a trial of another study."""
        study_id, trial_id = found.get("study_id"), found.get("trial_id")
        with self._store.engine.connect() as connection:
            if study_id is not None:
                known = select(STUDIES.c.study_name).where(STUDIES.c.study_id == study_id)
                name = connection.scalar(known) if _fits(study_id) else None
                if name is None:
                    refuse(HTTPStatus.NOT_FOUND, f"study_id={study_id} is not found")
                self._forget_former(study_id, name)
            if trial_id is not None:
                of = select(TRIALS.c.study_id).where(TRIALS.c.trial_id == trial_id)
                owner = connection.scalar(of) if _fits(trial_id) else None
                if owner is None or study_id not in (None, owner):
                    refuse(HTTPStatus.NOT_FOUND, f"trial_id={trial_id} is not found")

    def _forget_former(self, study_id: int, name: str) -> None:
        """Correct the name that Optuna keeps of a renamed study: it finds nothing by it."""
        kept = getattr(self._store.storage, "_studies", {}).get(study_id)
        if kept is not None:
            kept.name = name

    def _check_change(self, route: Route, found: dict[str, Any]) -> None:
        try:
            body = read_body(request.body.read(), request.environ.get("CONTENT_TYPE", ""))
        except BadBody as error:
            refuse(HTTPStatus.BAD_REQUEST, str(error))
        request.environ["bottle.request.json"] = body  # what the function is given
        if route.rule.endswith("/tell"):
            self._check_values(found["trial_id"], body)
        elif route.rule.endswith("/preference"):
            self._check_preference(found["study_id"], body)

    def _check_values(self, trial_id: int, body: dict[str, Any]) -> None:
        """Require a value for each objective: Optuna stores any number, and fails later."""
        values = body.get("values")
        count = (
            select(sqlalchemy.func.count())
            .select_from(DIRECTIONS.join(TRIALS, DIRECTIONS.c.study_id == TRIALS.c.study_id))
            .where(TRIALS.c.trial_id == trial_id)
        )
        with self._store.engine.connect() as connection:
            objectives = connection.scalar(count)
        if values is not None and len(values) != objectives:
            refuse(HTTPStatus.BAD_REQUEST, f"values: {objectives} are required")

    def _check_preference(self, study_id: int, body: dict[str, Any]) -> None:
        """Require a study about preferences, and trials of it: others would be given values."""
        storage = self._store.storage
        if not storage.get_study_system_attrs(study_id).get(PREFERENTIAL):
            refuse(HTTPStatus.BAD_REQUEST, "the study is not preferential")
        last = storage.get_n_trials(study_id) - 1
        numbers = [*body.get("candidates", []), body.get("clicked", 0)]
        if not all(0 <= number <= last for number in numbers):
            refuse(HTTPStatus.BAD_REQUEST, f"candidates, clicked: trial numbers up to {last}")


def json_answer(status: HTTPStatus, value: Any = None) -> HTTPResponse:
    """Answer in JSON."""
    body = "" if value is None else json.dumps(value)
    return HTTPResponse(body, status=status.value, headers={"Content-Type": "application/json"})


def refuse(status: HTTPStatus, reason: str) -> NoReturn:
    """End a function with an answer that says why."""
    raise json_answer(status, {"reason": reason})


def plain_error(error: HTTPError) -> str:
    """Write bottle's own refusals as text: it would make pages of them."""
    response.content_type = "text/plain; charset=utf-8"
    if request.path.startswith("/api/"):
        response.content_type = "application/json"
        return json.dumps({"reason": str(error.body)})
    return f"{error.body}\n"


def _fits(number: int) -> bool:
    return 0 <= number <= _MAX_ID


def _is_refused_value(error: BaseException | None) -> bool:
    """Check whether a database refused a value, too long or out of its range."""
    while error is not None:
        if isinstance(error, sqlalchemy.exc.DataError):
            return True
        error = error.__cause__ or error.__context__
    return False
