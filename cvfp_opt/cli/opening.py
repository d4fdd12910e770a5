"""Open the study that a command names, to look at it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cvfp_opt.store.database.retry import Patience
    from cvfp_opt.store.record.summary import Summary


@contextmanager
def open_study(
    storage: str | None, study_name: str | None, patiently: "Patience | None" = None
) -> "Iterator[Callable[[], Summary]]":
    """Open a study, the only one if none is named; give what takes its summary again and again."""
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.store.database.retry import LOOKING
    from cvfp_opt.store.database.storage import open_for_reading
    from cvfp_opt.store.record.studies import load_study, only_study_name, optuna_version
    from cvfp_opt.store.record.summary import Summary

    location = resolve_location(storage)
    with open_for_reading(location, patiently or LOOKING) as store:
        name = study_name or store.patiently(lambda: only_study_name(store))
        optuna = store.patiently(lambda: optuna_version(store))

        def look() -> Summary:
            return Summary.of(load_study(store, name), location.shown, optuna)

        yield lambda: store.patiently(look)


@contextmanager
def open_summary(
    storage: str | None, study_name: str | None, patiently: "Patience | None" = None
) -> "Iterator[Summary]":
    """Take the summary of a study; of the only one there is if none is named."""
    with open_study(storage, study_name, patiently) as look:
        yield look()
