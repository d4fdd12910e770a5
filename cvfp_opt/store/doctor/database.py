"""Checks of the database itself, whether it is whole, and of the version of its tables."""

from collections.abc import Mapping

from sqlalchemy.exc import DatabaseError

from cvfp_opt.escaping import quoted
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.mysql_engines import engine_cure, engine_fault
from cvfp_opt.store.database.schema import optuna_schemas
from cvfp_opt.store.database.tables import LEASES
from cvfp_opt.store.doctor.context import LEASE_COLUMNS, Context
from cvfp_opt.store.doctor.files import hot_journal
from cvfp_opt.store.doctor.finding import Finding

_MAX_FAULTS = 10


def find_damage(context: Context) -> list[Finding]:
    """Find damaged pages and indices of an SQLite file; a server looks after its own."""
    location = context.location
    faults = [context.fault] if context.fault else []
    if location.path is None:
        return [_unreadable(location, fault) for fault in faults]
    if hot_journal(location) is not None:
        return []
    if context.connection is not None:
        try:
            rows = context.connection.exec_driver_sql(f"PRAGMA integrity_check({_MAX_FAULTS})")
            lines = [line for row in rows for line in str(row[0]).splitlines()]
            faults += [line for line in lines if line != "ok" and not line.startswith("***")]
        except DatabaseError as error:
            faults.append(str(error.orig))
    if not faults:
        return []
    more = f", and {len(faults) - 1} faults more" if len(faults) > 1 else ""
    copy = location.path.with_suffix(".saved.db")
    return [
        Finding(
            where=str(location.path),
            what=f"damaged: {faults[0]}{more}",
            cause="a bad disk, a copy made while somebody wrote, or another program",
            help="stop all workers, keep a copy, and type "
            f"`sqlite3 {location.path} .recover | sqlite3 {copy}` to save what can be read",
        )
    ]


def _unreadable(location: Location, fault: str) -> Finding:
    return Finding(
        where=location.where,
        what=f"damaged: {fault}",
        cause="another program wrote to its tables, or changed them",
        help="mend what it says, or restore the studies from an export or a backup",
    )


def find_foreign_schema(context: Context) -> list[Finding]:
    """Find tables of another Optuna, or of a newer version of this program."""
    schema, where = context.schema, context.location.where
    if schema is None:
        return []
    head, known = optuna_schemas()
    made = f"Optuna {schema.creator}" if schema.creator else "an unknown Optuna"
    if schema.version is None:
        return [
            Finding(
                where=where,
                what="tables without a version",
                cause=f"{made} was killed while it made them, or they are another program's",
                help="see what made them; an empty database is filled by `cvfp-opt run`",
            )
        ]
    if schema.version not in known:
        return [
            Finding(
                where=where,
                what=f"tables of schema {schema.version}, this Optuna knows up to {head}",
                cause=f"written by a newer Optuna ({made} made them)",
                help="type `pip install -U optuna cvfp-opt`",
            )
        ]
    if schema.version != head:
        return [
            Finding(
                where=where,
                what=f"tables of schema {schema.version}, this Optuna needs {head}",
                cause=f"written by an older Optuna ({made} made them)",
                help="make a copy, then type "
                f"`optuna storage upgrade --storage {quoted(context.location.shown)}`",
            )
        ]
    return [*_engines(schema.unsafe, where), *_lease_columns(schema.lease_columns, where)]


def _engines(unsafe: Mapping[str, str], where: str) -> list[Finding]:
    """Report tables without transactions; no repair, for all workers must be stopped for it."""
    if not unsafe:
        return []
    return [
        Finding(
            where=where,
            what=engine_fault(unsafe),
            cause="the server makes such tables by default, or did",
            help=engine_cure(unsafe),
        )
    ]


def _lease_columns(found: frozenset[str], where: str) -> list[Finding]:
    if not found or found == LEASE_COLUMNS:
        return []
    other = ", ".join(sorted(found ^ LEASE_COLUMNS))
    return [
        Finding(
            where=f"{where}, table {LEASES.name}",
            what=f"columns that this version does not know, or misses: {other}",
            cause="another version of cvfp-opt made it",
            help="type `pip install -U cvfp-opt`",
        )
    ]
