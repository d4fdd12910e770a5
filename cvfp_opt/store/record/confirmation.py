"""Confirmations: the best points of a study run again on seeds that its search never used.

The runs are trials of a study of their own, ``NAME/confirm``, which workers claim as any others.
What is random in a trial comes from the study's seed and a number (store.record.identity). A
search uses the trial's own number, and Optuna keeps that in 32 bits with a sign: it stays below
2^31. A confirmation's seed k uses number 2^31 + k, so it meets no trial of any search; and all
points share it, so they begin with the same weights and are read in the same order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna

from cvfp_opt.store.database.number_checks import is_number, is_whole
from cvfp_opt.store.database.optuna_private import storage_of
from cvfp_opt.store.record.links import Source
from cvfp_opt.store.record.records import (
    CONFIRMATION_POINTS,
    StudyRecord,
    TrialRecord,
    trial_records,
)

SUFFIX = "confirm"
FRESH = 2**31
# The key of the definition that a seed with its own part of the text changes.
FIRST_TOKEN = "data.first_token"

DEFAULT, UNTRAINED = "default", "untrained"


@dataclass(frozen=True, kw_only=True)
class ConfirmationPoint:
    """A point of a confirmation, which is run on all seeds.

    Attributes:
        key: the source trial's uuid, DEFAULT or UNTRAINED.
        params: by Optuna's names.
        changes: to the definition, see ``records.with_changes``.
        trial: number of the source trial; None for the other two.
        reported: its score in the search; None for the other two.
    """

    key: str
    params: dict[str, Any]
    changes: dict[str, Any] = field(default_factory=dict)
    trial: int | None = None
    reported: float | None = None

    @property
    def label(self) -> str:
        """The point's name, for people."""
        if self.trial is not None:
            return f"trial {self.trial}"
        return {DEFAULT: "default point", UNTRAINED: "untrained net"}.get(self.key, self.key)


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The stored runs of a confirmation.

    Attributes:
        study: its name, ``NAME/confirm``.
        points: in the order in which they were added.
        trials: the runs, by number.
    """

    study: str
    points: Sequence[ConfirmationPoint]
    trials: Sequence[TrialRecord]


def confirmation_name(study: str) -> str:
    """Name a study's confirmation."""
    return f"{study}/{SUFFIX}"


def is_confirmation(study: optuna.Study, source: Source) -> bool:
    """Check whether a study is the confirmation of another, and names its points."""
    attrs = study.user_attrs
    return isinstance(attrs.get(CONFIRMATION_POINTS), dict) and source.has_confirmation(
        study.study_name, attrs
    )


def on_windows(runs: Iterable[TrialRecord]) -> bool:
    """Check if each seed of a confirmation reads its own part of the text."""
    return any(FIRST_TOKEN in trial.run.get("changes", {}) for trial in runs)


def read_runs(source: optuna.Study, record: StudyRecord | None) -> Runs | None:
    """Read the confirmation of a study; None if it has none.

    Args:
        source: the study.
        record: its own.
    """
    if record is None:
        return None
    name = confirmation_name(source.study_name)
    try:
        study = optuna.load_study(study_name=name, storage=storage_of(source))
    except KeyError:
        return None
    if not is_confirmation(study, Source(name=source.study_name, identity=record.identity)):
        return None
    return Runs(study=name, points=points_of(study), trials=trial_records(study))


def points_of(study: optuna.Study) -> list[ConfirmationPoint]:
    """Read the points of a confirmation; what another program wrote there is left out."""
    return points_in(study.user_attrs.get(CONFIRMATION_POINTS))


def points_in(value: Any) -> list[ConfirmationPoint]:
    """Read the points in the attribute CONFIRMATION_POINTS; see ``points_of``."""
    listed = value.get("arms") if isinstance(value, dict) else None
    found = []
    for entry in listed if isinstance(listed, list) else []:
        if _is_entry(entry):
            found.append(ConfirmationPoint(**entry))
    return found


def _is_entry(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"key", "params", "changes", "trial", "reported"}
        and isinstance(value["key"], str)
        and isinstance(value["params"], dict)
        and isinstance(value["changes"], dict)
        and (value["trial"] is None or is_whole(value["trial"], 2**31))
        and (value["reported"] is None or is_number(value["reported"]))
    )
