"""Checkpoints of a trial: whoever takes it over goes on from the last one."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cvfp_opt.errors import StorageError
from cvfp_opt.store.files.artifact_names import artifact_key
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.files.trial_checkpoints import TrialCheckpoints
from cvfp_opt.store.record.differences import differences
from cvfp_opt.training.data import Tokens
from cvfp_opt.training.snapshot import Snapshot
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.limits import CHECKPOINT_SECONDS
from cvfp_opt.tuning.snapshot_arrays import BITS_DEPEND_ON, arrays_of, snapshot_of

# Checkpoints may cost at most this share of a trial's time, however slow the store is.
MAX_SHARE = 0.05

# A trial goes on where these differ; other code is another objective.
_MAY_DIFFER = (*(key for key in BITS_DEPEND_ON if key != "code"), "lanes")


@dataclass(frozen=True, kw_only=True)
class Checkpointing:
    """Where running trials keep checkpoints, and how often.

    Attributes:
        artifacts: where.
        code: digests of the user's own functions: with other code it is another trial.
        every: seconds between two of a trial; 0 for one after each iteration.
    """

    artifacts: ArtifactStore
    code: dict[str, str]
    every: float = CHECKPOINT_SECONDS


class TrialKeeper:
    """A Keeper of one trial that this worker has claimed; one for each time it is claimed.

    Args:
        checkpoints: where, and how often.
        trial: its uuid, see store.record.identity.
        definition: of the study.
        tokens: of its text.
        environment: of this worker, as it is written to its trials.
        register: (key, value) to write a system attribute of the trial; what it raises ends the
            run.
        notify: given a line each on what was found and what could not be kept.

    Attributes:
        restored: iterations that are not repeated. The observer is notified of them again, as of
            all others, before the trial goes on.
    """

    def __init__(
        self,
        *,
        checkpoints: Checkpointing,
        trial: str,
        definition: StudyDefinition,
        tokens: Tokens,
        environment: Mapping[str, Any],
        register: Callable[[str, str], None],
        notify: Callable[[str], None],
    ) -> None:
        self.restored = 0
        self._checkpoints = TrialCheckpoints(checkpoints.artifacts, trial)
        self._belongs = {
            "trial": trial,
            "definition": definition.digest(),
            "data": tokens.digest,
            "embedding": tokens.sources["embedding"].get("digest", ""),
            "code": checkpoints.code,
        }
        self._environment = {key: environment.get(key) for key in _MAY_DIFFER}
        self._register = register
        self._notify = notify
        self._every = checkpoints.every
        self._failing = False
        self._due = time.monotonic() + checkpoints.every

    @property
    def attributes(self) -> list[str]:
        """List the system attributes that name checkpoints, to be deleted as the trial ends."""
        return [artifact_key(artifact_id) for artifact_id in sorted(self._checkpoints.seen)]

    def load(self) -> Snapshot | None:
        """Read the last checkpoint of this trial, whoever made it; None to begin."""
        found = self._checkpoints.load(self._refusal, self._notify)
        self._due = time.monotonic() + self._every
        if found is None:
            return None
        arrays, values = found
        self.restored = values["iteration"]
        other = differences(values["environment"], self._environment)
        names = ", ".join(f"{one.name} {one.theirs}" for one in other)
        made = f" made with {names}: last bits may differ" if other else ""
        self._notify(f"goes on from pass {self.restored + 1} of a checkpoint{made}")
        return snapshot_of(arrays, values)

    def save(self, snapshot: Snapshot) -> None:
        """Keep it, if the last one is old enough; training goes on if the store refuses."""
        started = time.monotonic()
        if started < self._due:
            return
        values = snapshot.values | {"belongs": self._belongs, "environment": self._environment}
        attribute = None
        try:
            attribute = self._checkpoints.save(arrays_of(snapshot.tensors), values)
        except StorageError as error:
            if not self._failing:
                self._notify(f"no checkpoint can be kept, training goes on: {error}")
        self._failing = attribute is None
        ended = time.monotonic()
        pause = max(self._every, (ended - started) / MAX_SHARE) if self._every else 0.0
        self._due = ended + pause
        if attribute is not None:
            self._register(*attribute)

    def remove(self) -> None:
        """Remove all checkpoints; call it once the end of the trial is written."""
        if not self._checkpoints.seen:
            return
        try:
            self._checkpoints.remove()
        except StorageError as error:
            self._notify(f"checkpoints are left behind: {error}")

    def _refusal(self, values: dict[str, Any]) -> str:
        """Say why a checkpoint with these values is refused; "" if it is not."""
        belongs = values.get("belongs")
        if not isinstance(belongs, dict) or "iteration" not in values:
            return "no checkpoint of a trial"
        other = [key for key, value in self._belongs.items() if belongs.get(key) != value]
        return f"of another {' and another '.join(other)}" if other else ""
