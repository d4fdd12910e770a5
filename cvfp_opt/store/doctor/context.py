"""The database as all checks see it, read once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from cvfp_opt.escaping import quoted
from cvfp_opt.store.database.kinds import Kind, kind_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.schema import optuna_schemas
from cvfp_opt.store.database.tables import LEASES
from cvfp_opt.store.doctor.rows import StudyRows
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.queue.leases import Lease, former_is_dead

LEASE_COLUMNS = frozenset(column.name for column in LEASES.columns)


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The tables of a database.

    Attributes:
        version: Optuna's, of its tables; None if it is not noted.
        creator: version of the Optuna that made them; "" if it is not noted.
        lease_columns: of our table; empty if there is none.
        unsafe: by table, engines that have no transactions.
    """

    version: str | None
    creator: str
    lease_columns: frozenset[str]
    unsafe: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """True if rows can be read: the tables are the installed Optuna's, and ours."""
        ours = not self.lease_columns or self.lease_columns == LEASE_COLUMNS
        return self.version == optuna_schemas()[0] and ours


@dataclass(frozen=True, kw_only=True)
class Context:
    """A database at one moment, and what lies beside it.

    Attributes:
        location: of the database.
        artifacts: of its trials.
        in_use: whether a process has the SQLite file open; asked where a log is not merged.
        connection: to read more of the same moment; None if the database cannot be read.
        fault: why it cannot be read; "" if it can.
        schema: its tables; None if they cannot be read.
        readable: whether rows of studies could be read.
        now: epoch seconds by the database's clock.
        every: all studies and mirrors, without their trials.
        studies, mirrors: those that are looked at, with trials and leases.
    """

    location: Location
    artifacts: ArtifactStore
    in_use: bool
    connection: Connection | None = None
    fault: str = ""
    schema: Schema | None = None
    readable: bool = False
    now: float = 0.0
    every: tuple[StudyRows, ...] = ()
    studies: tuple[StudyRows, ...] = ()
    mirrors: tuple[StudyRows, ...] = ()

    @property
    def kind(self) -> Kind:
        """The functions for its kind of database."""
        return kind_of(self.location)

    @property
    def reader(self) -> Connection:
        """The connection, for checks that are made where studies can be read."""
        assert self.connection is not None
        return self.connection

    @property
    def ours(self) -> list[StudyRows]:
        """The studies of this program that can be read."""
        return [study for study in self.studies if study.record is not None]

    def command(self, words: str, study: str = "") -> str:
        """Write a command to type, for a study of this database."""
        name = f" --study-name {quoted(study)}" if study else ""
        return f"`cvfp-opt {words}{name}{self.location.option}`"

    def is_dead(self, lease: Lease) -> bool:
        """Check whether a trial with this lease may be taken over."""
        return lease.is_dead(self.now, one_host=self.kind.one_host)

    def is_searched(self, study: StudyRows) -> bool:
        """Check whether a live worker runs a trial of the study."""
        for trial in study.running:
            lease = study.leases.get(trial.trial_id)
            former = trial.former_lease
            if lease is not None and not self.is_dead(lease):
                return True
            if lease is None and former is not None and not former_is_dead(former):
                return True
        return False
