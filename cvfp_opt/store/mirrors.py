"""Mirror studies with two objectives, so that any Optuna tool draws the Pareto fronts.

The dashboard draws a front only for studies with two directions, and on those Optuna has no
pruning and no best trial. So the study maximizes the score, and what it finished is copied to
mirrors, which nobody samples from.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, select

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.records import CONFIRMS, MIRROR_OF, StudyRecord, TrialRecord
from cvfp_opt.store.rows import (
    STUDIES,
    TRIALS,
    USER_ATTRIBUTES,
    Reported,
    insert_trial,
    lock_study,
    next_number,
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
    """Copy to the mirrors what they lack; safe to repeat, and after any crash."""
    Mirrors(store, study).sync()


@dataclass
class _Copied:
    """What is known to be in a mirror: numbers of sources; and the last trial looked at."""

    study_id: int
    numbers: set[int] = field(default_factory=set)
    last_trial_id: int = -1


class Mirrors:
    """The mirrors of a study; what they were seen to have is not read again. For threads too."""

    def __init__(self, store: Store, study: optuna.Study) -> None:
        self._store = store
        self._study = study
        self._copied: dict[str, _Copied] = {}
        self._lock = threading.Lock()

    def sync(self) -> None:
        """Copy to the mirrors what they lack; safe to repeat, and after any crash.

        A confirmation has none: on a front, the runs of one point would be so many points.
        """
        if CONFIRMS in self._study.user_attrs:
            return
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        with self._lock:
            for mirror in MIRRORS:
                if mirror.suffix == "pareto" and len(self._study.directions) > 1:
                    continue  # it is one itself
                copied = self._open(mirror)
                with self._store.engine.connect() as connection:
                    _look(connection, copied)
                # what another program calls an audit is not ours to copy
                new = [t for t in complete if t.number not in copied.numbers]
                if lacking := [t for t in new if _is_audited(t)]:
                    self._copy(mirror, copied, lacking)

    def _copy(self, mirror: Mirror, copied: _Copied, trials: list[FrozenTrial]) -> None:
        record = StudyRecord.of(self._study)
        split = record.definition["objective"]["split"] if record else "train"
        with self._store.engine.begin() as connection:
            lock_study(connection, copied.study_id)
            _look(connection, copied)
            first = next_number(connection, copied.study_id)
            # another worker may have been quicker
            lacking = [trial for trial in trials if trial.number not in copied.numbers]
            for number, trial in enumerate(lacking, first):
                _add(connection, copied.study_id, number, _copy(trial, mirror, split))

    def _open(self, mirror: Mirror) -> _Copied:
        """What is known of a mirror, which is created if need be."""
        name = f"{self._study.study_name}/{mirror.suffix}"
        named = select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
        with self._store.engine.connect() as connection:
            study_id = connection.scalar(named)
        copied = self._copied.get(mirror.suffix)
        if copied is None or copied.study_id != study_id:
            copied = _Copied(_mirror_id(self._store, self._study, mirror))
            self._copied[mirror.suffix] = copied
        return copied


def _is_audited(trial: FrozenTrial) -> bool:
    audit = trial.user_attrs.get("audit")
    return bool(audit) and is_ours("audit", audit)


def _look(connection: Connection, copied: _Copied) -> None:
    """See what has come to a mirror."""
    rows = connection.execute(
        select(TRIALS.c.trial_id, USER_ATTRIBUTES.c.value_json)
        .join_from(TRIALS, USER_ATTRIBUTES, TRIALS.c.trial_id == USER_ATTRIBUTES.c.trial_id)
        .where(
            TRIALS.c.study_id == copied.study_id,
            TRIALS.c.trial_id > copied.last_trial_id,
            USER_ATTRIBUTES.c.key == SOURCE_TRIAL,
        )
    )
    for trial_id, number in rows:
        copied.numbers.add(int(number))
        copied.last_trial_id = max(copied.last_trial_id, trial_id)


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


def _add(connection: Connection, study_id: int, number: int, trial: FrozenTrial) -> None:
    times = trial.datetime_start, trial.datetime_complete
    trial_id, _ = insert_trial(connection, study_id, trial.state, *times, number=number)
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
