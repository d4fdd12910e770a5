"""An open study database."""

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import sqlalchemy
from filelock import Timeout
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Engine, Table, bindparam, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import scoped_session, sessionmaker

from cvfp_opt.errors import StorageError
from cvfp_opt.escaping import quoted
from cvfp_opt.store.database.damage import UNREADABLE, damage
from cvfp_opt.store.database.file_watch import FileWatch
from cvfp_opt.store.database.frozen_trials import (
    read_attributes,
    read_directions,
    read_studies,
    read_trial,
    read_trials,
)
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.optuna_private import CachedStorage, FrozenStudy, forget_studies
from cvfp_opt.store.database.retry import LOOKING, Patience, driver_words
from cvfp_opt.store.database.rows import change_state
from cvfp_opt.store.database.schema import is_current
from cvfp_opt.store.database.tables import OWN, TRIALS

LOCK_SECONDS = 60

# Our observers report what a study does; Optuna would report it a second time.


class ReadingStorage(RDBStorage):
    """Optuna's storage, with studies and trials read by few queries, see database.reading.

    Attributes that are no JSON stop nobody: their value is None.
    """

    def get_all_studies(self) -> list[FrozenStudy]:
        with self.engine.connect() as connection:
            return read_studies(connection)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        with self.engine.connect() as connection:
            return read_directions(connection, study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        with self.engine.connect() as connection:
            return read_attributes(connection, study_id, system=False)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        with self.engine.connect() as connection:
            return read_attributes(connection, study_id, system=True)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        with self.engine.connect() as connection:
            return read_trial(connection, trial_id)

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        with self.engine.connect() as connection:
            found = read_trials(
                connection,
                study_id,
                states=states,
                beyond=trial_id_greater_than,
                some=included_trial_ids,
            )
        if not found:
            self.get_study_name_from_id(study_id)  # a KeyError if there is no such study
        return found


class CurrentStorage(ReadingStorage):
    """Optuna's storage, to look at tables that are known to be of the current version.

    Optuna's constructor has alembic find that out, which loads all migrations that there ever
    were: a third of the time that a command takes to answer.
    """

    def __init__(self, url: str, engine_arguments: dict[str, Any]) -> None:
        """Open a database, as Optuna's constructor does, but do not check the version."""
        self.url = url
        self.engine_kwargs = engine_arguments
        self.skip_compatibility_check = True
        self.heartbeat_interval = self.grace_period = None
        self.heartbeat_stale_trial_callback = self.failed_trial_callback = None
        self.engine = sqlalchemy.create_engine(url, **engine_arguments)
        self.scoped_session = scoped_session(sessionmaker(bind=self.engine))


class ClaimingStorage(ReadingStorage):
    """Optuna's storage, with enqueued trials claimed exactly once.

    Stock SQLite storage lets two processes claim the same enqueued trial: its
    ``SELECT ... FOR UPDATE`` does nothing there. Here a state changes only from the one expected.
    """

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        if state is not TrialState.RUNNING:
            return super().set_trial_state_values(trial_id, state, values)
        with self.engine.begin() as connection:
            if change_state(connection, trial_id, TrialState.WAITING, TrialState.RUNNING):
                return True
        self.check_trial_is_updatable(trial_id, self.get_trial(trial_id).state)
        return False


class KeptTrials(CachedStorage):
    """Optuna's cache of ended trials, which drops those of a study whose number another one has.

    SQLite gives the numbers of deleted studies and trials to the next ones; whatever stays open
    would take the former study's trials for the new one's. Studies are opened by their names.
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._first: dict[int, Any] = {}

    def get_study_id_from_name(self, study_name: str) -> int:
        study_id = super().get_study_id_from_name(study_name)
        self.forget_former(study_id)
        return study_id

    def forget_former(self, study_id: int) -> None:
        """Drop what is kept of a study of that number if its first trial is another, or gone."""
        if self._backend.engine.dialect.name != "sqlite":
            return
        with self._backend.engine.connect() as connection:
            row = connection.execute(_FIRST_TRIAL, {"of": study_id}).one_or_none()
        first = None if row is None else tuple(row)
        if first is None or self._first.get(study_id, first) != first:
            forget_studies(self, [study_id])
        self._first[study_id] = first


_FIRST_TRIAL = (
    select(TRIALS.c.trial_id, TRIALS.c.datetime_start)
    .where(TRIALS.c.study_id == bindparam("of"))
    .order_by(TRIALS.c.number)
    .limit(1)
)


class Store:
    """An open study database.

    Attributes:
        location: where it lies.
        kind: what is special about databases of its kind.
        storage: what to give to Optuna (cached).
        engine: for transactions of our own.
        patiently: how to ask a database that may be away for a while.
    """

    def __init__(
        self,
        location: Location,
        backend: RDBStorage,
        patiently: Patience = LOOKING,
        watch: FileWatch | None = None,
    ) -> None:
        self.location = location
        self._watch = watch
        self._backend = backend
        self.kind = kind_of(location)
        self.storage: BaseStorage = KeptTrials(backend)
        self.engine: Engine = backend.engine
        self.patiently = patiently

    def lock(self) -> AbstractContextManager[Any]:
        """Take the lock for what must happen once: creation, mirrors. It is not re-entrant."""
        self.check()
        return self.kind.lock(self.location, LOCK_SECONDS)

    def now(self) -> ColumnElement[float]:
        """Make SQL for epoch seconds by the clock that all workers share."""
        return self.kind.now()

    def clock(self) -> float:
        """Read that clock."""
        with self.engine.connect() as connection:
            return connection.scalars(sqlalchemy.select(self.now())).one()

    def forget(self, study_ids: Iterable[int]) -> None:
        """Drop deleted studies from Optuna's cache: SQLite gives their numbers to the next ones.

        Deleting them by the cache would delete those.
        """
        forget_studies(self.storage, study_ids)

    def check(self) -> None:
        """Raise FileGone if what is open is not where it was opened any more."""
        if self._watch is not None:
            self._watch.check()

    def fresh(self) -> "Store":
        """Give the same database with nothing read yet.

        Optuna keeps the ended trials that it has read, by their ids; a database that stays open
        sees studies deleted, and SQLite gives their ids to the next ones.
        """
        return Store(self.location, self._backend, self.patiently, self._watch)

    def close(self) -> None:
        """Close all connections; the last one out folds SQLite's WAL back into the file."""
        self.storage.remove_session()
        self.engine.dispose()
        if self._watch is not None:
            self._watch.close()


@contextmanager
def open_for_search(
    location: Location, patiently: Patience = LOOKING, *, create: bool = True
) -> Iterator[Store]:
    """Open a study database to write to, creating tables (and an SQLite file) if need be.

    Args:
        location: of the database.
        patiently: how to wait for one that is away, now and while it is open.
        create: whether it may be a new one.

    Raises:
        StorageError: see ``check_writable`` of its kind; or the database fails in use.
        FileGone: its file was removed or moved meanwhile.
    """
    with (
        translated(location),
        closing(patiently(lambda: _search_store(location, patiently, create))) as store,
    ):
        yield store
        store.check()


@contextmanager
def open_for_reading(location: Location, patiently: Patience = LOOKING) -> Iterator[Store]:
    """Open an existing study database to look at; changes nothing, not even on a read-only disk.

    Args:
        location: of the database.
        patiently: how to wait for one that is away, now and while it is open.

    Raises:
        StorageError: see ``check_readable`` of its kind; or the database fails in use.
    """
    with (
        translated(location),
        closing(patiently(lambda: _reading_store(location, patiently))) as store,
    ):
        yield store


def _search_store(location: Location, patiently: Patience, create: bool) -> Store:
    kind = kind_of(location)
    if not create:
        kind.check_readable(location)
    kind.check_writable(location)
    if create:
        kind.create(location)
    with translated(location):
        # the first open creates tables: once, or several processes trip over each other
        with kind.lock(location, LOCK_SECONDS):
            with _schema_checked(location):
                backend = ClaimingStorage(
                    kind.writing_url(location), kind.engine_arguments(location)
                )
            try:
                # the constructor's connections were opened before
                kind.set_up(backend.engine)
                OWN.create_all(backend.engine)
                watch = kind.watch(location, backend.engine)
            except BaseException:
                backend.engine.dispose()
                raise
        return Store(location, backend, patiently, watch)


@contextmanager
def open_for_editing(location: Location, patiently: Patience = LOOKING) -> Iterator[Store]:
    """Open a study database that must exist, to change it.

    Args:
        location: of the database.
        patiently: how to wait for one that is away, now and while it is open.

    Raises:
        StorageError: it does not, or cannot be written to.
    """
    with open_for_search(location, patiently, create=False) as store:
        yield store


def _reading_store(location: Location, patiently: Patience) -> Store:
    kind = kind_of(location)
    kind.check_readable(location)
    with translated(location):
        url, arguments = kind.reading_url(location), kind.engine_arguments(location)
        backend: ReadingStorage = CurrentStorage(url, arguments)
        if not is_current(backend.engine):  # then Optuna shall say what they are
            backend.engine.dispose()
            with _schema_checked(location):
                backend = ReadingStorage(url, arguments, skip_table_creation=True)
        return Store(location, backend, patiently)


def has_table(store: Store, table: Table) -> bool:
    """Check if the database has a table of ours: a version that knows it opened it to write."""
    return sqlalchemy.inspect(store.engine).has_table(table.name)


@contextmanager
def translated(location: Location) -> Iterator[None]:
    """Raise database errors, and what damaged values make Optuna raise, as one line of ours."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise StorageError(f"{location.where}: {_failure(location, error)}") from error
    except Timeout:
        raise StorageError(
            f"{location.where}: another process kept the lock {location.file.name}.lock for more "
            f"than {LOCK_SECONDS} s; see what it does, then type the command again"
        ) from None
    except UNREADABLE as error:
        if not damage(error):
            raise
        raise StorageError(f"{location.where}: {_failure(location, error)}") from error


@contextmanager
def _schema_checked(location: Location) -> Iterator[None]:
    """Raise what Optuna's constructor says of the version of its tables as one line of ours."""
    from alembic.util import CommandError

    try:
        yield
    except CommandError as error:  # two versions are noted, say
        reason = f"the version of its tables cannot be read: {error}"
        raise StorageError(
            f"{location.where}: damaged: {reason}; type `cvfp-opt study doctor{location.option}`"
        ) from error
    except RuntimeError as error:
        if "table schema" not in str(error):
            raise
        raise StorageError(
            f"{location.where}: written by an older Optuna; make a copy, then type "
            f"`optuna storage upgrade --storage {quoted(location.shown)}`"
        ) from None


def _failure(location: Location, error: BaseException) -> str:
    if found := damage(error):
        return f"damaged: {found}; type `cvfp-opt study doctor{location.option}`"
    return f"the database failed: {location.redacted(driver_words(error))}"
