"""Private names of optuna-dashboard are of the shape that we rely on."""

import inspect
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna_dashboard import wsgi

from cvfp_opt.report.dashboard import dashboard_private


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (dashboard_private.get_study, "storage study_id"),
        (dashboard_private.get_study_artifact_meta, "storage study_id artifact_id"),
        (dashboard_private.get_trial_artifact_meta, "storage study_id trial_id artifact_id"),
        (dashboard_private.parse_data_uri, "data_uri"),
        (dashboard_private.serialize_frozen_study, "study"),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_signatures_are_those_that_we_rely_on(
    function: Callable[..., Any], parameters: str
) -> None:
    assert list(inspect.signature(function).parameters) == parameters.split()


def test_constants_are_those_that_are_stored() -> None:
    assert dashboard_private.ARTIFACTS_ATTR_PREFIX == "artifacts:"
    assert dashboard_private.PREFERENTIAL == "preference:is_preferential"


def test_a_dashboard_forgets_what_it_has_read() -> None:
    app = wsgi(optuna.storages.InMemoryStorage())
    dashboard_private.forget_cached_studies(app)
