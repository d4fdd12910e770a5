"""Deleting and renaming studies in the dashboard, with what belongs to them.

Its own routes know nothing of mirrors, confirmations, leases and running workers; and they rename
by a copy, in which figures and checkpoints are missing.
"""

from collections.abc import Callable
from http import HTTPStatus

from bottle import Bottle, HTTPResponse, request

from cvfp_opt.errors import StudyError
from cvfp_opt.report.dashboard.dashboard_private import (
    forget_cached_studies,
    get_study,
    serialize_frozen_study,
)
from cvfp_opt.report.dashboard.views import json_answer, refuse
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.record.links import Source, linked_studies
from cvfp_opt.store.record.studies import load_study
from cvfp_opt.store.transfer.editing import delete_study, rename_study


def add_study_routes(
    app: Bottle, store: Store, artifacts: ArtifactStore, notify: Callable[[str], None]
) -> None:
    """Make an optuna-dashboard delete and rename studies as ``study delete`` and ``rename`` do.

    Args:
        app: the dashboard, which is changed.
        store: its database.
        artifacts: of its studies.
        notify: called with the reason of a refusal: the pages say only that there was one.
    """

    def refused(error: StudyError) -> HTTPResponse:
        notify(str(error))
        return json_answer(HTTPStatus.CONFLICT, {"reason": str(error)})

    @app.delete("/api/studies/<study_id:int>")
    def delete(study_id: int) -> HTTPResponse:
        name = _name(store, study_id)
        removing = request.json.get("remove_associated_artifacts", True)
        linked = linked_studies(store, Source.of_study(load_study(store, name)))
        ids = [study_id, *(study_id_of(one) for one in linked)]
        try:
            delete_study(store, name, artifacts if removing else None)
        except StudyError as error:
            return refused(error)
        store.forget(ids)
        forget_cached_studies(app)
        return json_answer(HTTPStatus.NO_CONTENT)

    @app.post("/api/studies/<study_id:int>/rename")
    def rename(study_id: int) -> HTTPResponse:
        name = _name(store, study_id)
        new = request.json.get("study_name")
        if new is None:
            refuse(HTTPStatus.BAD_REQUEST, "study_name: a text is required")
        try:
            rename_study(store, name, new)
        except StudyError as error:
            return refused(error)
        found = get_study(store.storage, study_id)
        assert found is not None
        return json_answer(HTTPStatus.CREATED, serialize_frozen_study(found))


def _name(store: Store, study_id: int) -> str:
    """Look up a study's name of now, not the one that Optuna's cache has; answer 404 for none."""
    found = get_study(store.storage, study_id)
    if found is None:
        refuse(HTTPStatus.NOT_FOUND, f"study_id={study_id} is not found")
    return str(found.study_name)
