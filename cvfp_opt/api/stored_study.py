"""A study as a thing in a database: where it is, and what is done with it as a whole."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cvfp_opt.api.looking import ReadableStudy
from cvfp_opt.api.opening import artifacts_of, locate, open_summary
from cvfp_opt.api.required import require_text
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.record.summary import Summary

if TYPE_CHECKING:
    from cvfp_opt.store.doctor.examination import Report
    from cvfp_opt.store.transfer.operations import Exported, Place


class StoredStudy(ReadableStudy):
    """A study in a database that this program can open.

    Args:
        name: the study's name.
        storage: path or URL of its database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        artifacts: where files of its trials lie; None for CVFP_OPT_ARTIFACTS, or beside it.

    Attributes:
        name: the study's name.
        location: place of its database.
        artifacts: as given.
    """

    def __init__(
        self,
        name: str,
        storage: str | os.PathLike[str] | Location | None = None,
        *,
        artifacts: str | None = None,
    ) -> None:
        require_text("name", name)
        self.name = name
        self.location = locate(storage)
        self.artifacts = artifacts_of(artifacts)

    def look(self) -> Summary:
        """Take a snapshot of the study, from which all reports start.

        Raises:
            StudyError: it is not there any more.
            StorageError: its database cannot be read.
        """
        with open_summary(self.location, self.name) as summary:
            return summary

    @property
    def place(self) -> "Place":
        """Its database and artifacts, for transfers."""
        from cvfp_opt.store.transfer.operations import Place

        return Place(location=self.location, artifacts=self.artifacts)

    def export(self, path: str | os.PathLike[str]) -> "Exported":
        """Write the study, its mirrors and artifacts to one new file; workers may go on.

        Raises:
            ArchiveError: the file exists, is not called ``*.zip``, or cannot be written.
        """
        from cvfp_opt.store.transfer.operations import export_study

        return export_study(self.place, self.name, Path(path))

    def copy(
        self,
        to: str | os.PathLike[str] | Location,
        *,
        name: str | None = None,
        artifacts: str | None = None,
    ) -> Self:
        """Copy it to another database; return the copy.

        Args:
            to: path or URL of that database.
            name: the copy's name; None for the same.
            artifacts: where files of its trials go.

        Raises:
            StudyError: there is one of that name.
        """
        from cvfp_opt.store.transfer.operations import copy_study

        copy = type(self)(name or self.name, to, artifacts=artifacts)
        copy_study(self.place, self.name, copy.place, name)
        return copy

    def rename(self, name: str) -> None:
        """Give it another name. Raises StudyError if that is taken."""
        from cvfp_opt.api.changing import rename

        require_text("name", name)
        rename(self.location, self.name, name)
        self.name = name

    def delete(self, *, force: bool = False) -> None:
        """Delete it with all its trials, mirrors and checkpoints. There is no way back.

        Args:
            force: even if workers run it; they stop with an error.

        Raises:
            StudyError: workers run it.
        """
        from cvfp_opt.api.changing import delete

        delete(self.location, self.name, self.artifacts, force=force)

    def doctor(self, *, repair: bool = False) -> "Report":
        """Look for faults in it and in the files beside it.

        Args:
            repair: mend what is safe to mend.
        """
        from cvfp_opt.api.changing import examined
        from cvfp_opt.store.doctor.examination import Patient

        patient = Patient(location=self.location, artifacts=self.artifacts, study=self.name)
        return examined(patient, repair=repair)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoredStudy):
            return NotImplemented
        return (self.name, self.location) == (other.name, other.location)

    def __hash__(self) -> int:
        return hash((self.name, self.location))
