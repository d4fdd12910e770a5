"""Mirrors: studies with two objectives, of which any Optuna tool draws the Pareto front.

The dashboard draws a front only for studies with two directions, and on those Optuna has no
pruning and no best trial. So the study maximizes the score, and what it finished is copied to
mirrors, which nobody samples from.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, func, select

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.number_checks import is_whole
from cvfp_opt.store.database.reading import direction_names, study_attributes
from cvfp_opt.store.database.rows import (
    PendingWrites,
    insert_trial,
    lock_study,
    next_number,
    write_pending,
    write_values,
)
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.study_rows import (
    MAX_NAME,
    METRIC_NAMES,
    find_row,
    is_empty,
    put_attributes,
)
from cvfp_opt.store.database.tables import (
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
)
from cvfp_opt.store.record.attribute_shapes import is_ours
from cvfp_opt.store.record.links import Source
from cvfp_opt.store.record.records import CONFIRMS, MIRROR_OF, MIRRORED, StudyRecord, TrialRecord
from cvfp_opt.store.record.studies import found_study

SOURCE_TRIAL = "source_trial"

_DIRECTIONS = [StudyDirection.MAXIMIZE] * 2


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A mirror: ``NAME/suffix``, its metric names, and their values for a trial."""

    suffix: str
    metric_names: tuple[str, str]
    values: Callable[[TrialRecord, str], tuple[float, float]]


def _scored(record: TrialRecord, split: str) -> tuple[float, float]:
    if record.scored:
        return record.scored["convergence_rate"], record.scored["effective_rank"]
    metrics = record.metrics
    if split == "validation":
        return metrics["validation_convergence_rate"], metrics["validation_effective_rank"]
    return metrics["convergence_rate"], metrics["effective_rank"]


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
    """Copy to the mirrors the trials that they lack; safe to repeat, and after any crash."""
    Mirrors(store, study).sync()


@dataclass
class _Copied:
    """The known content of a mirror: numbers of copied trials, and the last trial looked at."""

    study_id: int
    numbers: set[int] = field(default_factory=set)
    last_trial_id: int = -1


class Mirrors:
    """The mirrors of a study; a copy is read once. Safe to use from threads."""

    def __init__(self, store: Store, study: optuna.Study) -> None:
        self._store = store
        self._study = study
        self._copied: dict[str, _Copied] = {}
        self._lock = threading.Lock()

    def sync(self) -> None:
        """Copy to the mirrors the trials that they lack; safe to repeat, and after any crash.

        A confirmation has none: on a front, the runs of one point would be so many points.
        """
        if CONFIRMS in self._study.user_attrs:
            return
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        with self._lock:
            for mirror in mirrors_of(len(self._study.directions)):
                copied = self._open(mirror)
                if copied is None:
                    continue  # its name is somebody else's: ``left_out`` says so
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

    def _open(self, mirror: Mirror) -> _Copied | None:
        """Open a mirror, which is created if need be; None if it cannot be made."""
        copied = self._copied.get(mirror.suffix)
        if copied is not None and self._is_there(mirror, copied.study_id):
            return copied
        with self._store.lock():
            study_id = _enter(self._store, self._source, mirror)
        if study_id is None:
            return None
        self._copied[mirror.suffix] = _Copied(study_id)
        return self._copied[mirror.suffix]

    def _is_there(self, mirror: Mirror, study_id: int) -> bool:
        """Check whether a mirror that was opened before is still the study of that number."""
        name = f"{self._source.name}/{mirror.suffix}"
        with self._store.engine.connect() as connection:
            row = find_row(connection, name)
            attrs = study_attributes(connection, STUDY_USER_ATTRIBUTES, study_id)
        same = row is not None and (row.study_id, row.study_name) == (study_id, name)
        return same and self._source.has_mirror(name, attrs)

    @cached_property
    def _source(self) -> Source:
        return Source.of_study(self._study)


def left_out(store: Store, study: optuna.Study) -> list[str]:
    """Write a line for each mirror that a study cannot have: another study has its name."""
    if CONFIRMS in study.user_attrs:
        return []
    source, lines = Source.of_study(study), []
    with store.engine.connect() as connection:
        for mirror in mirrors_of(len(study.directions)):
            found = _find(connection, source, mirror)
            if isinstance(found, _Taken):
                lines.append(
                    f"study {source.name!r} has no Pareto front {source.name}/{mirror.suffix}: "
                    f"{found.reason}"
                )
    return lines


def mirrors_of(num_directions: int) -> Sequence[Mirror]:
    """List the mirrors of a study; one with those two objectives is its own first mirror.

    The dashboard draws the front of three no better than that of one: such a study has both.
    """
    return [one for one in MIRRORS if one.suffix != "pareto" or num_directions != 2]


def count_own(connection: Connection, study_id: int) -> int:
    """Count the trials of a mirror that are no copies: somebody added them."""
    copies = select(USER_ATTRIBUTES.c.trial_id).where(
        USER_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id, USER_ATTRIBUTES.c.key == SOURCE_TRIAL
    )
    own = select(func.count()).where(TRIALS.c.study_id == study_id, ~copies.exists())
    return int(connection.scalar(own) or 0)


@dataclass(frozen=True)
class _Taken:
    """The reason why a mirror cannot be made."""

    reason: str


@dataclass(frozen=True)
class _CutOff:
    """A mirror without a link: older versions, when killed, left one so."""

    study_id: int


def _is_audited(trial: FrozenTrial) -> bool:
    audit = trial.user_attrs.get("audit")
    return bool(audit) and is_ours("audit", audit)


def _look(connection: Connection, copied: _Copied) -> None:
    """Read which trials were added to a mirror."""
    rows = connection.execute(
        select(TRIALS.c.trial_id, USER_ATTRIBUTES.c.value_json)
        .join_from(TRIALS, USER_ATTRIBUTES, TRIALS.c.trial_id == USER_ATTRIBUTES.c.trial_id)
        .where(
            TRIALS.c.study_id == copied.study_id,
            TRIALS.c.trial_id > copied.last_trial_id,
            USER_ATTRIBUTES.c.key == SOURCE_TRIAL,
        )
    )
    for trial_id, text in rows:
        number = parsed(text)
        if is_whole(number, 2**31):  # the doctor finds others
            copied.numbers.add(number)
        copied.last_trial_id = max(copied.last_trial_id, trial_id)


def _find(
    connection: Connection, source: Source, mirror: Mirror
) -> "int | _CutOff | _Taken | None":
    """Find the id of a mirror; None if there is none yet."""
    name = f"{source.name}/{mirror.suffix}"
    if len(name) > MAX_NAME:
        return _Taken(f"no name is longer than {MAX_NAME} characters")
    row = find_row(connection, name)
    if row is None:
        return None
    if row.study_name != name:
        return _Taken(
            f"this server takes the name for that of study {row.study_name!r}; to have it, "
            "rename one of the two"
        )
    attrs = study_attributes(connection, STUDY_USER_ATTRIBUTES, row.study_id)
    if source.has_mirror(name, attrs):
        if count_own(connection, row.study_id) == 0:
            return int(row.study_id)
        return _Taken("it has trials of its own; type `cvfp-opt study doctor`")
    if not attrs and _is_cut_off(connection, row.study_id, mirror):
        return _CutOff(row.study_id)
    if MIRROR_OF in attrs:
        return _Taken("it mirrors a study that is gone; type `cvfp-opt study doctor`")
    return _Taken("a study of that name is somebody's own; to have the front, rename that study")


def _is_cut_off(connection: Connection, study_id: int, mirror: Mirror) -> bool:
    """Check if a study has been given a mirror's directions and metric names, and no more."""
    system_attrs = study_attributes(connection, STUDY_SYSTEM_ATTRIBUTES, study_id)
    named = system_attrs.get(METRIC_NAMES) == list(mirror.metric_names)
    names = direction_names(connection, study_id)[study_id]
    directed = names == [one.name for one in _DIRECTIONS]
    return named and directed and is_empty(connection, study_id)


def _enter(store: Store, source: Source, mirror: Mirror) -> int | None:
    """Create or complete a mirror if need be, and return its id; None if it cannot be made.

    Call under the store's lock.
    """
    with store.engine.connect() as connection:
        found = _find(connection, source, mirror)
    if isinstance(found, _Taken):
        return None
    identity = {MIRRORED: source.identity} if source.identity else {}
    links = {MIRROR_OF: source.name, **identity}
    try:
        if found is None:
            name = f"{source.name}/{mirror.suffix}"
            return found_study(store, name, _DIRECTIONS, links, mirror.metric_names)
        study_id = found.study_id if isinstance(found, _CutOff) else found
        with store.engine.begin() as connection:
            lock_study(connection, study_id)
            known = study_attributes(connection, STUDY_USER_ATTRIBUTES, study_id)
            if not links.keys() <= known.keys():
                put_attributes(connection, STUDY_USER_ATTRIBUTES, study_id, links)
    except StudyError:  # another program was quicker: it made one, or deleted this one
        return None
    return study_id


def _add(connection: Connection, study_id: int, number: int, trial: FrozenTrial) -> None:
    times = trial.datetime_start, trial.datetime_complete
    trial_id, _ = insert_trial(connection, study_id, trial.state, *times, number=number)
    params = {
        name: (trial.distributions[name].to_internal_repr(value), trial.distributions[name])
        for name, value in trial.params.items()
    }
    write_pending(connection, trial_id, PendingWrites(params=params, user_attrs=trial.user_attrs))
    write_values(connection, trial_id, trial.values)


def _copy(trial: FrozenTrial, mirror: Mirror, split: str) -> FrozenTrial:
    record = TrialRecord.of(trial)
    copied = create_trial(
        values=list(mirror.values(record, split)),
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={SOURCE_TRIAL: trial.number, "score": record.value, "status": record.status},
    )
    # the dashboard's timeline shows when it ran, and not when it was copied
    copied.datetime_start = trial.datetime_start
    copied.datetime_complete = trial.datetime_complete
    return copied
