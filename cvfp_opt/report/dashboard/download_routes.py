"""Files that the dashboard gives out: artifacts, and a study's trials as a table.

Its own routes fail over names and types that somebody else chose, a spreadsheet takes cells of
their table for formulas, and after removing a file of a trial that has ended they fail to say so.
"""

import json
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from bottle import Bottle, HTTPResponse, request
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import FrozenTrial

from cvfp_opt.report.dashboard.dashboard_private import (
    ARTIFACTS_ATTR_PREFIX,
    get_study,
    get_study_artifact_meta,
    get_trial_artifact_meta,
)
from cvfp_opt.report.dashboard.security_headers import media_type
from cvfp_opt.report.dashboard.views import json_answer, refuse
from cvfp_opt.report.rows import to_csv
from cvfp_opt.store.database.optuna_private import trial_id_of
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.files.artifact_names import name_artifacts
from cvfp_opt.store.files.artifact_stores import ArtifactStore

_ARTIFACT = "<artifact_id:re:[0-9a-fA-F-]+>"
_NUMBERS = re.compile(r"\s*[0-9]{1,9}\s*(,\s*[0-9]{1,9}\s*)*", re.ASCII)
_MISSING = "there is no such artifact"
_METRICS = "study:metric_names"


def add_download_routes(app: Bottle, store: Store, artifacts: ArtifactStore) -> None:
    """Make an optuna-dashboard give files out with safe names, types and cells.

    Args:
        app: the dashboard, which is changed.
        store: its database.
        artifacts: of its studies.
    """

    def sent(found: dict[str, Any], artifact_id: str) -> HTTPResponse:
        kind = media_type(found.get("mimetype"))
        return HTTPResponse(artifacts.open_reader(artifact_id), headers={"Content-Type": kind})

    @app.get(f"/artifacts/<study_id:int>/{_ARTIFACT}")
    def of_study(study_id: int, artifact_id: str) -> HTTPResponse:
        return sent(
            _find_artifact(get_study_artifact_meta, store, study_id, artifact_id), artifact_id
        )

    @app.get(f"/artifacts/<study_id:int>/<trial_id:int>/{_ARTIFACT}")
    def of_trial(study_id: int, trial_id: int, artifact_id: str) -> HTTPResponse:
        found = _find_artifact(get_trial_artifact_meta, store, study_id, trial_id, artifact_id)
        return sent(found, artifact_id)

    @app.delete(f"/api/artifacts/<study_id:int>/<trial_id:int>/{_ARTIFACT}")
    def remove(study_id: int, trial_id: int, artifact_id: str) -> HTTPResponse:
        _find_artifact(get_trial_artifact_meta, store, study_id, trial_id, artifact_id)
        try:
            artifacts.remove(artifact_id)
        except ArtifactNotFound:
            refuse(HTTPStatus.NOT_FOUND, _MISSING)
        removed = {f"{ARTIFACTS_ATTR_PREFIX}{artifact_id}": json.dumps(None)}
        with store.engine.begin() as connection:
            name_artifacts(connection, trial_id, removed)
        for trial in store.storage.get_all_trials(study_id, deepcopy=False):
            if trial_id_of(trial) == trial_id:  # Optuna reads one that has ended only once
                trial.system_attrs.update(removed)
        return json_answer(HTTPStatus.NO_CONTENT)

    @app.get("/csv/<study_id:int>")
    def trials(study_id: int) -> HTTPResponse:
        return _trials_table(store, study_id, request.query.get("trial_ids", ""))


def _find_artifact(find: Callable[..., Any], store: Store, *ids: int | str) -> dict[str, Any]:
    """Look up an artifact in the database; answer 404 if there is none."""
    try:
        found = find(store.storage, *ids)
    except (TypeError, ValueError):  # another program's
        found = None
    if not isinstance(found, dict):
        refuse(HTTPStatus.NOT_FOUND, _MISSING)
    return found


def _trials_table(store: Store, study_id: int, asked: str) -> HTTPResponse:
    """Answer with a study's trials as CSV; of all, or of the numbers asked for."""
    if asked and not _NUMBERS.fullmatch(asked):
        refuse(HTTPStatus.BAD_REQUEST, "trial_ids: trial numbers with commas are required")
    numbers = {int(number) for number in asked.split(",")} if asked else None
    study = get_study(store.storage, study_id)
    if study is None:
        refuse(HTTPStatus.NOT_FOUND, f"study_id={study_id} is not found")
    chosen = [
        trial
        for trial in store.storage.get_all_trials(study_id, deepcopy=False)
        if numbers is None or trial.number in numbers
    ]
    if numbers and not chosen:
        refuse(HTTPStatus.NOT_FOUND, "trial_ids: the study has none of them")
    attributes = store.storage.get_study_system_attrs(study_id)
    names = _names(attributes.get(_METRICS), len(study.directions))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", study.study_name).strip("-.")[:100] or "study"
    return HTTPResponse(
        to_csv(*_columns_and_rows(chosen, names)),
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}.csv"',
        },
    )


def _names(metrics: Any, count: int) -> list[str]:
    """Name the values of a trial, as the study does where its names are fit for it."""
    if isinstance(metrics, list) and len(metrics) == count:
        return [str(name) for name in metrics]
    return ["Value"] if count == 1 else [f"Objective {place}" for place in range(count)]


def _columns_and_rows(
    trials: list[FrozenTrial], names: list[str]
) -> tuple[list[str], Iterator[list[object]]]:
    params = sorted({name for trial in trials for name in trial.params})
    attributes = sorted({name for trial in trials for name in trial.user_attrs})
    columns = [
        *("Number", "State", *names),
        *(f"Param {name}" for name in params),
        *(f"UserAttribute {name}" for name in attributes),
    ]
    rows = (
        [
            *(trial.number, trial.state.name),
            *(trial.values or [None] * len(names)),
            *(trial.params.get(name) for name in params),
            *(trial.user_attrs.get(name) for name in attributes),
        ]
        for trial in trials
    )
    return columns, rows
