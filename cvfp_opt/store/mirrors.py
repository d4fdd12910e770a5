"""Mirror studies with two objectives, so that any Optuna tool draws the Pareto fronts.

The dashboard draws a front only for studies with two directions, and on those Optuna has no
pruning and no best trial. So the study maximizes the score, and what it finished is copied to
mirrors, which nobody samples from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, Select, select

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.records import CONFIRMS, MIRROR_OF, StudyRecord, TrialRecord
from cvfp_opt.store.rows import (
    TRIALS,
    USER_ATTRIBUTES,
    Reported,
    insert_trial,
    lock_study,
    write_reported,
    write_values,
)
from cvfp_opt.store.shapes import is_ours
from cvfp_opt.store.studies import name_metrics

SOURCE_TRIAL = "source_trial"


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A mirror: ``NAME/suffix``, its metric names, and their values for a trial."""

    suffix: str
    metric_names: tuple[str, str]
    values: Callable[[TrialRecord, str], tuple[float, float]]


def _scored(record: TrialRecord, split: str) -> tuple[float, float]:
    if record.scored:
        return record.scored["convergence_rate"], record.scored["effective_rank"]
    prefix = "validation_" if split == "validation" else ""
    return (
        record.metrics[f"{prefix}convergence_rate"],
        record.metrics[f"{prefix}effective_rank"],
    )


def _audited(record: TrialRecord, split: str) -> tuple[float, float]:
    held_out = record.audit["frozen_held_out"]
    return held_out["convergence"], held_out["effective_rank"]


MIRRORS = (
    Mirror(
        suffix="pareto",
        metric_names=("convergence rate", "effective rank"),
        values=_scored,
    ),
    Mirror(
        suffix="pareto-audited",
        metric_names=("frozen convergence, held-out text", "effective rank, held-out text"),
        values=_audited,
    ),
)


def sync_mirrors(store: Store, study: optuna.Study) -> None:
    """Copy to the mirrors what they lack; safe to repeat, and after any crash.

    A confirmation has none: on a front, the runs of one point would be so many points.
    """
    if CONFIRMS in study.user_attrs:
        return
    record = StudyRecord.of(study)
    split = record.definition["objective"]["split"] if record else "train"
    complete = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if trial.user_attrs.get("audit")  # another program's trial has none
    ]
    for mirror in MIRRORS:
        if mirror.suffix == "pareto" and len(study.directions) > 1:
            continue  # it is one itself
        study_id = _mirror_id(store, study, mirror)
        if _sources(store, study_id) >= {trial.number for trial in complete}:
            continue
        with store.engine.begin() as connection:
            lock_study(connection, study_id)
            there = set(connection.scalars(_sources_query(study_id)))
            for trial in complete:
                # another program's word may mean something else
                ours = is_ours("audit", trial.user_attrs["audit"])
                if ours and str(trial.number) not in there:
                    _add(connection, study_id, _copy(trial, mirror, split))


def _mirror_id(store: Store, study: optuna.Study, mirror: Mirror) -> int:
    """The id of a mirror, which is created if need be."""
    name = f"{study.study_name}/{mirror.suffix}"
    found = {s.study_name: s for s in store.storage.get_all_studies()}.get(name)
    if found is None or found.user_attrs.get(MIRROR_OF) != study.study_name:
        with store.lock():
            target = optuna.create_study(
                study_name=name,
                storage=store.storage,
                directions=["maximize", "maximize"],
                load_if_exists=True,
            )
            name_metrics(target, list(mirror.metric_names))
            target.set_user_attr(MIRROR_OF, study.study_name)
        return target._study_id
    return found._study_id


def _sources_query(study_id: int) -> Select[Any]:
    """The numbers, as JSON, of the trials that a mirror has copies of."""
    return (
        select(USER_ATTRIBUTES.c.value_json)
        .join_from(TRIALS, USER_ATTRIBUTES, TRIALS.c.trial_id == USER_ATTRIBUTES.c.trial_id)
        .where(TRIALS.c.study_id == study_id, USER_ATTRIBUTES.c.key == SOURCE_TRIAL)
    )


def _sources(store: Store, study_id: int) -> set[int]:
    with store.engine.connect() as connection:
        return {int(str(text)) for text in connection.scalars(_sources_query(study_id))}


def _add(connection: Connection, study_id: int, trial: FrozenTrial) -> None:
    times = trial.datetime_start, trial.datetime_complete
    trial_id, _ = insert_trial(connection, study_id, trial.state, *times)
    params = {
        name: (trial.distributions[name].to_internal_repr(value), trial.distributions[name])
        for name, value in trial.params.items()
    }
    write_reported(connection, trial_id, Reported(params=params, user_attrs=trial.user_attrs))
    write_values(connection, trial_id, trial.values)


def _copy(trial: FrozenTrial, mirror: Mirror, split: str) -> FrozenTrial:
    record = TrialRecord.of(trial)
    return create_trial(
        values=list(mirror.values(record, split)),
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={SOURCE_TRIAL: trial.number, "score": record.value, "status": record.status},
    )
