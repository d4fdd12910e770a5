"""From a database to a dump, as of one moment, whoever writes to the study meanwhile."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, Row, Table, select

from cvfp_opt.errors import StudyError, nearest
from cvfp_opt.store.database.damage import parsed, values_read
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import (
    DIRECTIONS,
    INTERMEDIATE,
    PARAMS,
    STUDIES,
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
)
from cvfp_opt.store.queue.leases import FORMER_LEASE
from cvfp_opt.store.record.confirmation import confirmation_name
from cvfp_opt.store.record.links import Source, source_name
from cvfp_opt.store.record.mirrors import count_own
from cvfp_opt.store.record.records import CONFIRMATION_POINTS, CONFIRMS, MIRROR_OF, MIRRORED, STUDY
from cvfp_opt.store.record.study_page import is_trial_note
from cvfp_opt.store.transfer.dump import Dump, Param, StudyDump, Texts, TrialDump


def read_dump(store: Store, name: str) -> Dump:
    """A study with its mirrors and its confirmation; trials that run are given back in the dump.

    Raises:
        StudyError: there is none of that name, it is a mirror or a confirmation, or its trials
            are not numbered from 0 without gaps.
    """
    with _snapshot(store) as connection:
        rows = connection.execute(select(STUDIES.c.study_id, STUDIES.c.study_name))
        ids = {row.study_name: row.study_id for row in rows}
        links = _links(connection)
        of = {other: links[study_id] for other, study_id in ids.items()}
        if name not in ids:
            names = [other for other in ids if not {MIRROR_OF, CONFIRMS} & of[other].keys()]
            known = nearest(name, names) if names else "it has none yet"
            raise StudyError(f"{store.location.shown}: there is no study {name!r}; {known}")
        _refuse_linked(name, of)
        source = Source.of(name, of[name])
        mirrors = sorted(
            other
            for other in ids
            if source.has_mirror(other, of[other]) and count_own(connection, ids[other]) == 0
        )
        running = connection.execute(
            select(TRIALS.c.number)
            .where(TRIALS.c.study_id == ids[name], TRIALS.c.state == TrialState.RUNNING)
            .order_by(TRIALS.c.number)
        )
        study = read_study(connection, ids[name], name)
        confirmation = confirmation_name(name)
        linked = confirmation in ids and source.has_confirmation(confirmation, of[confirmation])
        linked = linked and CONFIRMATION_POINTS in of[confirmation]
        return Dump(
            study=study,
            mirrors=tuple(read_study(connection, ids[mirror], mirror) for mirror in mirrors),
            confirmation=_confirmation(connection, ids[confirmation], study) if linked else None,
            given_back=tuple(row.number for row in running),
        )


def _refuse_linked(name: str, of: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what goes where its study goes. ``of`` has by name what studies say they are."""
    mirrored = source_name(of[name], MIRROR_OF)
    if mirrored is not None:
        raise StudyError(
            f"study {name!r} is a mirror of {mirrored!r} and goes where that one goes; name "
            f"{mirrored!r}"
        )
    confirmed = source_name(of[name], CONFIRMS)
    if confirmed is None or confirmed not in of:
        return
    if Source.of(confirmed, of[confirmed]).has_confirmation(name, of[name]):
        raise StudyError(
            f"study {name!r} is the confirmation of {confirmed!r} and goes where that one goes; "
            f"name {confirmed!r}"
        )


def _confirmation(connection: Connection, study_id: int, of: StudyDump) -> StudyDump | None:
    """The confirmation of a study; None if one of them has no record."""
    found = read_study(connection, study_id, confirmation_name(of.name))
    return None if of.record is None or found.record is None else found


@contextmanager
def _snapshot(store: Store) -> Iterator[Connection]:
    """A transaction in which all that is read is of the same moment."""
    with store.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            # the driver begins a transaction for writes only
            connection.exec_driver_sql("BEGIN")
        else:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


def _links(connection: Connection) -> Mapping[int, dict[str, Any]]:
    """By study id, what studies say they are and belong to."""
    table = STUDY_USER_ATTRIBUTES
    columns = table.c.study_id, table.c.key, table.c.value_json
    wanted = table.c.key.in_((STUDY, MIRROR_OF, MIRRORED, CONFIRMS, CONFIRMATION_POINTS))
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for row in connection.execute(select(*columns).where(wanted)):
        found[row.study_id][row.key] = parsed(row.value_json)
    return found


def read_study(connection: Connection, study_id: int, name: str) -> StudyDump:
    """A study or mirror. Call within a snapshot.

    Raises:
        StudyError: its trials are not numbered from 0 without gaps.
        Damaged: what is stored of it is no study.
    """
    with values_read(f"study {name}"):
        directions = connection.execute(
            select(DIRECTIONS.c.direction)
            .where(DIRECTIONS.c.study_id == study_id)
            .order_by(DIRECTIONS.c.objective)
        )
        system_attrs = _study_attributes(connection, STUDY_SYSTEM_ATTRIBUTES, study_id)
        return StudyDump(
            name=name,
            directions=tuple(row.direction for row in directions),
            user_attrs=_study_attributes(connection, STUDY_USER_ATTRIBUTES, study_id),
            system_attrs={k: text for k, text in system_attrs.items() if not is_trial_note(k)},
            trials=tuple(_trials(connection, study_id, name)),
        )


def _study_attributes(connection: Connection, table: Table, study_id: int) -> Texts:
    rows = connection.execute(
        select(table.c.key, table.c.value_json).where(table.c.study_id == study_id)
    )
    return dict(sorted(tuple(row) for row in rows))


def _trials(connection: Connection, study_id: int, name: str) -> Iterator[TrialDump]:
    parts = {
        table: _by_trial(connection, table, study_id)
        for table in (PARAMS, VALUES, INTERMEDIATE, USER_ATTRIBUTES, SYSTEM_ATTRIBUTES)
    }
    trials = connection.execute(
        select(TRIALS).where(TRIALS.c.study_id == study_id).order_by(TRIALS.c.number)
    ).all()
    for number, row in enumerate(trials):
        if row.number != number:
            raise StudyError(
                f"study {name!r}: trials numbered from 0 without gaps are required, got number "
                f"{row.number} in the place of {number}; see what wrote it"
            )
        found = {table: parts[table].pop(row.trial_id, []) for table in parts}
        yield _trial(row, found)


def _trial(row: Row[Any], found: dict[Table, list[Row[Any]]]) -> TrialDump:
    runs = row.state is TrialState.RUNNING
    user_attrs = {} if runs else _attributes(found[USER_ATTRIBUTES])
    system_attrs = _attributes(found[SYSTEM_ATTRIBUTES])
    return TrialDump(
        number=row.number,
        state=TrialState.WAITING if runs else row.state,
        values=() if runs else _values(found[VALUES]),
        params=tuple(_param(row) for row in found[PARAMS]),
        intermediate={} if runs else _intermediate(found[INTERMEDIATE]),
        user_attrs=user_attrs,
        system_attrs={key: text for key, text in system_attrs.items() if key != FORMER_LEASE},
        started=None if runs else row.datetime_start,
        completed=row.datetime_complete,
    )


def _by_trial(connection: Connection, table: Table, study_id: int) -> dict[int, list[Row[Any]]]:
    """A study's rows of one table, in the order in which they were written, by trial id."""
    [key] = table.primary_key
    rows = connection.execute(
        select(table)
        .join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
        .where(TRIALS.c.study_id == study_id)
        .order_by(key)
    )
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.trial_id].append(row)
    return found


def _attributes(rows: list[Row[Any]]) -> Texts:
    return dict(sorted((row.key, row.value_json) for row in rows))


def _param(row: Row[Any]) -> Param:
    return Param(
        name=row.param_name,
        value=_plain(row.param_value),
        distribution=row.distribution_json,
    )


def _values(rows: list[Row[Any]]) -> tuple[float, ...]:
    decode = models.TrialValueModel.stored_repr_to_value
    ordered = sorted(rows, key=lambda row: row.objective)
    return tuple(_plain(decode(row.value, row.value_type)) for row in ordered)


def _intermediate(rows: list[Row[Any]]) -> dict[int, float]:
    decode = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    return {
        row.step: _plain(decode(row.intermediate_value, row.intermediate_value_type))
        for row in sorted(rows, key=lambda row: row.step)
    }


def _plain(value: float) -> float:
    """Without the sign of zero, which SQLite does not keep."""
    return value + 0.0
