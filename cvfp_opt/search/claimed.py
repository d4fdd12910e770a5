"""Optuna's Trial for a trial that this worker holds."""

from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage

from cvfp_opt.store.holding import Hold


class _Reporting:
    """What the Trial takes for its storage: it reads there, and writes to what ``hold`` reports.

    Written as Optuna does it, each parameter, value and attribute would be a transaction of its
    own, and none of them would ask whether the trial is still ours.
    """

    def __init__(self, storage: BaseStorage, hold: Hold) -> None:
        self._storage = storage
        self._reported = hold.reported

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def set_trial_param(
        self, trial_id: int, name: str, value: float, distribution: BaseDistribution
    ) -> None:
        self._reported.params[name] = (value, distribution)

    def set_trial_intermediate_value(self, trial_id: int, step: int, value: float) -> None:
        self._reported.intermediate[step] = value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._reported.user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._reported.system_attrs[key] = value


def open_trial(study: optuna.Study, hold: Hold) -> optuna.Trial:
    """The Trial of what is held; what is set on it is written by ``hold.flush``."""
    study._thread_local.cached_all_trials = None  # as ``ask`` does: samplers see the latest
    trial = optuna.Trial(study, hold.held.trial_id)
    trial.storage = cast(BaseStorage, _Reporting(trial.storage, hold))
    return trial
