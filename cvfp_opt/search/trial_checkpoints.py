"""Checkpoints of a trial: it goes on, wherever it is taken over, from the last one."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from cvfp_opt.errors import StorageError
from cvfp_opt.search.definition import StudyDefinition
from cvfp_opt.search.snapshot_arrays import BITS_DEPEND_ON, arrays_of, snapshot_of
from cvfp_opt.store.files.artifact_names import artifact_key
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.files.trial_checkpoints import TrialCheckpoints
from cvfp_opt.training.data import Tokens
from cvfp_opt.training.snapshot import Snapshot

# Seconds of work that a death may cost, besides the iteration that it breaks off.
CHECKPOINT_SECONDS = 60.0
# A store may be slow: of a trial's time, at most this share goes to checkpoints.
MAX_SHARE = 0.05

# Other code is another objective; on another build the trial goes on.
_MUST_AGREE = "code"
_MAY_DIFFER = (*(key for key in BITS_DEPEND_ON if key != _MUST_AGREE), "lanes")


class TrialKeeper:
    """A Keeper of one trial that this worker has claimed; one for each time it is claimed.

    Args:
        store: where checkpoints lie.
        trial: its uuid, see store.record.identity.
        definition: of the study.
        tokens: of its text.
        environment: of this worker, as it is written to its trials.
        register: (key, value) to write a system attribute of the trial; what it raises ends the
            run.
        notify: told, in a line each, what was found and what could not be kept.
        every: seconds between two checkpoints; 0 for one after each iteration.

    Attributes:
        restored: iterations that are not repeated. The observer is told of them again, as of all
            others, before the trial goes on.
    """

    def __init__(
        self,
        *,
        store: ArtifactStore,
        trial: str,
        definition: StudyDefinition,
        tokens: Tokens,
        environment: Mapping[str, Any],
        register: Callable[[str, str], None],
        notify: Callable[[str], None],
        every: float = CHECKPOINT_SECONDS,
    ) -> None:
        self.restored = 0
        self._checkpoints = TrialCheckpoints(store, trial)
        self._belongs = {
            "trial": trial,
            "definition": definition.digest(),
            "data": tokens.digest,
            "embedding": tokens.sources["embedding"].get("digest", ""),
            "code": environment.get(_MUST_AGREE, {}),
        }
        self._environment = {key: environment.get(key) for key in _MAY_DIFFER}
        self._register = register
        self._notify = notify
        self._every = every
        self._failing = False
        self._due = time.monotonic() + every

    @property
    def attributes(self) -> list[str]:
        """Keys of system attributes that name checkpoints, to be deleted as the trial ends."""
        return [artifact_key(artifact_id) for artifact_id in sorted(self._checkpoints.seen)]

    def load(self) -> Snapshot | None:
        """The last checkpoint of this trial, whoever made it; None to begin."""
        found = self._checkpoints.load(self._refusal, self._notify)
        self._due = time.monotonic() + self._every
        if found is None:
            return None
        arrays, values = found
        self.restored = values["iteration"]
        other = _differences(values["environment"], self._environment)
        made = f" made with {other}: last bits may differ" if other else ""
        self._notify(f"goes on from iteration {self.restored} of a checkpoint{made}")
        return snapshot_of(arrays, values)

    def save(self, snapshot: Snapshot) -> None:
        """Keep it, if the last one is old enough; training goes on if the store refuses."""
        started = time.monotonic()
        if started < self._due:
            return
        values = snapshot.values | {"belongs": self._belongs, "environment": self._environment}
        attribute = None
        try:
            attribute = self._checkpoints.save(arrays_of(snapshot), values)
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
        """The trial has ended, and that is written: nobody will go on from here."""
        if not self._checkpoints.seen:
            return
        try:
            self._checkpoints.remove()
        except StorageError as error:
            self._notify(f"checkpoints are left behind: {error}")

    def _refusal(self, values: dict[str, Any]) -> str:
        """What speaks against a checkpoint with these values; "" for nothing."""
        belongs = values.get("belongs")
        if not isinstance(belongs, dict) or "iteration" not in values:
            return "no checkpoint of a trial"
        other = [key for key, value in self._belongs.items() if belongs.get(key) != value]
        return f"of another {' and another '.join(other)}" if other else ""


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """What a checkpoint was made with, and is another thing here; "" if all is the same."""
    found = []
    for key in _MAY_DIFFER:
        if key == "versions":
            there, here = theirs.get(key) or {}, ours.get(key) or {}
            names = [name for name in there | here if there.get(name) != here.get(name)]
            found += [f"{name} {there.get(name)}" for name in names]
        elif theirs.get(key) != ours.get(key):
            found.append(f"{key} {theirs.get(key)}")
    return ", ".join(found)
