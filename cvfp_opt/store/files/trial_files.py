"""Files of trials that have ended, as artifacts: their curves, and the best networks.

Ids follow from the trial's identity, so that whoever writes a file again writes it to the same
place, and copies of a study share it.
"""

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any

from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import TrialState
from sqlalchemy import Connection, func, select

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.constraints import is_infeasible_row
from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.number_checks import is_finite
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import SYSTEM_ATTRIBUTES, TRIALS, USER_ATTRIBUTES
from cvfp_opt.store.files.artifact_names import (
    PREFIX,
    artifact_attribute,
    artifact_ids,
    artifact_key,
    forget_artifacts,
    named_beside,
)
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.files.snapshot_format import Arrays, encode, read_arrays, read_head
from cvfp_opt.store.files.trial_checkpoints import BINARY

# The last part of an id begins so; "-1" and "-2" are checkpoints.
_CURVES, _NETWORK = "-c", "-f"
_CURVES_ID = re.compile(r"[0-9a-f]+-c[0-9a-f]{12}")
SVG, CSV = "image/svg+xml", "text/csv"
# Networks that a study keeps, of its best trials; one has 57 MB at the standard size.
MAX_NETWORKS = 3

_NAMED = SYSTEM_ATTRIBUTES.c


@dataclass(frozen=True, kw_only=True)
class File:
    """A small file; by ``name`` and ``mimetype`` a browser shows ``text``."""

    name: str
    mimetype: str
    text: str


def write_curves(store: ArtifactStore, trial: str, files: Sequence[File]) -> dict[str, str]:
    """Write files of a trial, curves for instance.

    Their ids depend on their content: one that another version wrote otherwise is another file.

    Args:
        trial: its uuid, see record.identity.

    Returns:
        The system attributes by which the trial is to name them.

    Raises:
        StorageError: the store refuses.
    """
    found = {}
    for file in files:
        content = file.text.encode()
        digest = hashlib.sha256(content).hexdigest()[:12]
        artifact_id = f"{trial}{_CURVES}{digest}"
        store.write(artifact_id, io.BytesIO(content))
        key, value = artifact_attribute(artifact_id, file.name, file.mimetype)
        found[key] = value
    return found


def has_curves(system_attrs: Mapping[str, Any], trial: str) -> bool:
    """Check whether a trial names curves."""
    return any(one.startswith(f"{trial}{_CURVES}") for one in artifact_ids(system_attrs))


def picture_id(system_attrs: Mapping[str, Any]) -> str:
    """Find the id of the picture among a trial's curves; "" if it names none."""
    for artifact_id in artifact_ids(system_attrs):
        if _CURVES_ID.fullmatch(artifact_id):
            meta = parsed(system_attrs[artifact_key(artifact_id)])
            if isinstance(meta, dict) and meta.get("mimetype") == SVG:
                return artifact_id
    return ""


def read_network(artifacts: ArtifactStore, trial: str) -> Arrays | None:
    """Read the weights that were kept of a trial, by name; None if they were not, or are damaged.

    Args:
        trial: its uuid, see record.identity.
    """
    try:
        with closing(artifacts.open_reader(f"{trial}{_NETWORK}")) as file:
            return read_arrays(file, read_head(file, "network"), "network")
    except (ArtifactNotFound, StorageError):
        return None


@dataclass(frozen=True, kw_only=True)
class Networks:
    """The networks of a study's best trials.

    Attributes:
        store: the database.
        artifacts: where they lie.
        study_id: of the study.
        count: how many are kept.
    """

    store: Store
    artifacts: ArtifactStore
    study_id: int
    count: int = MAX_NETWORKS

    def is_kept(self, score: float, *, feasible: bool = True) -> bool:
        """Check whether a complete trial is among the best, to keep its network.

        Args:
            score: of the trial.
            feasible: whether it violates no constraint; those that do come after all others.
        """
        if not isfinite(score):
            return False
        with self.store.engine.connect() as connection:
            kept = self._kept(connection)
        return len(kept) < self.count or (feasible, score) > kept[self.count - 1].worth

    def write(self, trial: str, arrays: Arrays, values: dict[str, Any]) -> dict[str, str]:
        """Write a trial's network; see ``write_curves``.

        Args:
            arrays: its weights, by name.
            values: plain JSON, what they belong to.
        """
        artifact_id = f"{trial}{_NETWORK}"
        self.artifacts.write(artifact_id, encode(arrays, values))
        return dict([artifact_attribute(artifact_id, "network.safetensors", BINARY)])

    def thin(self) -> None:
        """Remove the networks of trials that are not among the best any more.

        Raises:
            StorageError: the store of artifacts refuses; the trial does not name it any more.
        """
        with self.store.engine.begin() as connection:
            over = self._kept(connection)[self.count :]
            for one in over:
                forget_artifacts(connection, [one.artifact_id], one.trial_id)
            unnamed = [one for one in over if not _is_named(connection, one.artifact_id)]
        elsewhere = named_beside(self.store.location) if unnamed else set()
        for one in unnamed:
            if one.artifact_id in elsewhere:
                continue
            with suppress(ArtifactNotFound):
                self.artifacts.remove(one.artifact_id)

    def _kept(self, connection: Connection) -> "list[_Kept]":
        """Read which networks are named, best trial first."""
        rows = connection.execute(
            select(_NAMED.trial_id, _NAMED.key, USER_ATTRIBUTES.c.value_json, is_infeasible_row())
            .join(TRIALS, TRIALS.c.trial_id == _NAMED.trial_id)
            .join(USER_ATTRIBUTES, USER_ATTRIBUTES.c.trial_id == _NAMED.trial_id)
            .where(
                TRIALS.c.study_id == self.study_id,
                TRIALS.c.state == TrialState.COMPLETE,
                _NAMED.key.like(f"{PREFIX}%{_NETWORK}"),
                USER_ATTRIBUTES.c.key == "scored",
            )
        )
        kept = [
            _Kept(trial_id, key.removeprefix(PREFIX), (not infeasible, _score(scored)))
            for trial_id, key, scored, infeasible in rows
        ]
        kept.sort(key=lambda one: one.trial_id)
        return sorted(kept, key=lambda one: one.worth, reverse=True)


@dataclass(frozen=True)
class _Kept:
    trial_id: int
    artifact_id: str
    worth: tuple[bool, float]  # whether it is feasible, and its score


def _score(scored: str) -> float:
    value = parsed(scored)
    score: Any = value.get("score") if isinstance(value, dict) else None
    return float(score) if is_finite(score) else float("-inf")


def _is_named(connection: Connection, artifact_id: str) -> bool:
    named = _NAMED.key == artifact_key(artifact_id)
    return bool(
        connection.scalar(select(func.count()).select_from(SYSTEM_ATTRIBUTES).where(named))
    )
