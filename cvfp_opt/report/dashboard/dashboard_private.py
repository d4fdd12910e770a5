"""Private names of optuna-dashboard, under names of ours: no other module imports or touches any.

A test compares their signatures with those that we rely on.
"""

from bottle import Bottle
from optuna_dashboard._bottle_util import parse_data_uri
from optuna_dashboard._serializer import serialize_frozen_study
from optuna_dashboard._storage import get_study
from optuna_dashboard.artifact._backend import (
    ARTIFACTS_ATTR_PREFIX,
    get_study_artifact_meta,
    get_trial_artifact_meta,
)
from optuna_dashboard.preferential._study import _SYSTEM_ATTR_PREFERENTIAL_STUDY

__all__ = [
    "ARTIFACTS_ATTR_PREFIX",
    "PREFERENTIAL",
    "forget_cached_studies",
    "get_study",
    "get_study_artifact_meta",
    "get_trial_artifact_meta",
    "parse_data_uri",
    "serialize_frozen_study",
]

# Study system attribute: whether it is optimized by what people prefer.
PREFERENTIAL = _SYSTEM_ATTR_PREFERENTIAL_STUDY


def forget_cached_studies(app: Bottle) -> None:
    """Empty what a dashboard keeps of the trials that it has read."""
    app._inmemory_cache.clear()
