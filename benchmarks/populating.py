"""Databases with many studies, made of one by statements that copy its rows."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select

from benchmarks.invented import ENVIRONMENT, fill
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.database.tables import STUDIES, STUDY_PARTS, TRIAL_PARTS, TRIALS
from cvfp_opt.store.queue import control
from cvfp_opt.store.record.mirrors import sync_mirrors
from cvfp_opt.tuning.plan import Request, make_plan


def populate(location: Location, num_studies: int, num_trials: int) -> None:
    """Make a database with so many studies of so many finished trials of the standard size.

    Each has its mirrors, a total of twice its trials, and a budget of time.
    """
    plan = make_plan(location, Request(definition="recommended"))
    with open_for_search(location) as store:
        study, _ = replace(plan, name="study").enter(store, dict(ENVIRONMENT))
        fill(store, study, plan.definition, num_trials)
        sync_mirrors(store, study)
        control.amend(store, study, {"total": 2 * num_trials, "max_seconds": 1e6})
        with store.engine.begin() as connection:
            studies = connection.scalar(select(func.max(STUDIES.c.study_id))) or 0
            trials = connection.scalar(select(func.max(TRIALS.c.trial_id))) or 0
            for number in range(1, num_studies):
                _copy(connection, number, studies, trials)


def _copy(connection: Connection, number: int, studies: int, trials: int) -> None:
    """Copy the first so many studies and trials once more, under ids and names of their own."""

    def copy(table: Table, **changed: Any) -> None:
        made = {column.name for column in table.primary_key} - changed.keys()
        names = [column.name for column in table.c if column.name not in made]
        first = (
            table.c.trial_id <= trials if "trial_id" in table.c else table.c.study_id <= studies
        )
        rows = select(*(changed.get(name, table.c[name]) for name in names)).where(first)
        connection.execute(insert(table).from_select(names, rows))

    name = STUDIES.c.study_name.concat(f" {number}")
    copy(STUDIES, study_id=STUDIES.c.study_id + number * studies, study_name=name)
    for table in STUDY_PARTS:
        if table is not STUDIES:
            copy(table, study_id=table.c.study_id + number * studies)
    copy(
        TRIALS,
        trial_id=TRIALS.c.trial_id + number * trials,
        study_id=TRIALS.c.study_id + number * studies,
    )
    for table in TRIAL_PARTS:
        copy(table, trial_id=table.c.trial_id + number * trials)
