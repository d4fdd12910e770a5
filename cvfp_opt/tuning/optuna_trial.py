"""Optuna's Trial for a trial that this worker has claimed."""

import copy
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.errors import DefinitionError, PointError
from cvfp_opt.store.database.optuna_private import set_storage, storage_of
from cvfp_opt.store.queue.trial_writer import TrialWriter
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.tuning.definition import StudyDefinition


class _PendingStorage:
    """A storage for one trial, which keeps what the trial writes until ``writer.flush``.

    Written as Optuna does it, each parameter, value and attribute would be a transaction of its
    own, and none of them would ask whether the trial is still ours.
    """

    def __init__(self, storage: BaseStorage, writer: TrialWriter) -> None:
        self._storage = storage
        self._claimed = writer.claimed
        self._pending = writer.pending

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Read a trial; one that was made a moment ago is empty, and known without reading."""
        claimed = self._claimed
        if trial_id != claimed.trial_id or claimed.made is None or self._pending:
            return self._storage.get_trial(trial_id)
        return FrozenTrial(
            number=claimed.number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=claimed.made,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={IDENTITY_KEY: claimed.identity.to_dict()},
            intermediate_values={},
            trial_id=trial_id,
        )

    def set_trial_param(
        self, trial_id: int, name: str, value: float, distribution: BaseDistribution
    ) -> None:
        self._pending.params[name] = (value, distribution)

    def set_trial_intermediate_value(self, trial_id: int, step: int, value: float) -> None:
        self._pending.intermediate[step] = value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._pending.user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._pending.system_attrs[key] = value


def open_trial(study: optuna.Study, writer: TrialWriter) -> optuna.Trial:
    """Open the Trial of a claimed trial; what is set on it is written by ``writer.flush``.

    Samplers too leave notes with a trial, and do so by way of its study: so it is given one of
    its own.
    """
    own = copy.copy(study)  # without the trials that samplers remember: they see the latest
    set_storage(own, _PendingStorage(storage_of(study), writer))
    return optuna.Trial(own, writer.claimed.trial_id)


def suggest(
    trial: optuna.Trial, writer: TrialWriter, definition: StudyDefinition
) -> dict[str, Any]:
    """Give a trial its parameters, and write them.

    Raises:
        PointError: whoever made it gave it others than the study's space has.
    """
    # a trial that this search made has a point that the definition gave it
    params = draw(trial, writer.claimed.fixed, definition, own=writer.claimed.made is not None)
    writer.flush()
    return params


def draw(
    trial: optuna.Trial, fixed: Mapping[str, Any], definition: StudyDefinition, *, own: bool
) -> dict[str, Any]:
    """Let Optuna draw a trial's parameters, and check them.

    Args:
        trial: about to run.
        fixed: parameters that whoever enqueued it gave it.
        definition: of the study.
        own: whether nobody else can have given it any: then what does not fit is raised as it is.

    Raises:
        PointError: whoever made it gave it others than the study's space has.
    """
    definition.check_point(fixed)
    try:
        params = definition.space.suggest(trial)
        definition.at(params)
    except PointError:
        raise
    except (DefinitionError, TypeError, ValueError) as error:
        if own:
            raise
        raise PointError(f"no point of the study's space: {error}") from None
    return params
