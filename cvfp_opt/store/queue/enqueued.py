"""Enqueued trials, at points that somebody asked for."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy import Connection

from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.rows import PendingWrites, insert_trial, lock_study, write_pending
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.records import FIXED_PARAMS, enqueued_point


@dataclass(frozen=True, kw_only=True)
class Enqueued:
    """A point that is enqueued.

    Attributes:
        number: of the trial.
        params: that are fixed; the sampler chooses the others.
        new: False if a trial at the very same point was enqueued already, and none was added.
    """

    number: int
    params: dict[str, Any]
    new: bool


def enqueue_points(
    store: Store,
    study: optuna.Study,
    points: Sequence[dict[str, Any]],
    *,
    seed: int,
    retry_of: str = "",
) -> list[Enqueued]:
    """Enqueue points, each as a trial with an identity, all or nothing.

    Args:
        points: parameters by Optuna's names, checked against the study's space.
        seed: of the study.
        retry_of: uuid of the trial whose point this is.
    """
    done: list[Enqueued] = []
    with store.lock():
        known = {_key(point): number for number, point in enqueued_points(study).items()}
        with store.engine.begin() as connection:
            lock_study(connection, study_id_of(study))
            for point in points:
                number, new = known.get(_key(point)), False
                if number is None:
                    number, new = _insert(connection, study, point, seed, retry_of), True
                    known[_key(point)] = number
                done.append(Enqueued(number=number, params=point, new=new))
    return done


def enqueued_points(study: optuna.Study) -> dict[int, dict[str, Any]]:
    """Read the points of enqueued trials, by number, also of those that were given back."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return {t.number: enqueued_point(t) for t in trials}


def _insert(
    connection: Connection, study: optuna.Study, point: dict[str, Any], seed: int, retry_of: str
) -> int:
    trial_id, number = insert_trial(connection, study_id_of(study), TrialState.WAITING, None)
    identity = TrialIdentity.new(seed=seed, number=number, retry_of=retry_of)
    account = PendingWrites(system_attrs={FIXED_PARAMS: point, IDENTITY_KEY: identity.to_dict()})
    write_pending(connection, trial_id, account)
    return number


def _key(point: dict[str, Any]) -> str:
    return json.dumps(point, sort_keys=True)
