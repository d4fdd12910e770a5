"""Notes that somebody edits on the dashboard's pages: each is written whole or not at all.

Its own route takes a transaction for each piece of two thousand characters, and may leave some
behind.
"""

from http import HTTPStatus

from bottle import Bottle, HTTPResponse, request

from cvfp_opt.report.dashboard.views import json_answer, refuse
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.record.study_page import read_note, save_note


def add_note_routes(app: Bottle, store: Store) -> None:
    """Make an optuna-dashboard write notes whole.

    Args:
        app: the dashboard, which is changed.
        store: its database.
    """

    def take(study_id: int, trial_id: int | None = None) -> HTTPResponse:
        version, body = (request.json.get(key) for key in ("version", "body"))
        if version is None or body is None:
            refuse(HTTPStatus.BAD_REQUEST, "version and body of a note are required")
        if save_note(store, study_id, body, version, trial_id):
            return json_answer(HTTPStatus.NO_CONTENT)
        now, text = read_note(store, study_id, trial_id)
        return json_answer(
            HTTPStatus.CONFLICT,
            {
                "reason": "The text you are editing has changed. Please copy your edits and "
                "refresh the page.",
                "note": {"version": now, "body": text},
            },
        )

    app.put("/api/studies/<study_id:int>/note")(take)

    @app.put("/api/studies/<study_id:int>/<trial_id:int>/note")
    def take_of_trial(study_id: int, trial_id: int) -> HTTPResponse:
        return take(study_id, trial_id)
