"""The owner of an unsent result: the search for its trial in a database.

Ids of trials, numbers and epochs are the same in a database that was restored from a backup, in a
copy of it, and in any other one that had as many trials; identities are not.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import BindParameter, Connection, bindparam, select
from sqlalchemy.exc import ArgumentError

from cvfp_opt.disk import what_it_is
from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.reading import read_raw_trial
from cvfp_opt.store.database.retry import DATABASE_ERRORS
from cvfp_opt.store.database.storage import open_for_reading
from cvfp_opt.store.database.tables import (
    LEASES,
    STUDIES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
)
from cvfp_opt.store.queue.leases import Lease, this_machine
from cvfp_opt.store.queue.unsent_result import Unsent
from cvfp_opt.store.record.identity import IDENTITY_KEY

_OF: BindParameter[int] = bindparam("of")
_TRIAL = (
    select(STUDIES.c.study_name, TRIALS.c.study_id, TRIALS.c.number, TRIALS.c.state)
    .join(STUDIES, STUDIES.c.study_id == TRIALS.c.study_id)
    .where(TRIALS.c.trial_id == _OF)
)
_IDENTITY = select(SYSTEM_ATTRIBUTES.c.value_json).where(
    SYSTEM_ATTRIBUTES.c.trial_id == _OF, SYSTEM_ATTRIBUTES.c.key == IDENTITY_KEY
)
_LEASE = select(LEASES).where(LEASES.c.trial_id == _OF)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The judgement on an unsent result, by its trial in a database.

    Attributes:
        study: name of the study that the trial is of; "" if the trial is not there.
        worker: whose claim the trial is, if the result may be written under that lease; else "".
        written: whether the database has it already.
        why: it can't be written; "" if it can, or was.
    """

    study: str = ""
    worker: str = ""
    written: bool = False
    why: str = ""


def judge(connection: Connection, location: Location, unsent: Unsent) -> Verdict:
    """Judge whether a result is to be written to a database; ids alone do not identify its trial.

    Args:
        connection: to the database; within a transaction, what was seen stays so.
        location: of the database.
        unsent: the result.
    """
    there = {"of": unsent.trial_id}
    trial = connection.execute(_TRIAL, there).first()
    if (
        trial is None
        or trial.number != unsent.number
        or _identity(connection.scalar(_IDENTITY, there)) != unsent.birth["uuid"]
    ):
        where = unsent.database
        named = f" of {where}" if where and not _is_the_same(location, where) else ""
        return Verdict(
            why=f"it is of a trial{named} that is not in this database (restored from a backup, a "
            "copy made elsewhere, or the trial was deleted)"
        )
    row = connection.execute(_LEASE, there).mappings().first()
    lease = Lease.of_row(dict(row)) if row is not None else None
    if trial.state.is_finished():
        if _has_ended_so(connection, unsent, trial.state):
            return Verdict(study=trial.study_name, written=True)
        return Verdict(study=trial.study_name, why="the trial has ended otherwise meanwhile")
    if trial.state is not TrialState.RUNNING or lease is None or lease.epoch != unsent.epoch:
        return Verdict(
            study=trial.study_name,
            why="the trial was taken from the worker that the result is of, and is run again",
        )
    if unsent.worker not in (lease.worker, ""):
        return Verdict(study=trial.study_name, why="another worker runs the trial")
    if not unsent.worker and not _is_given_up(connection, location, lease):
        return Verdict(study=trial.study_name, why="a worker still runs the trial")
    if (elsewhere := _belongs_elsewhere(location, unsent)) is not None:
        return Verdict(study=trial.study_name, why=elsewhere)
    return Verdict(study=trial.study_name, worker=lease.worker)


def _identity(text: str | None) -> str | None:
    """Read the uuid in an attribute's JSON; None if there is none."""
    try:
        value = json.loads(text or "")
        return str(value["uuid"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _has_ended_so(connection: Connection, unsent: Unsent, state: TrialState) -> bool:
    """Check if a trial has ended with this very result: perhaps only the answer was lost."""
    raw = read_raw_trial(connection, unsent.trial_id)
    assert raw is not None, "it was there a moment ago, in this transaction"
    values = [value for _, value in sorted(raw.values.items())]
    status = json.dumps(unsent.user_attrs.get("status"))
    return (
        state.name == unsent.state
        and repr(values) == repr([float(value) for value in unsent.values or ()])  # nan is nan
        and raw.user_attrs.get("status") == status
    )


def _is_given_up(connection: Connection, location: Location, lease: Lease) -> bool:
    """Check whether a lease may be that of a worker that kept a result, and ended."""
    if (lease.machine, lease.pid) == (this_machine(), os.getpid()):  # it may have kept it itself
        return True
    kind = kind_of(location)
    now = connection.scalars(select(kind.now())).one()
    return lease.is_dead(now, one_host=kind.one_host)


def _belongs_elsewhere(location: Location, unsent: Unsent) -> str | None:
    """Explain why a result belongs to another database, of which this is a copy; None if not.

    A file that was moved is not where it was; one that lies there instead does not have the trial
    under that lease.
    """
    where = unsent.database
    kept = f"it is of {where}, of which this database is a copy"
    if not where or _is_the_same(location, where):
        return None
    if "://" not in where:
        takes = _takes(Path(where), unsent)
        return f"{kept}; name that one with --storage" if takes else None
    return (
        f"{kept}; name that one with --storage, or if it was moved here, change its name in the "
        "file's entry `database`"
    )


def _is_the_same(location: Location, where: str) -> bool:
    """Check if a location is the one that a ``Location.where`` names, links followed."""
    if location.path is None:
        return "://" in where and _server(where) == _server(location.url)
    return "://" not in where and os.path.realpath(where) == os.path.realpath(location.path)


def _takes(former: Path, unsent: Unsent) -> bool:
    """Check whether an SQLite file, other than the one looked at, would take a result."""
    try:
        if what_it_is(former) != "a file":
            return False
        with open_for_reading(Location.of_file(former)) as store, store.engine.connect() as other:
            return bool(judge(other, store.location, unsent).worker)
    except (OSError, StorageError, *DATABASE_ERRORS):
        return False


def _server(url: str) -> Any:
    """Reduce a URL to what all URLs of one database have in common."""
    try:
        parsed = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        return url
    return parsed.get_backend_name(), parsed.host, parsed.port, parsed.database
