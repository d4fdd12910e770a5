"""Databases with many studies, made of one by statements that copy its rows."""

from dataclasses import replace

from sqlalchemy import Connection, Table, insert, literal, select

from benchmarks.invented import ENVIRONMENT, fill
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.database.tables import (
    STUDIES,
    STUDY_PARTS,
    TRIAL_PARTS,
    TRIALS,
)
from cvfp_opt.store.queue import control
from cvfp_opt.tuning.plan import Request, make_plan


def populate(location: Location, num_studies: int, num_trials: int) -> None:
    """Make a database with so many studies of so many finished trials of the standard size.

    Each has a total of twice its trials, and a budget of time.
    """
    plan = make_plan(location, Request(definition="recommended"))
    with open_for_search(location) as store:
        study, _ = replace(plan, name="study 0").enter(store, dict(ENVIRONMENT))
        fill(store, study, plan.definition, num_trials)
        control.amend(store, study, {"total": 2 * num_trials, "max_seconds": 1e6})
        with store.engine.begin() as connection:
            for number in range(1, num_studies):
                _copy(connection, study_id_of(study), number, num_trials)


def _copy(connection: Connection, source: int, number: int, num_trials: int) -> None:
    name = literal(f"study {number}").label("study_name")
    _insert(connection, STUDIES, source, study_id=STUDIES.c.study_id + number, study_name=name)
    for table in STUDY_PARTS:
        if table is STUDIES:
            continue
        _insert(connection, table, source, study_id=table.c.study_id + number)
    trial_id = TRIALS.c.trial_id + number * num_trials
    _insert(connection, TRIALS, source, trial_id=trial_id, study_id=TRIALS.c.study_id + number)
    for table in TRIAL_PARTS:
        _insert(connection, table, source, trial_id=table.c.trial_id + number * num_trials)


def _insert(connection: Connection, table: Table, source: int, **changed: object) -> None:
    """Copy the rows of a study, or of its trials, with other values in some columns."""
    keys = {column.name for column in table.primary_key} - changed.keys()
    names = [column.name for column in table.c if column.name not in keys]
    rows = select(*(changed.get(name, table.c[name]) for name in names))
    if "study_id" in table.c:
        rows = rows.where(table.c.study_id == source)
    else:
        rows = rows.join(TRIALS, TRIALS.c.trial_id == table.c.trial_id).where(
            TRIALS.c.study_id == source
        )
    connection.execute(insert(table).from_select(names, rows))
