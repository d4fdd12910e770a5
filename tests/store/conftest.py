"""A study and its workers, on each kind of database."""

from collections.abc import Iterator

import optuna
import pytest
from claiming import Workers

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_search


@pytest.fixture
def store(location: Location) -> Iterator[Store]:
    """An open, empty database."""
    with open_for_search(location) as opened:
        yield opened


@pytest.fixture
def study(store: Store) -> optuna.Study:
    """An empty study."""
    return optuna.create_study(study_name="s", storage=store.storage, direction="maximize")


@pytest.fixture
def workers(store: Store, study: optuna.Study) -> Workers:
    """See ``Workers``."""
    return Workers(store, study)
