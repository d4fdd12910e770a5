"""The artifact store as the dashboard sees it."""

import re
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from bottle import HTTPError
from optuna.artifacts.exceptions import ArtifactNotFound
from sqlalchemy import func, or_, select

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import STUDY_SYSTEM_ATTRIBUTES, SYSTEM_ATTRIBUTES
from cvfp_opt.store.files.artifact_names import artifact_key
from cvfp_opt.store.files.artifact_stores import ArtifactStore

# Ids that the dashboard's own routes take.
_ID = re.compile(r"[0-9a-fA-F-]{1,200}")
# The text that the dashboard writes in the place of an artifact that was removed.
_REMOVED = '"null"'


@dataclass(frozen=True)
class NamedArtifacts:
    """An ArtifactStore of only those artifacts that the database names.

    The dashboard asks for whatever it is asked for: it removes any id, and fails where a file is
    missing.

    Attributes:
        artifacts: where they lie.
        store: the database that names them.
    """

    artifacts: ArtifactStore
    store: Store

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open an artifact; answer 404 for what is not named, or not there any more."""
        if not self._named(artifact_id):
            _not_found()
        try:
            return self.artifacts.open_reader(artifact_id)
        except ArtifactNotFound:
            _not_found()

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a new artifact, and no other: the dashboard names one after it is written."""
        try:
            with closing(self.artifacts.open_reader(artifact_id)):
                raise HTTPError(409, "there is such an artifact already")
        except ArtifactNotFound:
            self.artifacts.write(artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        """Remove an artifact, also one that is gone: else no study of it could be deleted."""
        if not self._named(artifact_id):
            raise ArtifactNotFound(artifact_id)
        try:
            self.artifacts.remove(artifact_id)
        except ArtifactNotFound:
            return

    def _named(self, artifact_id: str) -> bool:
        if not _ID.fullmatch(artifact_id):
            return False
        key = artifact_key(artifact_id)
        old = STUDY_SYSTEM_ATTRIBUTES.c.key.like(f"dashboard:{artifact_key('%')}:{artifact_id}")
        names = (
            (SYSTEM_ATTRIBUTES, SYSTEM_ATTRIBUTES.c.key == key),
            (STUDY_SYSTEM_ATTRIBUTES, or_(STUDY_SYSTEM_ATTRIBUTES.c.key == key, old)),
        )
        with self.store.engine.connect() as connection:
            return any(
                connection.scalar(
                    select(func.count()).where(is_named, table.c.value_json != _REMOVED)
                )
                for table, is_named in names
            )


def _not_found() -> NoReturn:
    raise HTTPError(404, "there is no such artifact")
