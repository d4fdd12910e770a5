"""Names of artifacts in a database: studies and trials have a system attribute for each."""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict

from sqlalchemy import Connection, delete, select

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.rows import PendingWrites, write_pending
from cvfp_opt.store.database.sqlite import databases_beside, reading
from cvfp_opt.store.database.tables import STUDY_SYSTEM_ATTRIBUTES, SYSTEM_ATTRIBUTES

# The beginning of Optuna's keys of system attributes that name artifacts.
PREFIX = "artifacts:"
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,199}")


def is_id(artifact_id: str) -> bool:
    """Check whether an artifact's id can name nothing but a file of its folder."""
    return _ID.fullmatch(artifact_id) is not None


def checked_id(artifact_id: str) -> str:
    """Return an artifact's id that can name nothing but a file of its folder.

    Raises:
        StorageError: it is empty, too long, hidden, or has other characters than a name needs.
    """
    if not is_id(artifact_id):
        raise StorageError(
            "an artifact's id: up to 200 letters, digits, '.', '_' and '-' are required, the "
            f"first one a letter or digit, got {artifact_id[:80]!r}"
        )
    return artifact_id


def artifact_key(artifact_id: str) -> str:
    """Give the key of the system attribute that names an artifact."""
    return f"{PREFIX}{artifact_id}"


def artifact_attribute(artifact_id: str, filename: str, mimetype: str) -> tuple[str, str]:
    """Make key and value of the system attribute by which Optuna's tools find an artifact."""
    from optuna.artifacts import ArtifactMeta  # which imports boto3, if there is one

    meta = ArtifactMeta(
        artifact_id=artifact_id, filename=filename, mimetype=mimetype, encoding=None
    )
    return artifact_key(artifact_id), json.dumps(asdict(meta))


def artifact_ids(keys: Iterable[str]) -> list[str]:
    """List the ids that system attributes name, by their keys; some may be none, see ``is_id``."""
    return [key.removeprefix(PREFIX) for key in keys if key.startswith(PREFIX)]


def all_artifact_ids(connection: Connection) -> set[str]:
    """Find the ids of all artifacts that any study or trial of a database names."""
    found: set[str] = set()
    for table in (SYSTEM_ATTRIBUTES, STUDY_SYSTEM_ATTRIBUTES):
        query = select(table.c.key).where(table.c.key.startswith(PREFIX, autoescape=True))
        found.update(filter(is_id, artifact_ids(connection.scalars(query))))
    return found


def named_beside(location: Location) -> set[str]:
    """Find the ids that other SQLite databases in the same folder name.

    By default they have one folder of artifacts, and copies of a study have the same files there.
    """
    found: set[str] = set()
    for path in databases_beside(location.path) if location.path else ():
        with suppress(StorageError), reading(path) as connection:  # or it is no study database
            for table in (SYSTEM_ATTRIBUTES, STUDY_SYSTEM_ATTRIBUTES):
                query = f"SELECT key FROM {table.name} WHERE key LIKE '{PREFIX}%'"
                keys = [key for (key,) in connection.execute(query)]
                found.update(filter(is_id, artifact_ids(keys)))
    return found


def name_artifacts(connection: Connection, trial_id: int, attributes: Mapping[str, str]) -> None:
    """Name artifacts as a trial's that has ended: Optuna itself refuses that."""
    write_pending(connection, trial_id, PendingWrites(system_attrs=dict(attributes)))


def forget_artifacts(
    connection: Connection, ids: Iterable[str], trial_id: int | None = None
) -> None:
    """Delete the names of artifacts from a trial, or with None from all trials."""
    columns = SYSTEM_ATTRIBUTES.c
    query = delete(SYSTEM_ATTRIBUTES).where(columns.key.in_(list(map(artifact_key, ids))))
    if trial_id is not None:
        query = query.where(columns.trial_id == trial_id)
    connection.execute(query)
