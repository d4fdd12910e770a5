"""The examination of a database by all checks, and the repairs."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache

import sqlalchemy
from sqlalchemy import Connection, select
from sqlalchemy.exc import DatabaseError

from cvfp_opt.errors import CvfpOptError, StudyError, nearest
from cvfp_opt.store.database.damage import UNREADABLE, Damaged, damage
from cvfp_opt.store.database.file_watch import is_open
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.mysql_engines import unsafe_tables
from cvfp_opt.store.database.retry import passes
from cvfp_opt.store.database.schema import ALEMBIC_VERSION
from cvfp_opt.store.database.storage import Store, open_for_search, translated
from cvfp_opt.store.database.tables import LEASES, VERSIONS
from cvfp_opt.store.doctor.checks import CHECKS
from cvfp_opt.store.doctor.context import Context, Schema
from cvfp_opt.store.doctor.files import unmerged
from cvfp_opt.store.doctor.finding import Finding
from cvfp_opt.store.doctor.rows import StudyRows, read_studies, read_trials
from cvfp_opt.store.doctor.snapshot import is_sqlite, snapshot, stillness
from cvfp_opt.store.files.artifact_stores import open_artifacts
from cvfp_opt.store.queue.leases import read_leases

# A repair may show what was hidden behind it: two trials of one number, and one has no mirror.
_MAX_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Patient:
    """A database to examine, and where its artifacts are.

    Attributes:
        location: of the database.
        artifacts: where those of its trials lie, as the user named it; None for the default.
        study: look at one study; None for all.
    """

    location: Location
    artifacts: str | None = None
    study: str | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """The outcome of an examination.

    Attributes:
        findings: in the order of CHECKS, by the name of the check.
        made: checks.
        not_made: checks that need studies, where they cannot be read.
        num_studies, num_trials: looked at, without mirrors.
        num_ours: studies of this program among them.
    """

    findings: tuple[tuple[str, Finding], ...]
    made: tuple[str, ...]
    not_made: tuple[str, ...]
    num_studies: int
    num_trials: int
    num_ours: int

    def __repr__(self) -> str:
        found = [f"  {finding.line}" for finding in self.faults]
        count = f"{len(found)} faults" if len(found) != 1 else "1 fault"
        looked = f"{len(self.made)} checks of {self.num_studies} studies, {self.num_trials} trials"
        return "\n".join([f"Report: {count}; {looked}", *found])

    @property
    def faults(self) -> list[Finding]:
        """The findings that have to be mended, here or by hand."""
        return [finding for _, finding in self.findings if not finding.harmless]

    @property
    def repairable(self) -> list[Finding]:
        """The findings that can be mended here."""
        return [finding for _, finding in self.findings if finding.repair is not None]


def examine(patient: Patient) -> Report:
    """Make all checks and change nothing, not even beside the database.

    Raises:
        StorageError: there is no study database, or it cannot be reached.
        StudyError: there is no study of that name.
    """
    location = patient.location
    kind = kind_of(location)
    # the checks report a file that is damaged further on
    there = kind.has_database(location) if location.path is None else is_sqlite(location.path)
    if not there:
        kind.check_readable(location)  # says what is missing
    with translated(location):
        before = stillness(location)
        report = _examine(patient, still=before is not None)
        if before is not None and stillness(location) != before:
            report = _examine(patient, still=False)
    return report


def mend(patient: Patient, report: Report, notify: Callable[[str], None]) -> Report:
    """Make the repairs, and examine again: one may uncover the next.

    Args:
        patient: that was examined.
        report: what was found.
        notify: called with a line for each repair that was done or failed.

    Raises:
        StorageError: see ``examine``.
    """
    for _ in range(_MAX_ROUNDS):
        if _make_repairs(patient.location, report, notify) == 0:
            break
        report = examine(patient)
    return report


def _make_repairs(location: Location, report: Report, notify: Callable[[str], None]) -> int:
    """Make all repairs once, and count those that succeeded."""
    succeeded = 0
    with ExitStack() as stack:

        @cache
        def open_store() -> Store:
            return stack.enter_context(open_for_search(location))

        for finding in report.repairable:
            assert finding.repair is not None
            try:
                with translated(location):
                    notify(f"mended: {finding.repair(open_store)}")
                succeeded += 1
            except CvfpOptError as error:
                notify(f"not mended: {error}")
    return succeeded


def _examine(patient: Patient, *, still: bool) -> Report:
    with ExitStack() as stack:
        context = _context(patient, stack, still)
        possible = [
            name for name, check in CHECKS.items() if context.readable or not check.needs_studies
        ]
        findings = [(name, found) for name in possible for found in _make(name, context)]
        return Report(
            findings=tuple(findings),
            made=tuple(possible),
            not_made=tuple(name for name in CHECKS if name not in possible),
            num_studies=len(context.studies),
            num_trials=sum(len(study.trials) for study in context.studies),
            num_ours=len(context.ours),
        )


def _make(name: str, context: Context) -> list[Finding]:
    """Make one check; if it cannot be made, that is a finding too, and the others go on."""
    try:
        return CHECKS[name].find(context)
    except (CvfpOptError, DatabaseError, Damaged, *UNREADABLE) as error:
        cause = str(error) if isinstance(error, CvfpOptError) else _fault(context.location, error)
        if not cause:
            raise
        return [
            Finding(
                where=context.location.where,
                what=f"check {name} cannot be made",
                cause=cause,
                help="mend that first, then type the same again",
            )
        ]


def _fault(location: Location, error: Exception) -> str:
    """Describe why a database cannot be read; "" for what passes, for a server's and for a bug."""
    if isinstance(error, DatabaseError):
        stays = location.path is not None and not passes(error)
        return " ".join(str(error.orig).split()) if stays else ""
    return damage(error)


def _context(patient: Patient, stack: ExitStack, still: bool) -> Context:
    location = patient.location
    context = Context(
        location=location,
        artifacts=open_artifacts(location, patient.artifacts),
        in_use=_in_use(location),
    )
    try:
        connection = stack.enter_context(snapshot(location, still=still))
        context = replace(context, connection=connection, schema=_schema(connection, location))
        return _with_studies(context, connection, patient.study)
    except (DatabaseError, Damaged, *UNREADABLE) as error:
        fault = _fault(location, error)
        if not fault:
            raise
        return replace(context, connection=None, fault=fault)


def _schema(connection: Connection, location: Location) -> Schema:
    """Read which tables there are. Raises StorageError if they are not a study database's."""
    inspector = sqlalchemy.inspect(connection)
    names = frozenset(inspector.get_table_names())
    if not {"studies", "trials"} <= names:
        kind_of(location).check_readable(location)
    version, creator = None, None
    if ALEMBIC_VERSION in names:
        row = connection.exec_driver_sql(f"SELECT version_num FROM {ALEMBIC_VERSION}").first()
        version = row[0] if row else None
    if VERSIONS.name in names:
        creator = connection.scalar(select(VERSIONS.c.library_version))
    columns = inspector.get_columns(LEASES.name) if LEASES.name in names else []
    return Schema(
        version=version,
        creator=creator or "",
        lease_columns=frozenset(column["name"] for column in columns),
        unsafe=unsafe_tables(connection),
    )


def _with_studies(context: Context, connection: Connection, name: str | None) -> Context:
    """Add the rows of the studies that are examined, if their tables are known."""
    assert context.schema is not None
    if not context.schema.is_known:
        return context
    every = tuple(read_studies(connection))
    names = [study.name for study in every if study.mirror_of is None]
    if name is not None and name not in names:
        known = nearest(name, names) if names else "it has none"
        raise StudyError(f"{context.location.where}: there is no study {name!r}; {known}")

    def filled(study: StudyRows) -> StudyRows:
        leases = read_leases(connection, study.study_id) if leased else {}
        return replace(study, trials=read_trials(connection, study.study_id), leases=leases)

    leased = bool(context.schema.lease_columns)
    chosen = [s for s in every if name is None or name in (s.name, s.mirror_of)]
    return replace(
        context,
        readable=True,
        now=connection.scalars(select(context.kind.now())).one(),
        every=every,
        studies=tuple(filled(study) for study in chosen if study.mirror_of is None),
        mirrors=tuple(filled(study) for study in chosen if study.mirror_of is not None),
    )


def _in_use(location: Location) -> bool:
    """Check if a process that can be seen has the SQLite file open, where a log is not merged."""
    if location.path is None or not unmerged(location):
        return False
    return is_open(location.path.resolve())
