"""Databases whose tables belong to another program, or are not all there yet."""

import pytest
import sqlalchemy
from optuna.storages._rdb.models import BaseModel

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.schema import CURRENT, is_current, optuna_schemas
from cvfp_opt.store.database.storage import open_for_reading, open_for_search
from cvfp_opt.tuning.plan import Request, make_plan


@pytest.fixture
def location(empty_location: Location) -> Location:
    return empty_location


def make_tables(location: Location, count: int) -> None:
    """What is there if the maker died after so many of Optuna's 12 tables."""
    engine = sqlalchemy.create_engine(location.url)
    tables = BaseModel.metadata.sorted_tables
    BaseModel.metadata.create_all(engine, tables=tables[:count])
    engine.dispose()


@pytest.mark.parametrize("count", [1, 4, 12])
def test_what_a_dead_maker_left_is_explained_and_finished_by_the_next(
    location: Location, count: int
) -> None:
    make_tables(location, count)
    cut_short = pytest.raises(StorageError, match="being made just now, or its making was cut")
    with cut_short, open_for_reading(location):
        pass
    assert not kind_of(location).has_database(location)
    make_plan(location, Request(definition="quick"))
    with open_for_search(location) as store:
        assert store.storage.get_all_studies() == []
    with open_for_reading(location) as store:
        assert store.storage.get_all_studies() == []


def test_another_programs_tables_are_refused(location: Location) -> None:
    engine = sqlalchemy.create_engine(location.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE songs (name varchar(20))")
    engine.dispose()
    kind = kind_of(location)
    for check in (kind.check_readable, kind.check_writable):
        with pytest.raises(StorageError, match=r"another program \(its tables: songs\)"):
            check(location)


def test_tables_of_another_program_may_have_the_names_of_ours(location: Location) -> None:
    engine = sqlalchemy.create_engine(location.url)
    with engine.begin() as connection:
        for name in ("studies", "trials"):
            connection.exec_driver_sql(f"CREATE TABLE {name} (id integer, title varchar(20))")
    kind = kind_of(location)
    for check in (kind.check_readable, kind.check_writable):
        with pytest.raises(StorageError, match=r"another program \(its tables: studies, trials\)"):
            check(location)
    refused = pytest.raises(StorageError, match="another program")
    with refused, open_for_search(location):
        pass
    assert sorted(sqlalchemy.inspect(engine).get_table_names()) == ["studies", "trials"]
    engine.dispose()


def test_the_current_version_is_the_one_that_optuna_writes(location: Location) -> None:
    assert optuna_schemas()[0] == CURRENT
    with open_for_search(location) as store:
        assert is_current(store.engine)
        with store.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE version_info SET schema_version = 11")
        assert not is_current(store.engine)
