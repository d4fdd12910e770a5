"""The Optuna storage that several processes can trust: WAL, claims by compare-and-swap."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import optuna
import sqlalchemy
from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.location import (
    Location,
    check_readable,
    check_writable,
    create_private,
)
from cvfp_opt.store.leases import LEASE, Lease

BUSY_SECONDS = 60

# What a study does is told by the observers; Optuna would tell it a second time.
optuna.logging.set_verbosity(optuna.logging.WARNING)


class LeasedStorage(RDBStorage):
    """Optuna's storage, with trials claimed exactly once and marked with who runs them.

    Stock SQLite storage lets two processes claim the same enqueued trial (its
    ``SELECT ... FOR UPDATE`` does nothing there) and forgets who claimed a trial. Here state and
    lease change in one transaction, and only from the state that was expected.
    """

    def __init__(self, url: str, lease: Lease) -> None:
        super().__init__(url, engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}})
        self.lease = lease
        # The constructor's connections were opened before this hook was set.
        sqlalchemy.event.listen(self.engine, "connect", _set_pragmas)
        self.engine.dispose()

    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        if template_trial is None:
            template_trial = create_trial(
                state=TrialState.RUNNING, system_attrs={LEASE: self.lease.to_dict()}
            )
        return super()._create_new_trial(study_id, template_trial)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        if state is not TrialState.RUNNING:
            return super().set_trial_state_values(trial_id, state, values)
        started = datetime.now(UTC).replace(tzinfo=None)
        with self.scoped_session() as session, session.begin():
            won = _change_state(session, trial_id, TrialState.WAITING, state, started)
            if won:
                self._set_trial_attr_without_commit(
                    session,
                    models.TrialSystemAttributeModel,
                    trial_id,
                    LEASE,
                    self.lease.to_dict(),
                )
        return won

    def give_back(self, trial_id: int) -> bool:
        """Make a running trial wait again with its number and parameters, as if never started.

        All that the broken-off run reported goes in the same transaction, so that the next run
        of the trial leaves exactly what an undisturbed one would. False if it was not running.
        """
        with self.scoped_session() as session, session.begin():
            if not _change_state(session, trial_id, TrialState.RUNNING, TrialState.WAITING, None):
                return False
            for model in (models.TrialIntermediateValueModel, models.TrialUserAttributeModel):
                session.execute(sqlalchemy.delete(model).where(model.trial_id == trial_id))
        return True


def _change_state(
    session: Session,
    trial_id: int,
    before: TrialState,
    after: TrialState,
    started: datetime | None,
) -> bool:
    trials = models.TrialModel.__table__
    changed = session.connection().execute(
        sqlalchemy.update(trials)
        .where(trials.c.trial_id == trial_id, trials.c.state == before)
        .values(state=after, datetime_start=started)
    )
    return changed.rowcount == 1


def _set_pragmas(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


class Store:
    """An open study database.

    Attributes:
        location: where it lies.
        storage: what to give to Optuna (cached).
    """

    def __init__(self, location: Location, backend: RDBStorage) -> None:
        self.location = location
        self.storage: BaseStorage = get_storage(backend)
        self._backend = backend

    def lock(self) -> FileLock:
        """The lock for what must happen once: creation, claims, mirrors. Re-entrant per object."""
        return FileLock(f"{self.location.path}.lock", timeout=BUSY_SECONDS, mode=0o600)

    def give_back(self, trial_id: int) -> bool:
        """See ``LeasedStorage.give_back``."""
        assert isinstance(self._backend, LeasedStorage), "opened for reading"
        return self._backend.give_back(trial_id)

    def close(self) -> None:
        """Close all connections; the last one out folds SQLite's WAL back into the file."""
        self.storage.remove_session()
        self._backend.engine.dispose()


@contextmanager
def open_for_search(location: Location) -> Iterator[Store]:
    """Open a study database to write to, creating it if it does not exist.

    Raises:
        StorageError: see ``check_writable``; or the database fails in use.
    """
    check_writable(location)
    create_private(location)
    with _translated(location):
        # the first open creates tables: once, or several processes trip over each other
        with FileLock(f"{location.path}.lock", timeout=BUSY_SECONDS, mode=0o600):
            backend = LeasedStorage(location.url, Lease.of_this_process())
        with closing(Store(location, backend)) as store:
            yield store


@contextmanager
def open_for_reading(location: Location) -> Iterator[Store]:
    """Open an existing study database to look at; changes nothing, not even on a read-only disk.

    Raises:
        StorageError: see ``check_readable``; or the database fails in use.
    """
    check_readable(location)
    with _translated(location):
        url = f"sqlite:///{location.path.as_uri()}?mode=ro&uri=true"
        backend = RDBStorage(
            url,
            engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}},
            skip_table_creation=True,
        )
        with closing(Store(location, backend)) as store:
            yield store


@contextmanager
def _translated(location: Location) -> Iterator[None]:
    """Database errors as one line of ours."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ or error
        original = getattr(cause, "orig", None) or cause
        raise StorageError(f"{location.path}: the database failed: {original}") from error
    except Timeout:
        raise StorageError(
            f"{location.path}: another process kept the lock {location.path.name}.lock for more "
            f"than {BUSY_SECONDS} s; see what it does, then type the command again"
        ) from None
    except RuntimeError as error:
        if "table schema" not in str(error):
            raise
        raise StorageError(
            f"{location.path}: written by an older Optuna; make a copy, then type "
            f"`optuna storage upgrade --storage {location.url}`"
        ) from None
