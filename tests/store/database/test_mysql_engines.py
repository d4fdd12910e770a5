"""MariaDB's tables without transactions: refused before anything is written; readable."""

import optuna
import pytest
import sqlalchemy
from doctoring import fill
from sqlalchemy.pool import NullPool

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.storage import open_for_reading, open_for_search
from cvfp_opt.store.doctor.examination import Patient, examine
from cvfp_opt.store.record.studies import study_names
from cvfp_opt.store.transfer.operations import Place, copy_study

pytestmark = pytest.mark.parametrize("empty_location", ["mysql"], indirect=True)

BY_DEFAULT = "SET default_storage_engine=MyISAM"
NOT_SAFE = "information_schema.tables WHERE table_schema = DATABASE() AND engine <> 'InnoDB'"


@pytest.fixture
def location(empty_location: Location) -> Location:
    return empty_location


def execute(location: Location, *statements: str) -> list[tuple[object, ...]]:
    """By a connection of another program; the rows of the last one."""
    engine = sqlalchemy.create_engine(location.url, poolclass=NullPool)
    with engine.connect() as connection:
        for statement in statements:
            result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []


def make_tables_of_myisam(location: Location) -> None:
    """As Optuna does, on a server that makes such tables by default."""
    execute(location, "ALTER DATABASE CHARACTER SET latin1")  # whose keys are short enough
    arguments = {"connect_args": {"init_command": BY_DEFAULT}}
    storage = optuna.storages.RDBStorage(location.url, engine_kwargs=arguments)
    optuna.create_study(study_name="theirs", storage=storage)
    storage.engine.dispose()


def test_tables_without_transactions_are_refused_with_what_to_type(location: Location) -> None:
    make_tables_of_myisam(location)
    found = execute(location, f"SELECT table_name FROM {NOT_SAFE}")
    with (
        pytest.raises(StorageError, match="transactions are required, got MyISAM for ") as caught,
        open_for_search(location),
    ):
        pass
    fill(resolve_location("x.db"))
    with pytest.raises(StorageError, match="transactions are required, got MyISAM for "):
        copy_study(Place(location=resolve_location("x.db")), "s", Place(location=location), None)
    with open_for_reading(location) as store:
        assert study_names(store) == ["theirs"]
    [fault] = [one for one in examine(Patient(location=location)).faults if "MyISAM" in one.what]
    assert fault.repair is None
    assert execute(location, f"SELECT table_name FROM {NOT_SAFE}") == found
    cure = str(caught.value).partition("type on the server: ")[2]
    assert fault.help.endswith(cure)
    execute(location, *filter(None, map(str.strip, cure.split(";"))))
    fill(location)
    assert execute(location, f"SELECT table_name FROM {NOT_SAFE}") == []


def test_one_such_table_is_enough(location: Location) -> None:
    with open_for_search(location):
        pass
    execute(location, "ALTER TABLE cvfp_opt_leases ENGINE=Aria")
    with (
        pytest.raises(StorageError, match="got Aria for cvfp_opt_leases; stop all workers"),
        open_for_search(location),
    ):
        pass


def test_tables_are_made_of_innodb_or_not_at_all(location: Location) -> None:
    url = sqlalchemy.make_url(location.url).update_query_dict({"init_command": BY_DEFAULT})
    other = resolve_location(url.render_as_string(hide_password=False))
    with (
        pytest.raises(StorageError, match="this server makes tables of MyISAM, which has none"),
        open_for_search(other),
    ):
        pass
    assert execute(location, "SHOW TABLES") == []
    with open_for_search(location) as store, store.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT @@default_storage_engine").scalar() == "InnoDB"
