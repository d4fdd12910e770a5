"""The records of studies and trials in the database: the one place that knows the keys."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Self

import optuna
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.constraints import constraints_of, is_feasible
from cvfp_opt.store.database.number_checks import is_moment, is_whole
from cvfp_opt.store.files.artifact_names import artifact_ids
from cvfp_opt.store.record.attribute_shapes import are_keys, is_definition, is_ours
from cvfp_opt.store.record.definition_sections import Sections, completed, with_changes
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity, derived_uuid
from cvfp_opt.store.record.trial_attributes import (
    StoredAudit,
    StoredEnvironment,
    StoredIdentity,
    StoredIteration,
    StoredProbe,
    StoredRun,
    StoredScore,
)

# Format of the records. Raise it when old readers would misread, and keep reading the old ones.
# 2: studies and trials have an identity (``uuid``, record.identity); leases have a table.
FORMAT = 2

# Study user attributes.
STUDY = "cvfp_opt:study"
# A mirror names the study that it copies, and, but for old ones, that study's identity.
MIRROR_OF = "cvfp_opt:mirror_of"
MIRRORED = "cvfp_opt:mirrored"
# A confirmation names the study whose points it runs; and has its identity, and the points.
CONFIRMS = "cvfp_opt:confirms"
CONFIRMATION_POINTS = "cvfp_opt:arms"

# Trial system attribute: which point a confirmation runs on which seed, see record.confirmation.
CONFIRMATION_RUN = "cvfp_opt:arm"
# Trial system attribute of Optuna's: parameters fixed by whoever enqueued the trial.
FIXED_PARAMS = "fixed_params"


class Unread(Enum):
    """The reason why a study has no record that can be read, with whose it is, and a sentence."""

    FOREIGN = (
        "another program's",
        "made by another program: no definition and no audit to show",
    )
    MIRROR = (
        "a mirror",
        "a mirror, for Pareto fronts: definition and audits are with the study that it copies",
    )
    NEWER = (
        "a newer cvfp-opt's",
        "written by a newer cvfp-opt: only parameters, values and states can be shown; "
        "for the rest type `pip install -U cvfp-opt`",
    )
    DAMAGED = (
        "record damaged",
        "its record is damaged: only parameters, values and states can be shown; "
        "for more type `cvfp-opt study doctor`",
    )

    def __init__(self, owner: str, sentence: str) -> None:
        self.owner = owner
        self.sentence = sentence


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """The record of what was fixed when a study was created.

    Attributes:
        definition: the resolved study definition, section by section; ``completed`` reads it.
        definition_digest: SHA-256 of its canonical JSON, but for where the text lies.
        data_digest: SHA-256 of the tokens.
        created: epoch seconds.
        environment: versions, host, device and threads at creation.
        sources: what text and embeddings came from: path or hub, revision, digest.
        code: SHA-256 of the file of each loss or schedule of the user's own, by its name.
        uuid: given at creation, the same in every copy; "" in format 1, see ``identity``.
        format: of the records.
    """

    definition: dict[str, Any]
    definition_digest: str
    data_digest: str
    created: float
    environment: StoredEnvironment
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    uuid: str = ""
    format: int = FORMAT

    @property
    def identity(self) -> str:
        """The study's uuid, derived where it was given none."""
        return self.uuid or derived_uuid(f"{self.definition_digest} {self.created}")

    @property
    def is_whole(self) -> bool:
        """Check whether every field has the shape of what this program writes."""
        texts = (self.definition_digest, self.data_digest, self.uuid)
        tables = (self.environment, self.sources, self.code)
        return (
            is_definition(self.definition)
            and all(isinstance(one, str) for one in texts)
            and all(isinstance(one, dict) for one in tables)
            and all(isinstance(one, dict) for one in self.sources.values())
            and isinstance(self.environment.get("versions", {}), dict)
            and is_moment(self.created)
        )

    @property
    def seed(self) -> int:
        """The study's seed."""
        return int(self.definition["search"]["seed"])

    @classmethod
    def of(cls, study: optuna.Study) -> Self | None:
        """Read the record of a study; None if another program made it.

        Raises:
            StudyError: written by a newer version of this program, or damaged.
        """
        return cls.parse(study.study_name, study.user_attrs)

    @classmethod
    def parse(cls, study: str, attributes: Mapping[str, Any]) -> Self | None:
        """Read the record among the user attributes of a study of that name; see ``of``."""
        record, unread = cls.look(attributes)
        if unread is Unread.NEWER:
            raise StudyError(
                f"study {study!r}: written by a newer cvfp-opt (record format "
                f"{attributes[STUDY]['format']}, this one reads up to {FORMAT}); "
                "type `pip install -U cvfp-opt`"
            )
        if unread is Unread.DAMAGED:
            raise StudyError(
                f"study {study!r}: its record (attribute {STUDY!r}) is damaged; "
                "type `cvfp-opt study doctor`"
            )
        return record

    @classmethod
    def look(cls, attributes: Mapping[str, Any]) -> "tuple[Self | None, Unread | None]":
        """Read the record among a study's user attributes, or why there is none."""
        if isinstance(attributes.get(MIRROR_OF), str):
            return None, Unread.MIRROR
        if STUDY not in attributes:
            return None, Unread.FOREIGN
        value = attributes[STUDY]
        if not isinstance(value, dict) or type(value.get("format", FORMAT)) is not int:
            return None, Unread.DAMAGED
        if value.get("format", FORMAT) > FORMAT:
            return None, Unread.NEWER
        try:
            record = cls(**value)
        except TypeError:
            return None, Unread.DAMAGED
        if not record.is_whole:
            return None, Unread.DAMAGED
        return record, None

    def write(self, study: optuna.Study) -> None:
        """Write it to the study."""
        study.set_user_attr(STUDY, asdict(self))


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """The record of a trial, as reports see it. All values are plain JSON.

    Attributes:
        number: Optuna's, from 0.
        state: Optuna's state, lower case: "complete", "pruned", "fail", "running", "waiting".
        value: the score, or another program's single value; None unless complete or pruned.
        values: of each objective, as Optuna has them.
        reported: the value after each iteration, by its number.
        scored: convergence rate, effective rank and score as the objective took them; empty
            unless complete.
        params: by Optuna's names; before it has any, those that it was enqueued with.
        constraints: by name, each at most 0 where the trial is feasible: see record.decisions.
        status: how training ended (training.result.Status), "error" if it raised; empty before.
        reason: one sentence.
        metrics: of the last iteration (training.result.IterationMetrics).
        iterations: of all.
        audit: see model.audit.Audit; empty unless the run came to its end.
        downstream: see model.probe.ProbeResult, of contexts beside the embedding; empty unless
            the study's objective asks for it and the run came to its end.
        seconds: wall time per phase.
        environment: versions, host, device, threads, seeds, optimizer steps, digests.
        identity: see record.identity; empty in trials of format 1 and of other programs.
        run: which point on which seed, see record.confirmation; empty but in a confirmation.
        started: when its last worker took it, epoch seconds; None while it waits.
        completed: when it ended, epoch seconds; None before.
    """

    # names in JSON, where those are not the fields'
    JSON_NAMES: ClassVar[Mapping[str, str]] = {"identity": "birth", "run": "arm"}

    number: int
    state: str
    value: float | None = None
    values: list[float] = field(default_factory=list)
    reported: dict[int, float] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    constraints: dict[str, float] = field(default_factory=dict)
    status: str = ""
    reason: str = ""
    scored: StoredScore = field(default_factory=StoredScore)
    metrics: StoredIteration = field(default_factory=StoredIteration)
    iterations: list[StoredIteration] = field(default_factory=list)
    audit: StoredAudit = field(default_factory=StoredAudit)
    downstream: StoredProbe = field(default_factory=StoredProbe)
    seconds: dict[str, float] = field(default_factory=dict)
    environment: StoredEnvironment = field(default_factory=StoredEnvironment)
    identity: StoredIdentity = field(default_factory=StoredIdentity)
    run: StoredRun = field(default_factory=StoredRun)
    started: float | None = None
    completed: float | None = None

    @classmethod
    def of(cls, trial: FrozenTrial) -> Self:
        """Read a trial, without what another program wrote in the place of ours."""
        attributes = trial.user_attrs
        kept = {key: attributes[key] for key in ATTRIBUTES if key in attributes}
        kept = {key: value for key, value in kept.items() if is_ours(key, value)}
        record = cls.bare(trial)
        value = record.value
        if len(record.values) > 1:  # one score of a trial with several objectives
            value = kept.get("scored", {}).get("score")
        identity = TrialIdentity.read(trial.system_attrs.get(IDENTITY_KEY))
        run: Any = trial.system_attrs.get(CONFIRMATION_RUN)
        return replace(
            record,
            value=value,
            identity=identity.to_dict() if identity else StoredIdentity(),
            run=run if is_confirmation_run(run) else {},
            **kept,
        )

    @classmethod
    def bare(cls, trial: FrozenTrial) -> Self:
        """Read what any program's trial has: state, values, parameters and times."""
        values = trial.values or []
        return cls(
            number=trial.number,
            state=trial.state.name.lower(),
            value=values[0] if len(values) == 1 else None,
            values=list(values),
            reported=dict(trial.intermediate_values),
            params=dict(trial.params) or enqueued_point(trial),
            constraints=constraints_of(trial.system_attrs),
            started=_epoch(trial.datetime_start),
            completed=_epoch(trial.datetime_complete),
        )

    @property
    def finished(self) -> bool:
        """Check whether the trial has ended."""
        return self.state in ("complete", "pruned", "fail")

    @property
    def feasible(self) -> bool:
        """Check that the trial violates no constraint: only such a one is the best."""
        return is_feasible(self.constraints)

    def to_dict(self) -> dict[str, Any]:
        """Convert it to plain JSON values, two of them under the names that they are stored by."""
        return {self.JSON_NAMES.get(name, name): value for name, value in asdict(self).items()}


def enqueued_point(trial: FrozenTrial) -> dict[str, Any]:
    """Read a trial's parameters, and those that are fixed for it when it asks for them."""
    fixed = trial.system_attrs.get(FIXED_PARAMS)
    return {**(fixed if isinstance(fixed, dict) else {}), **trial.params}


def _epoch(time: datetime | None) -> float | None:
    """Convert naive local time, as Optuna gives it; None for what is no time of a calendar."""
    try:
        seconds = time.timestamp() if time else None
    except (ValueError, OverflowError, OSError):  # the first and last years there are
        return None
    return seconds if is_moment(seconds) else None


# Trial user attributes are named as the fields that they fill.
ATTRIBUTES = (
    "status",
    "reason",
    "scored",
    "metrics",
    "iterations",
    "audit",
    "downstream",
    "seconds",
    "environment",
)


def is_confirmation_run(value: Any) -> bool:
    """Check whether a system attribute has the point and the seed of a confirmation's run."""
    return (
        isinstance(value, dict)
        and value.keys() == {"arm", "label", "seed", "changes"}
        and isinstance(value["arm"], str)
        and isinstance(value["label"], str)
        and is_whole(value["seed"], 2**31)
        and isinstance(value["changes"], dict)
        and are_keys(value["changes"])
    )


def write_attributes(trial: optuna.Trial, **attributes: Any) -> None:
    """Write some of ATTRIBUTES to a running trial."""
    for key, value in attributes.items():
        assert key in ATTRIBUTES, key
        trial.set_user_attr(key, value)


def definition_of(record: StudyRecord, trial: TrialRecord) -> Sections:
    """Return the definition that a trial was trained by: the study's, with an allowed drift."""
    own = completed(record.definition)
    sections = with_changes(own, drifted(trial.environment))
    return sections if is_definition(sections) else own  # what others wrote for a drift is none


def drifted(environment: StoredEnvironment) -> dict[str, Any]:
    """List the keys of the definition that a trial changed by a drift; see ``with_changes``."""
    drift = environment.get("drift", {})
    changed = {
        key.removeprefix("definition."): value
        for key, value in drift.get("keys", {}).items()
        if key.startswith("definition.")
    }
    located: dict[str, Any] = drift.get("located", {})
    return changed | located


def trial_records(study: optuna.Study) -> list[TrialRecord]:
    """Read all trials of a study, by number; bare ones where its record can't be read."""
    record, _ = StudyRecord.look(study.user_attrs)
    read = TrialRecord.bare if record is None else TrialRecord.of
    return [read(trial) for trial in study.get_trials(deepcopy=False)]


def rank(value: float | None, *, maximized: bool = True) -> float | None:
    """Rank a value, the lowest first; None for what is no number and has no rank.

    As Optuna does it: infinite is better than any other. The one rule for which trial is best.
    """
    if value is None or math.isnan(value):
        return None
    return -value if maximized else value


def best_of(values: Iterable[float | None], *, maximized: bool = True) -> float | None:
    """Find the best of some values, see ``rank``; None if none has a rank."""
    ranks = [one for value in values if (one := rank(value, maximized=maximized)) is not None]
    return rank(min(ranks), maximized=maximized) if ranks else None


def count_artifacts(study: optuna.Study) -> int:
    """Count the artifacts that a study's trials name."""
    trials = study.get_trials(deepcopy=False)
    return sum(len(artifact_ids(trial.system_attrs)) for trial in trials)


def count_taken(study: optuna.Study) -> int:
    """Count the trials towards the total: those that are finished or run, not enqueued ones."""
    trials = study.get_trials(deepcopy=False)
    return sum(t.state is TrialState.RUNNING or t.state.is_finished() for t in trials)


def count_finished(study: optuna.Study) -> int:
    """Count the trials that have ended."""
    return sum(t.state.is_finished() for t in study.get_trials(deepcopy=False))
