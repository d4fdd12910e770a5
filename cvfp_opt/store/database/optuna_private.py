"""Private names of Optuna, under names of ours: no other module imports or touches any.

Optuna may rename them in any release, and where we override a method it would then silently call
its own. So a test compares every signature and counts the calls of every override.
"""

from collections.abc import Iterable
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.study._frozen import FrozenStudy
from optuna.study._multi_objective import _fast_non_domination_rank
from optuna.trial import BaseTrial, FrozenTrial
from sqlalchemy import Table

__all__ = ["CachedStorage", "FrozenStudy", "nondomination_rank"]

CachedStorage = _CachedStorage
nondomination_rank = _fast_non_domination_rank

CONSTRAINTS = _CONSTRAINTS_KEY
"""The key of a system attribute that holds a trial's constraints, or begins those of each."""

NOT_FOUND = models.NOT_FOUND_MSG
"""The argument of the KeyError that Optuna raises for a study or trial that does not exist."""

SCHEMA_VERSION = models.SCHEMA_VERSION
"""The version that the installed Optuna writes to the table ``version_info``."""

TABLES: dict[str, Table] = {table.name: table for table in models.BaseModel.metadata.sorted_tables}
"""Optuna's tables by name, parents before children."""


def study_id_of(study: optuna.Study | FrozenStudy) -> int:
    """Give the study's key in the database."""
    return study._study_id


def trial_id_of(trial: BaseTrial) -> int:
    """Give the trial's key in the database."""
    return cast(FrozenTrial, trial)._trial_id


def storage_of(study: optuna.Study) -> BaseStorage:
    """Give the storage that a study reads from and writes to."""
    return study._storage


def set_storage(study: optuna.Study, storage: Any) -> None:
    """Let a study read from and write to another storage."""
    study._storage = cast(BaseStorage, storage)


def latest(trial: optuna.Trial) -> FrozenTrial:
    """Give a running trial with all that was set on it."""
    return trial._get_latest_trial()


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Check whether a distribution has a value, which is given as a user would."""
    return distribution._contains(distribution.to_internal_repr(value))


def value_columns(value: float) -> dict[str, Any]:
    """Give the columns in which Optuna stores the value of an objective."""
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    return {"value": stored, "value_type": kind}


def intermediate_columns(value: float) -> dict[str, Any]:
    """Give the columns in which Optuna stores a reported value."""
    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    return {"intermediate_value": stored, "intermediate_value_type": kind}


def forget_studies(storage: BaseStorage, study_ids: Iterable[int]) -> None:
    """Drop studies from a storage's cache and leave the database as it is."""
    cache = cast(_CachedStorage, storage)
    shared = _CachedStorage.__new__(_CachedStorage)
    shared.__dict__.update(cache.__dict__)  # all that is cached
    shared._backend = _Nothing()
    for one in study_ids:
        shared.delete_study(one)


class _Nothing(RDBStorage):
    """A database in which there is nothing to delete."""

    def __init__(self) -> None:
        """Open none."""

    def delete_study(self, study_id: int) -> None:
        """Do nothing."""
