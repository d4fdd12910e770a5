"""Finding, creating and listing studies in an open database."""

import warnings
from dataclasses import dataclass

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from cvfp_opt.errors import StudyError, nearest
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.records import MIRROR_OF, StudyRecord, TrialRecord


def study_names(store: Store) -> list[str]:
    """Names of all studies but mirrors, in order of creation."""
    studies = store.storage.get_all_studies()
    return [s.study_name for s in studies if MIRROR_OF not in s.user_attrs]


def only_study_name(store: Store) -> str:
    """The name of the one study there is.

    Raises:
        StudyError: there is none, or more than one to choose from.
    """
    names = study_names(store)
    if not names:
        raise StudyError(f"{store.location.where}: there is no study yet; type `cvfp-opt run`")
    if len(names) > 1:
        raise StudyError(
            f"{store.location.where}: has {len(names)} studies; add --study-name with one of "
            + ", ".join(names)
        )
    return names[0]


def has_study(store: Store, name: str) -> bool:
    """Whether there is a study of that name."""
    return any(s.study_name == name for s in store.storage.get_all_studies())


def load_study(
    store: Store,
    name: str,
    *,
    sampler: BaseSampler | None = None,
    pruner: BasePruner | None = None,
) -> optuna.Study:
    """Open a study.

    Raises:
        StudyError: there is none of that name.
    """
    if not has_study(store, name):
        names = study_names(store)
        known = nearest(name, names) if names else "it has none yet: type `cvfp-opt run`"
        raise StudyError(f"{store.location.where}: there is no study {name!r}; {known}")
    return optuna.load_study(
        study_name=name, storage=store.storage, sampler=sampler, pruner=pruner
    )


def create_study(store: Store, name: str, record: StudyRecord) -> optuna.Study:
    """Create a study with its record. Call under the store's lock.

    It maximizes the score, or convergence rate and effective rank if its objective is of the kind
    "pareto".

    A study without record and trials is what a kill in the middle of creation leaves: it is
    completed.

    Raises:
        StudyError: another program's study has that name.
    """
    pareto = record.definition["objective"]["kind"] == "pareto"
    names = ["convergence rate", "effective rank"] if pareto else ["score"]
    directions = [optuna.study.StudyDirection.MAXIMIZE] * len(names)
    study = optuna.create_study(
        study_name=name, storage=store.storage, directions=directions, load_if_exists=True
    )
    if study.get_trials(deepcopy=False) or study.directions != directions:
        raise StudyError(
            f"study {name!r} in {store.location.where} was made by another program; "
            f"name another with --study-name"
        )
    name_metrics(study, names)
    record.write(study)
    return study


def name_metrics(study: optuna.Study, names: list[str]) -> None:
    """Optuna's ``set_metric_names``, which it still calls experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names(names)


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """One line of a listing.

    Attributes:
        name: of the study.
        num_trials: per state, in lower case.
        best_value: the best score; None if no trial is complete.
        made_here: whether this program made it.
    """

    name: str
    num_trials: dict[str, int]
    best_value: float | None
    made_here: bool


def summarize(store: Store) -> list[StudySummary]:
    """All studies but mirrors."""
    rows = []
    for name in study_names(store):
        study = optuna.load_study(study_name=name, storage=store.storage)
        trials = study.get_trials(deepcopy=False)
        counts: dict[str, int] = {}
        for trial in trials:
            counts[trial.state.name.lower()] = counts.get(trial.state.name.lower(), 0) + 1
        complete = [TrialRecord.of(t) for t in trials if t.state is TrialState.COMPLETE]
        values = [t.value for t in complete if t.value is not None]
        sign = 1 if study.directions[0] is optuna.study.StudyDirection.MAXIMIZE else -1
        best = max(values, key=lambda v: sign * v) if values else None
        rows.append(
            StudySummary(
                name=name,
                num_trials=counts,
                best_value=best,
                made_here=StudyRecord.of(study) is not None,
            )
        )
    return rows
