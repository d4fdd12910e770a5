"""Studies on their way, and databases looked through: the public functions."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cvfp_opt.api.opening import artifacts_of, locate
from cvfp_opt.api.study import Study
from cvfp_opt.errors import DefinitionError
from cvfp_opt.store.database.location import Location

if TYPE_CHECKING:
    from cvfp_opt.store.doctor.examination import Report


def import_study(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    storage: str | os.PathLike[str] | Location | None = None,
    artifacts: str | None = None,
) -> Study:
    """Read a study from a file that `Study.export` wrote: all of it, or nothing.

    Args:
        path: path of the file.
        name: the study's name here; None for the one that it had.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        artifacts: where files of its trials go.

    Raises:
        ArchiveError: it is no such file, or not a whole one.
        StudyError: there is a study of that name.
    """
    from cvfp_opt.store.transfer.operations import Place
    from cvfp_opt.store.transfer.operations import import_study as import_file

    location = locate(storage)
    loaded = import_file(
        Path(path), name, Place(location=location, artifacts=artifacts_of(artifacts))
    )
    return Study(loaded.dump.study.name, location, artifacts=artifacts)


def merge(
    studies: Sequence[Study | str],
    name: str,
    *,
    storage: str | os.PathLike[str] | Location | None = None,
    artifacts: str | None = None,
) -> Study:
    """Make one new study of several that were searched apart; they are left as they are.

    Args:
        studies: two or more: studies; or names in this database, exported files, or ``URL#NAME``.
        name: the new study's name.
        storage: path or URL of its database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        artifacts: where files of its trials go.

    Raises:
        StudyError: they cannot be joined, or there is a study of that name.
    """
    from cvfp_opt.store.transfer.operations import Place, merge_studies
    from cvfp_opt.tuning.drift import disagreements

    if isinstance(studies, str) or len(studies) < 2:
        raise DefinitionError(f"two or more studies are required, got {studies!r}")
    place = Place(location=locate(storage), artifacts=artifacts_of(artifacts))
    names = [_word(one, place.location) for one in studies]
    merge_studies(names, name, place, disagreements)
    return Study(name, place.location, artifacts=artifacts)


def doctor(
    *,
    storage: str | os.PathLike[str] | Location | None = None,
    artifacts: str | None = None,
    repair: bool = False,
) -> "Report":
    """Look for faults in a study database and the files beside it.

    Args:
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        artifacts: where files of trials lie; None for CVFP_OPT_ARTIFACTS, or beside it.
        repair: mend what is safe to mend.

    Returns:
        What was found and is left, in its ``faults``.

    Raises:
        StorageError: there is no such database.
    """
    from cvfp_opt.api.changing import examined
    from cvfp_opt.store.doctor.examination import Patient

    patient = Patient(location=locate(storage), artifacts=artifacts_of(artifacts))
    return examined(patient, repair=repair)


def _word(study: Study | str, here: Location) -> str:
    """Name a study as the command line does."""
    if isinstance(study, str):
        return study
    if study.location == here:
        return study.name
    where = study.location.url if study.location.path is None else str(study.location.path)
    return f"{where}#{study.name}"
