"""Open the study that somebody names, to look at it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cvfp_opt.errors import StorageError

if TYPE_CHECKING:
    from cvfp_opt.store.database.location import Location
    from cvfp_opt.store.database.retry import Patience
    from cvfp_opt.store.record.summary import Summary


def locate(storage: "str | os.PathLike[str] | Location | None") -> "Location":
    """Find the database that a path or URL names; None for CVFP_OPT_STORAGE, or the usual one.

    Raises:
        StorageError: a URL of another kind of database, or one that cannot be understood.
    """
    from cvfp_opt.store.database.location import ENVIRONMENT, Location, resolve_location

    if isinstance(storage, Location):
        return storage
    if storage is not None and not isinstance(storage, str | os.PathLike):
        raise StorageError(f"storage: a path or URL is required, got {type(storage).__name__}")
    named = os.environ.get(ENVIRONMENT) if storage is None else os.fspath(storage)
    return resolve_location(named or None if storage is None else named)


def artifacts_of(artifacts: str | None) -> str | None:
    """Give where files of trials lie; None for CVFP_OPT_ARTIFACTS, or the usual place.

    Raises:
        StorageError: it is no path.
    """
    if artifacts is not None and not isinstance(artifacts, str | os.PathLike):
        got = type(artifacts).__name__
        raise StorageError(f"artifacts: a path or s3://BUCKET/PREFIX is required, got {got}")
    return (artifacts and os.fspath(artifacts)) or os.environ.get("CVFP_OPT_ARTIFACTS") or None


@contextmanager
def open_study(
    location: "Location", study_name: str | None, patiently: "Patience | None" = None
) -> "Iterator[Callable[[], Summary]]":
    """Open a study, the only one if none is named; give what takes its summary again and again."""
    from cvfp_opt.store.database.retry import LOOKING
    from cvfp_opt.store.database.storage import open_for_reading
    from cvfp_opt.store.record.studies import load_study, only_study_name, optuna_version
    from cvfp_opt.store.record.summary import Summary

    with open_for_reading(location, patiently or LOOKING) as store:
        name = study_name or store.patiently(lambda: only_study_name(store))
        optuna = store.patiently(lambda: optuna_version(store))

        def look() -> Summary:
            study = load_study(store, name)
            return Summary.of(study, location.shown, optuna, option=location.option)

        yield lambda: store.patiently(look)


@contextmanager
def open_summary(
    location: "Location", study_name: str | None, patiently: "Patience | None" = None
) -> "Iterator[Summary]":
    """Take the summary of a study; of the only one there is if none is named."""
    with open_study(location, study_name, patiently) as look:
        yield look()
