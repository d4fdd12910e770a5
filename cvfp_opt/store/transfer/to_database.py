"""Writing a dump to a database, all of it in one transaction, or nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.exc import IntegrityError

from cvfp_opt.errors import StorageError, StudyError
from cvfp_opt.escaping import quoted
from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.optuna_private import FrozenStudy
from cvfp_opt.store.database.rows import (
    attribute_rows,
    intermediate_rows,
    param_row,
    value_rows,
)
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.study_rows import insert_rows, insert_study, put_attributes
from cvfp_opt.store.database.tables import (
    INTERMEDIATE,
    LEASES,
    PARAMS,
    STUDY_SYSTEM_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
)
from cvfp_opt.store.record.mirrors import MIRRORS
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.studies import check_new_name, has_study
from cvfp_opt.store.transfer.dump import Dump, StudyDump, TrialDump
from cvfp_opt.store.transfer.from_database import read_study
from cvfp_opt.store.transfer.generations import by_ids, by_numbers, without_parents

_SUFFIXES = tuple(f"/{mirror.suffix}" for mirror in MIRRORS)


def check_absent(store: Store, dump: Dump) -> None:
    """Refuse a study that is there already, or whose name is taken or no study's.

    Raises:
        StudyError: it is; says what to type.
    """
    studies = store.storage.get_all_studies()
    name, where = dump.study.name, store.location.shown
    if not name.strip() or name.endswith(_SUFFIXES):
        raise StudyError(
            f"a name that does not end in {' or '.join(_SUFFIXES)}, which are mirrors', is "
            f"required, got {name!r}; add --study-name"
        )
    record = dump.study.record
    for study in studies:
        if record is not None and _identity(study) == record.identity:
            raise StudyError(
                f"{where}: has this study already, as {study.study_name!r}; to join what each "
                f"of them has, type `cvfp-opt study merge {quoted(study.study_name)} SOURCE "
                f"-o NAME{store.location.option}` with the file, or URL#NAME, for SOURCE"
            )
    check_new_name(name)
    for wanted in dump.studies:
        if has_study(store, wanted.name):
            raise StudyError(
                f"{where}: there is another study named {wanted.name!r}; "
                f"add --study-name with a name that is free, such as {name}-2"
            )


def _identity(study: FrozenStudy) -> str | None:
    try:
        record = StudyRecord.parse(study.study_name, study.user_attrs)
    except StudyError:  # of a newer version, and none of our business here
        return None
    return record.identity if record else None


def write_dump(store: Store, dump: Dump) -> None:
    """Write a study and what is linked to it, and read them back before they count.

    Raises:
        StudyError: see ``check_absent``.
        StorageError: the database does not give back what was written to it.
    """
    with store.lock():
        check_absent(store, dump)
        try:
            with store.engine.begin() as connection:
                for study in dump.studies:
                    _write_study(connection, _storable(connection, study))
        except IntegrityError:  # another program has no use for our lock; some servers fold case
            raise StudyError(
                f"{store.location.shown}: nothing was written: the database takes the name of an "
                f"attribute, or {dump.study.name!r}, for one that it has; some servers do not "
                "tell case; add --study-name with another name, or name another --storage"
            ) from None


def _storable(connection: Connection, study: StudyDump) -> StudyDump:
    """Convert a study to what the database can hold: MySQL's times are whole seconds."""
    if connection.dialect.name != "mysql":
        return study
    trials = tuple(
        replace(
            trial,
            started=trial.started and trial.started.replace(microsecond=0),
            completed=trial.completed and trial.completed.replace(microsecond=0),
        )
        for trial in study.trials
    )
    return replace(study, trials=trials)


def _write_study(connection: Connection, study: StudyDump) -> None:
    system_attrs = without_parents(study.system_attrs)
    study_id = insert_study(
        connection, study.name, study.directions, study.user_attrs, system_attrs
    )
    ids = _write_trials(connection, study_id, study.trials)
    whole = by_ids(study.system_attrs, ids)
    parents = {key: parsed(text) for key, text in whole.items() if key not in system_attrs}
    if parents:
        put_attributes(connection, STUDY_SYSTEM_ATTRIBUTES, study_id, parents)
    study = replace(study, system_attrs=by_numbers(whole, {v: k for k, v in ids.items()}))
    _verify(study, read_study(connection, study_id, study.name))


def _write_trials(
    connection: Connection, study_id: int, trials: tuple[TrialDump, ...]
) -> dict[int, int]:
    """Write trials; return their ids by number."""
    insert_rows(
        connection,
        TRIALS,
        (
            {
                "study_id": study_id,
                "number": trial.number,
                "state": trial.state,
                "datetime_start": trial.started,
                "datetime_complete": trial.completed,
            }
            for trial in trials
        ),
    )
    written = select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    # SQLite uses the ids of deleted trials again
    connection.execute(delete(LEASES).where(LEASES.c.trial_id.in_(written)))
    rows = connection.execute(
        select(TRIALS.c.number, TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    )
    ids = dict(tuple(row) for row in rows)
    for table, rows_of in _PARTS.items():
        insert_rows(
            connection,
            table,
            ({"trial_id": ids[trial.number], **row} for trial in trials for row in rows_of(trial)),
        )
    return ids


def _verify(study: StudyDump, found: StudyDump) -> None:
    """Refuse to commit what came out otherwise than it went in."""
    same = (
        (found.directions, found.user_attrs, found.system_attrs)
        == (study.directions, study.user_attrs, study.system_attrs)
    ) and len(found.trials) == len(study.trials)
    # as text: a NaN is not equal to itself
    if same and all(map(_same, study.trials, found.trials)):
        return
    raise StorageError(
        f"study {study.name!r}: the database does not give back what was written to it, so "
        "nothing was kept; a server must store Unicode (utf8mb4) and refuse what it cannot hold "
        "(strict mode)"
    )


def _same(one: TrialDump, other: TrialDump) -> bool:
    return repr(one) == repr(other)


_PARTS: dict[Table, Callable[[TrialDump], list[dict[str, Any]]]] = {
    PARAMS: lambda trial: [param_row(p.name, p.value, p.distribution) for p in trial.params],
    VALUES: lambda trial: value_rows(trial.values),
    INTERMEDIATE: lambda trial: intermediate_rows(trial.intermediate),
    USER_ATTRIBUTES: lambda trial: attribute_rows(trial.user_attrs),
    SYSTEM_ATTRIBUTES: lambda trial: attribute_rows(trial.system_attrs),
}
