"""Finding, creating and listing studies in an open database."""

import warnings
from collections import Counter
from dataclasses import dataclass

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages._rdb import models
from sqlalchemy import select

from cvfp_opt.elsewhere import printable, quoted
from cvfp_opt.errors import StudyError, nearest
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.records import CONFIRMS, MIRROR_OF, StudyRecord, Unread, trial_records


def study_names(store: Store) -> list[str]:
    """Names of all studies but mirrors and confirmations, in order of creation."""
    studies = store.storage.get_all_studies()
    return [s.study_name for s in studies if not {MIRROR_OF, CONFIRMS} & s.user_attrs.keys()]


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
            + printable(", ".join(names))
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
    refuse_foreign(study, store)
    if study.directions != directions:
        raise StudyError(_made_elsewhere(study, store))
    name_metrics(study, names)
    record.write(study)
    return study


def refuse_foreign(study: optuna.Study, store: Store) -> None:
    """Refuse to run a study that another program filled; an empty one may be ours, cut off.

    Raises:
        StudyError: it has no record, but trials or attributes; or it is a confirmation.
    """
    if CONFIRMS in study.user_attrs:
        source = study.user_attrs[CONFIRMS]
        raise StudyError(
            f"study {study.study_name!r} is the confirmation of study {source!r}, which nobody "
            f"searches: type "
            f"`cvfp-opt confirm --study-name {quoted(source)}{store.location.option}`"
        )
    _, unread = StudyRecord.look(study.user_attrs)
    filled = bool(study.user_attrs or study.get_trials(deepcopy=False))
    if unread is Unread.MIRROR or (unread is Unread.FOREIGN and filled):
        raise StudyError(_made_elsewhere(study, store))


def _made_elsewhere(study: optuna.Study, store: Store) -> str:
    _, unread = StudyRecord.look(study.user_attrs)
    made = "is a mirror of another" if unread is Unread.MIRROR else "was made by another program"
    return (
        f"study {study.study_name!r} in {store.location.where} {made}: to search here, name "
        "another study with --study-name"
    )


def optuna_version(store: Store) -> str:
    """The version of Optuna that created the database."""
    versions = models.VersionInfoModel.__table__
    with store.engine.connect() as connection:
        return str(connection.scalar(select(versions.c.library_version)) or "")


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
        best_value: the best score, or another program's best value; None if no trial is complete.
        made_here: whether this program made it.
        note: whose it is, where it has no record that can be read.
    """

    name: str
    num_trials: dict[str, int]
    best_value: float | None
    made_here: bool
    note: str = ""


def summarize(store: Store) -> list[StudySummary]:
    """All studies but mirrors and confirmations."""
    rows = []
    for name in study_names(store):
        study = optuna.load_study(study_name=name, storage=store.storage)
        record, unread = StudyRecord.look(study.user_attrs)
        trials = trial_records(study)
        values = [t.value for t in trials if t.state == "complete" and t.value is not None]
        maximized = study.directions[0] is optuna.study.StudyDirection.MAXIMIZE
        best = max if len(study.directions) > 1 or maximized else min
        rows.append(
            StudySummary(
                name=name,
                num_trials=dict(Counter(trial.state for trial in trials)),
                best_value=best(values, default=None),
                made_here=record is not None,
                note=unread.owner if unread else "",
            )
        )
    return rows
