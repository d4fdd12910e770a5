"""Dumps: studies as plain values, on their way from one database to another."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Self

from optuna.study import StudyDirection
from optuna.trial import TrialState

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.files.artifact_names import artifact_ids, artifact_key, checked_id
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.records import CONFIRMS, MIRROR_OF, STUDY, StudyRecord

# An artifact's id is a file's name, and some systems take these names for devices.
_DEVICE = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")

Texts = Mapping[str, str]
"""Attributes: each value as JSON text, which takes far less memory than what it stands for."""


@dataclass(frozen=True, kw_only=True)
class Param:
    """One parameter of a trial.

    Attributes:
        name: Optuna's.
        value: in Optuna's internal representation: of a categorical parameter the index.
        distribution: as JSON text.
    """

    name: str
    value: float
    distribution: str


@dataclass(frozen=True, kw_only=True)
class TrialDump:
    """A trial.

    Attributes:
        number: from 0, without gaps.
        state: never RUNNING: whoever runs it does so in the database that it came from.
        values: of the objectives; empty if it has none.
        params: in the order in which they were asked for.
        intermediate: reported values, by step.
        user_attrs, system_attrs: sorted by key.
        started, completed: naive UTC, as Optuna keeps them.
    """

    number: int
    state: TrialState
    values: tuple[float, ...] = ()
    params: tuple[Param, ...] = ()
    intermediate: Mapping[int, float]
    user_attrs: Texts
    system_attrs: Texts
    started: datetime | None = None
    completed: datetime | None = None

    def user_attr(self, key: str) -> Any:
        """Parse a user attribute; None if it has none of that key."""
        return _value(self.user_attrs, key)

    def system_attr(self, key: str) -> Any:
        """Parse a system attribute; None if it has none of that key."""
        return _value(self.system_attrs, key)

    def with_system_attr(self, key: str, value: Any) -> Self:
        """Copy the trial with one system attribute set."""
        return replace(self, system_attrs=with_attr(self.system_attrs, key, value))


@dataclass(frozen=True, kw_only=True)
class StudyDump:
    """A study or a mirror, with all its trials by number."""

    name: str
    directions: tuple[StudyDirection, ...]
    user_attrs: Texts
    system_attrs: Texts
    trials: tuple[TrialDump, ...]

    @cached_property
    def record(self) -> StudyRecord | None:
        """The study's record; None if another program made it.

        Raises:
            StudyError: written by a newer version of this program.
        """
        attributes = {STUDY: _value(self.user_attrs, STUDY)} if STUDY in self.user_attrs else {}
        return StudyRecord.parse(self.name, attributes)

    def identity(self, trial: TrialDump) -> TrialIdentity | None:
        """Get a trial's identity; None for one that never ran, or of another program."""
        found = TrialIdentity.read(trial.system_attr(IDENTITY_KEY))
        if found is not None:
            return found
        if self.record is None or trial.state is TrialState.WAITING:
            return None
        return TrialIdentity.derived(
            study=self.record.identity, seed=self.record.seed, number=trial.number
        )


@dataclass(frozen=True, kw_only=True)
class Dump:
    """A study with its mirrors and its confirmation, on its way.

    Attributes:
        study: itself.
        mirrors: named ``STUDY/suffix``.
        confirmation: its best points on fresh seeds; None if it has none.
        given_back: numbers of the trials that were running, and are enqueued in the dump.
    """

    study: StudyDump
    mirrors: tuple[StudyDump, ...] = ()
    confirmation: StudyDump | None = None
    given_back: tuple[int, ...] = ()

    @property
    def studies(self) -> tuple[StudyDump, ...]:
        """The study itself, its mirrors and its confirmation."""
        return (self.study, *self.mirrors, *([self.confirmation] if self.confirmation else []))

    def renamed(self, name: str | None) -> Self:
        """Copy the dump under another name, with all that is linked to it; None keeps the name."""
        if name is None or name == self.study.name:
            return self

        def linked(one: StudyDump, link: str) -> StudyDump:
            user_attrs = with_attr(one.user_attrs, link, name)
            return replace(
                one, name=name + one.name.removeprefix(self.study.name), user_attrs=user_attrs
            )

        return replace(
            self,
            study=replace(self.study, name=name),
            mirrors=tuple(linked(mirror, MIRROR_OF) for mirror in self.mirrors),
            confirmation=self.confirmation and linked(self.confirmation, CONFIRMS),
        )

    def artifacts(self) -> dict[str, bool]:
        """List the ids of the artifacts that studies and trials name, and which of them last.

        A trial's checkpoints do not: they are replaced while it runs, and gone when it has ended.

        Raises:
            StorageError: an id that is no name of a file.
        """
        found: dict[str, bool] = {}
        searched = [self.study, *([self.confirmation] if self.confirmation else [])]
        for lasts, attrs in (
            *((True, one.system_attrs) for one in searched),
            *((t.state.is_finished(), t.system_attrs) for one in searched for t in one.trials),
        ):
            for artifact_id in map(checked_id, artifact_ids(attrs)):
                if _DEVICE.fullmatch(artifact_id):
                    raise StorageError(f"an artifact's id: {artifact_id!r} names a device")
                found[artifact_id] = lasts or found.get(artifact_id, False)
        return found

    def without_checkpoints(self, missing: Collection[str]) -> Self:
        """Copy the dump without the names of missing checkpoints: their trials have ended."""
        gone = set(map(artifact_key, missing))

        def without(trial: TrialDump) -> TrialDump:
            if trial.state.is_finished() or gone.isdisjoint(trial.system_attrs):
                return trial
            attrs = {k: text for k, text in trial.system_attrs.items() if k not in gone}
            return replace(trial, system_attrs=attrs)

        def cleared(one: StudyDump) -> StudyDump:
            return replace(one, trials=tuple(map(without, one.trials)))

        confirmation = self.confirmation and cleared(self.confirmation)
        return replace(self, study=cleared(self.study), confirmation=confirmation)


def with_attr(attrs: Texts, key: str, value: Any) -> Texts:
    """Copy attributes with one set, sorted by key."""
    return dict(sorted({**attrs, key: json.dumps(value)}.items()))


def _value(attrs: Texts, key: str) -> Any:
    return parsed(attrs[key]) if key in attrs else None
