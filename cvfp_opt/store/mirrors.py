"""Mirror studies with two objectives, so that any Optuna tool draws the Pareto fronts.

The dashboard draws a front only for studies with two directions, and on those Optuna has no
pruning and no best trial. So the study maximizes the score, and what it finished is copied to
mirrors, which nobody samples from.
"""

from collections.abc import Callable
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.records import MIRROR_OF, StudyRecord, TrialRecord
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
    record = StudyRecord.of(study)
    split = record.definition["objective"]["split"] if record else "train"
    complete = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if "audit" in trial.user_attrs  # another program's trial has none
    ]
    with store.lock():
        for mirror in MIRRORS:
            if mirror.suffix == "pareto" and len(study.directions) > 1:
                continue  # it is one itself
            target = optuna.create_study(
                study_name=f"{study.study_name}/{mirror.suffix}",
                storage=store.storage,
                directions=["maximize", "maximize"],
                load_if_exists=True,
            )
            if target.user_attrs.get(MIRROR_OF) != study.study_name:
                name_metrics(target, list(mirror.metric_names))
                target.set_user_attr(MIRROR_OF, study.study_name)
            there = {t.user_attrs.get(SOURCE_TRIAL) for t in target.get_trials(deepcopy=False)}
            for trial in complete:
                if trial.number not in there:
                    target.add_trial(_copy(trial, mirror, split))


def _copy(trial: FrozenTrial, mirror: Mirror, split: str) -> FrozenTrial:
    record = TrialRecord.of(trial)
    return create_trial(
        values=list(mirror.values(record, split)),
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={SOURCE_TRIAL: trial.number, "score": record.value, "status": record.status},
    )
