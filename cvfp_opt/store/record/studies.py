"""Studies in an open database: found, created, listed."""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from cvfp_opt.errors import StudyError, StudyMissing, nearest
from cvfp_opt.escaping import choices, positional, quoted
from cvfp_opt.store.database.frozen_trials import (
    read_attributes,
    read_directions,
    read_studies,
    read_trials,
)
from cvfp_opt.store.database.optuna_private import FrozenStudy, study_id_of
from cvfp_opt.store.database.reading import one_moment
from cvfp_opt.store.database.rows import as_texts, lock_study
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.study_rows import (
    MAX_NAME,
    METRIC_NAMES,
    find_row,
    insert_study,
    is_empty,
    is_text,
    put_attributes,
)
from cvfp_opt.store.database.tables import STUDY_SYSTEM_ATTRIBUTES, STUDY_USER_ATTRIBUTES, VERSIONS
from cvfp_opt.store.database.trial_outcomes import Complete, Outcomes, read_outcomes
from cvfp_opt.store.record.attribute_shapes import is_ours
from cvfp_opt.store.record.queue_entry import NOT_SAID, QueueEntry, QueueJson
from cvfp_opt.store.record.records import (
    CONFIRMS,
    MIRROR_OF,
    STUDY,
    StudyRecord,
    Unread,
    best_of,
)

# Longer names are those of mirrors and confirmations, ``NAME/pareto-audited`` for one.
MAX_STUDY_NAME = MAX_NAME - 16
_NUMBERS = {2: "two", 3: "three"}


def study_names(store: Store) -> list[str]:
    """List all studies but mirrors and confirmations, in order of creation."""
    studies = store.storage.get_all_studies()
    return [study.study_name for study in studies if is_searched(study.user_attrs)]


def is_searched(user_attrs: Mapping[str, Any]) -> bool:
    """Check by its user attributes that a study is neither a mirror nor a confirmation."""
    return not {MIRROR_OF, CONFIRMS} & user_attrs.keys()


def only_study_name(store: Store) -> str:
    """Get the name of the only study.

    Raises:
        StudyError: there is none, or more than one to choose from.
    """
    names = study_names(store)
    if not names:
        raise StudyMissing(f"{store.location.where}: there is no study yet; type `cvfp-opt run`")
    if len(names) > 1:
        raise StudyError(
            f"{store.location.where}: has {len(names)} studies; add --study-name with one of "
            + choices(names)
        )
    return names[0]


def has_study(store: Store, name: str) -> bool:
    """Check if there is a study of exactly that name; every look-up by name comes here.

    Raises:
        StudyMissing: there is not, but the server takes another study's name for it.
    """
    with store.engine.connect() as connection:
        row = find_row(connection, name)
    if row is not None and row.study_name != name:
        raise StudyMissing(
            f"{store.location.where}: there is no study {name!r}, but {row.study_name!r}, which "
            "this server takes for the same name (some tell neither case nor accents nor spaces "
            f"at the end); name {row.study_name!r}, or another one"
        )
    return row is not None


def load_study(
    store: Store,
    name: str,
    *,
    sampler: BaseSampler | None = None,
    pruner: BasePruner | None = None,
) -> optuna.Study:
    """Open a study.

    Raises:
        StudyMissing: there is none of that name.
    """
    if not has_study(store, name):
        names = study_names(store)
        known = nearest(name, names) if names else "it has none yet: type `cvfp-opt run`"
        raise StudyMissing(f"{store.location.where}: there is no study {name!r}; {known}")
    return optuna.load_study(
        study_name=name, storage=store.storage, sampler=sampler, pruner=pruner
    )


def objectives(objective: Mapping[str, Any]) -> list[str]:
    """Name the objectives of a study, which it maximizes, by that section of its definition."""
    if objective["kind"] != "pareto":
        return ["score"]
    third = ["minus log perplexity"] if objective.get("downstream") else []
    return ["convergence rate", "effective rank", *third]


def objectives_words(count: int) -> str:
    """Write a number of objectives: ``two objectives``."""
    if count == 1:
        return "one objective"
    return f"{_NUMBERS.get(count, count)} objectives"


def create_study(
    store: Store, name: str, record: StudyRecord, links: Mapping[str, Any] | None = None
) -> optuna.Study:
    """Create a study with its record, in one transaction. Call under the store's lock.

    It maximizes the score, or what ``objectives`` names if its objective is of the kind "pareto".

    A study without record and trials is what a kill in the middle of creation left, before that
    was one transaction: it is completed.

    Args:
        links: further user attributes, which link it to another study.

    Raises:
        StudyError: there is a study of that name, or one that the server takes for it; or no
            study can be called so.
    """
    names = objectives(record.definition["objective"])
    directions = [StudyDirection.MAXIMIZE] * len(names)
    user_attrs = {STUDY: asdict(record), **(links or {})}
    if not has_study(store, name):
        check_new_name(name)
        found_study(store, name, directions, user_attrs, names)
        return load_study(store, name)
    study = load_study(store, name)
    if StudyRecord.look(study.user_attrs)[0] is not None:
        raise StudyError(f"{store.location.where}: there is a study {name!r} already")
    refuse_foreign(study, store)
    with store.engine.begin() as connection:
        lock_study(connection, study_id_of(study))
        if study.directions != directions or not is_empty(connection, study_id_of(study)):
            raise StudyError(_made_elsewhere(study, store))
        put_attributes(connection, STUDY_USER_ATTRIBUTES, study_id_of(study), user_attrs)
        metrics = {METRIC_NAMES: names}
        put_attributes(connection, STUDY_SYSTEM_ATTRIBUTES, study_id_of(study), metrics)
    return study


def found_study(
    store: Store,
    name: str,
    directions: Sequence[StudyDirection],
    user_attrs: Mapping[str, Any],
    metric_names: Sequence[str],
) -> int:
    """Write a new study with all its attributes, in one transaction, and return its id.

    Raises:
        StudyError: another program made one of that name at this moment.
    """
    system_attrs = as_texts({METRIC_NAMES: list(metric_names)})
    try:
        with store.engine.begin() as connection:
            return insert_study(connection, name, directions, as_texts(user_attrs), system_attrs)
    except IntegrityError:  # another program has no use for our lock
        raise StudyError(
            f"{store.location.where}: another program has just made a study {name!r}; nothing was "
            "written; type the command again, with another --study-name"
        ) from None


@dataclass(frozen=True, kw_only=True)
class StudyRows:
    """A study as it is at one moment, whoever made it."""

    name: str
    directions: Sequence[StudyDirection]
    user_attrs: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    trials: Sequence[FrozenTrial]


def read_study(store: Store, name: str) -> StudyRows:
    """Read a study as it is now.

    Raises:
        StudyError: there is none of that name.
    """
    study = load_study(store, name)
    with one_moment(store.engine) as connection:
        return _read_rows(connection, name, study_id_of(study))


def _read_rows(connection: Connection, name: str, study_id: int) -> StudyRows:
    return StudyRows(
        name=name,
        directions=read_directions(connection, study_id),
        user_attrs=read_attributes(connection, study_id, system=False),
        system_attrs=read_attributes(connection, study_id, system=True),
        trials=read_trials(connection, study_id),
    )


def adopt_study(
    store: Store, name: str, record: StudyRecord, check: Callable[[StudyRows], None]
) -> None:
    """Give a study that another program made its record, in one transaction.

    Args:
        check: raises if the study, as it is within the transaction, may not be adopted.

    Raises:
        StudyError: there is none of that name.
    """
    with store.lock():
        study_id = study_id_of(load_study(store, name))
        with store.engine.begin() as connection:
            lock_study(connection, study_id)
            rows = _read_rows(connection, name, study_id)
            check(rows)
            put_attributes(connection, STUDY_USER_ATTRIBUTES, study_id, {STUDY: asdict(record)})
            if METRIC_NAMES not in rows.system_attrs:
                names = objectives(record.definition["objective"])
                metrics = {METRIC_NAMES: names}
                put_attributes(connection, STUDY_SYSTEM_ATTRIBUTES, study_id, metrics)


def check_new_name(name: str) -> None:
    """Refuse what no database can keep as the name of a study and of what belongs to it.

    Raises:
        StudyError: says what is required.
    """
    if not name.strip():
        raise StudyError("a name is required, got nothing")
    if len(name) > MAX_STUDY_NAME:
        raise StudyError(
            f"a name of at most {MAX_STUDY_NAME} characters is required for a study, got "
            f"{len(name)}: {reprlib.repr(name)}"
        )
    if not is_text(name):
        raise StudyError(f"a name of Unicode characters is required for a study, got {name!r}")


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
    made, more = "was made by another program", ""
    if unread is Unread.MIRROR:
        made = "is a mirror of another"
    else:
        words = f"{store.location.option} {positional(study.study_name)}"
        more = f", or see whether this one can be adopted: `cvfp-opt study adopt{words}`"
    return (
        f"study {study.study_name!r} in {store.location.where} {made}: to search here, name "
        f"another study with --study-name{more}"
    )


def optuna_version(store: Store) -> str:
    """Read the version of Optuna that created the database."""
    with store.engine.connect() as connection:
        return str(connection.scalar(select(VERSIONS.c.library_version)) or "")


class ListedStudyJson(TypedDict):
    """One study of a database.

    Attributes:
        name: of the study.
        num_trials: number of its trials in each state that one of them has.
        best_value: the best score, or another program's best value; null if no trial is complete.
        made_here: whether this program made it.
        note: whose it is, where it has no record that can be read.
        queue: what is wanted of it.
    """

    name: str
    num_trials: dict[str, int]
    best_value: float | None
    made_here: bool
    note: str
    queue: QueueJson


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """One line of a listing.

    Attributes:
        name: of the study.
        num_trials: per state, in lower case.
        best_value: the best score, or another program's best value; None if no trial is complete.
        made_here: whether this program made it.
        note: whose it is, where it has no record that can be read.
        queue: what is wanted of it.
    """

    name: str
    num_trials: dict[str, int]
    best_value: float | None
    made_here: bool
    note: str = ""
    queue: QueueEntry = NOT_SAID

    def to_dict(self) -> ListedStudyJson:
        """Convert it to plain JSON values."""
        return {
            "name": self.name,
            "num_trials": self.num_trials,
            "best_value": self.best_value,
            "made_here": self.made_here,
            "note": self.note,
            "queue": self.queue.in_words(),
        }


def summarize(store: Store) -> list[StudySummary]:
    """Summarize all studies but mirrors and confirmations, by few statements for any number."""
    with one_moment(store.engine) as connection:
        studies, outcomes = read_studies(connection), read_outcomes(connection, "scored")
    return [
        _summary(study, outcomes[study_id_of(study)])
        for study in studies
        if is_searched(study.user_attrs)
    ]


def _summary(study: FrozenStudy, outcomes: Outcomes) -> StudySummary:
    record, unread = StudyRecord.look(study.user_attrs)
    directions = study.directions
    maximized = directions[0] is StudyDirection.MAXIMIZE or len(directions) > 1
    complete = outcomes.complete.values()
    feasible = [trial for trial in complete if trial.feasible]
    values = [_value(trial, record) for trial in feasible or complete]
    return StudySummary(
        name=study.study_name,
        num_trials=dict(outcomes.num_trials),
        best_value=best_of(values, maximized=maximized),
        made_here=record is not None,
        note=unread.owner if unread else "",
        queue=QueueEntry.of(study.user_attrs),
    )


def _value(trial: Complete, record: StudyRecord | None) -> float | None:
    """Get a trial's single value, or its score if it has several; see ``TrialRecord``."""
    if len(trial.values) == 1:
        return trial.values[0]
    if record is None or not is_ours("scored", trial.attribute):
        return None
    score: float | None = trial.attribute.get("score")
    return score
