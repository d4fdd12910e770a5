"""The points of a confirmation: the best trials, the default point, the untrained net."""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna

from cvfp_opt.errors import DataError, StudyError
from cvfp_opt.escaping import quoted
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.confirmation_runs import add_runs, enter_confirmation
from cvfp_opt.store.record.confirmation import (
    DEFAULT,
    UNTRAINED,
    ConfirmationPoint,
    confirmation_name,
)
from cvfp_opt.store.record.records import TrialRecord, drifted
from cvfp_opt.store.record.retries import uuid_of
from cvfp_opt.store.record.studies import has_study
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.config import OWN_THRESHOLD
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.drift import with_point_changes
from cvfp_opt.tuning.plan import Plan
from cvfp_opt.tuning.point_fitting import written_value
from cvfp_opt.tuning.space import Constant, Dimension, IntRange

_THRESHOLD = "phase1_convergence_threshold"
# A drift in these makes a trial's score another quantity.
_INCOMPARABLE = ("definition.objective.", "data", "embedding", "code.")


def default_point(definition: StudyDefinition) -> dict[str, Constant]:
    """Choose the point at which somebody who has not searched would begin.

    A searched setting has a value in its own section too (``[schedule] balanced_weight``): that
    one, if it lies in what is searched; else the first of words. The four main parameters have no
    section but [space]: the middle of their range, on its own scale.
    """
    return {
        name: _default(definition, name, one) for name, one in definition.space.searched.items()
    }


def _default(definition: StudyDefinition, name: str, dimension: Dimension) -> Constant:
    written = written_value(definition, name)
    if isinstance(dimension, tuple):
        word: str = written if written in dimension else dimension[0]
        return word
    assert not isinstance(dimension, float | int | str), "a constant is not searched"
    if written is not None and dimension.low <= written <= dimension.high:
        number: float = written
        return number
    middle = (dimension.low + dimension.high) / 2
    if dimension.log:
        middle = math.sqrt(dimension.low * dimension.high)
    return round(middle) if isinstance(dimension, IntRange) else middle


def choose_points(
    summary: Summary, definition: StudyDefinition, top: int
) -> tuple[list[ConfirmationPoint], list[str]]:
    """Choose the points to run; return them and a line for each trial that is left out.

    Default point and untrained net are measured with the threshold of the best trial, where a
    trial has its own: otherwise the winner's higher one would be its lead.

    Args:
        summary: of the source study.
        definition: its own.
        top: how many of its best trials.

    Raises:
        StudyError: no complete trial.
    """
    assert summary.record is not None, "a study of this program"
    best = summary.best
    if best is None:
        raise StudyError(
            f"study {summary.name!r}: at least one complete trial is required, it has none; "
            f"type `cvfp-opt run{summary.option} --study-name {quoted(summary.name)}`"
        )
    points, notes = [], []
    for trial in summary.ranking[:top]:
        changes = trial.environment.get("drift", {}).get("keys", {})
        other = [key for key in changes if key.startswith(_INCOMPARABLE)]
        if other:
            names = ", ".join(key.removeprefix("definition.") for key in other)
            notes.append(f"trial {trial.number} is left out: it was scored by another {names}")
            continue
        points.append(
            ConfirmationPoint(
                key=uuid_of(trial, summary.record.identity),
                params=trial.params,
                changes={key.removeprefix("definition."): v for key, v in changes.items()},
                trial=trial.number,
                reported=trial.value,
            )
        )
    params, moved = default_point(definition), dict[str, Any]()
    own = definition.objective.threshold == OWN_THRESHOLD
    if own and _THRESHOLD in params and _THRESHOLD in best.params:
        params[_THRESHOLD], moved = best.params[_THRESHOLD], _searched_threshold(best)
    points.append(ConfirmationPoint(key=DEFAULT, params=params, changes=moved))
    points.append(_untrained(definition, params, moved))
    return points, notes


def _searched_threshold(best: TrialRecord) -> dict[str, Any]:
    """Give the range in which a trial's threshold was searched, if it is not the study's."""
    key = f"space.{_THRESHOLD}"
    return {name: value for name, value in drifted(best.environment).items() if name == key}


def _untrained(
    definition: StudyDefinition, params: Mapping[str, Any], other: Mapping[str, Any]
) -> ConfirmationPoint:
    """Give the default point, with these other changes, without an epoch of training."""
    changes: dict[str, Any] = {**other, "training.num_epochs": 0}
    if "training.num_epochs" in params:
        changes["space.training.num_epochs"] = None
        if definition.search.sampler == "cmaes":  # it may need the number that is gone
            changes |= {"search.sampler": "random", "search.sampler_settings": {}}
    if definition.training.trainer == "online":  # which trains while it reads
        changes |= {"training.trainer": "batch", "training.detach_context": True}
    kept = {name: value for name, value in params.items() if name != "training.num_epochs"}
    return ConfirmationPoint(key=UNTRAINED, params=kept, changes=changes)


@dataclass(frozen=True, kw_only=True)
class EnteredConfirmation:
    """A confirmation that is ready to run.

    Attributes:
        study: of its runs.
        plan: for its workers.
        total: its trials in all, for ``Claims.claim``.
        notes: what was left out, a line each.
        created: whether there was none before.
    """

    study: optuna.Study
    plan: Plan
    total: int
    notes: list[str]
    created: bool


def enter_runs(
    store: Store,
    source: Plan,
    summary: Summary,
    environment: StoredEnvironment,
    *,
    top: int,
    num_seeds: int,
    windows: bool = False,
) -> EnteredConfirmation:
    """Create a study's confirmation or open it, and enqueue the runs that it lacks.

    Args:
        store: where both are.
        source: plan of the source study, checked against its record.
        summary: of the source study.
        environment: of this process.
        top: how many of the best trials.
        num_seeds: fresh seeds for each point.
        windows: whether each seed reads a part of the text of its own, which the search did not.

    Raises:
        StudyError: no complete trial; another study has the confirmation's name; or its runs
            read other parts of the text.
        DataError: the text is too short for so many parts.
    """
    if summary.record is None:  # another program's, without anything in it
        raise StudyError(
            f"study {summary.name!r}: at least one complete trial is required, it has none"
        )
    definition = source.definition.without_first_points()
    search = replace(definition.search, pruner="none", pruner_settings={})
    plan = replace(
        source,
        name=confirmation_name(source.name),
        definition=replace(definition, search=search),
    )
    points, notes = choose_points(summary, source.definition, top)
    for point in points:  # before anything is written
        with_point_changes(source.definition, source.tokens, environment, point.changes)
    first_tokens = _first_tokens(source.definition, num_seeds) if windows else []
    record = plan.new_record(environment)
    created = not has_study(store, plan.name)
    study = enter_confirmation(store, source.name, summary.record.identity, record)
    add_runs(store, study, points, num_seeds, seed=summary.record.seed, windows=first_tokens)
    total = len(study.get_trials(deepcopy=False))
    return EnteredConfirmation(
        study=plan.load(store), plan=plan, total=total, notes=notes, created=created
    )


def _first_tokens(definition: StudyDefinition, num_seeds: int) -> list[int]:
    """Find the first tokens of the parts after the one that the search read, one for each seed.

    Raises:
        DataError: the text is too short.
    """
    data = definition.data
    first_tokens = [data.first_token + (1 + k) * data.window for k in range(num_seeds)]
    if not _reaches(definition, first_tokens[-1]):
        fitting = bisect_left(
            first_tokens, True, key=lambda first: not _reaches(definition, first)
        )
        raise DataError(
            f"--windows: {num_seeds} parts of {data.window} tokens after the search's own are "
            f"required, {data.place} has {fitting}; bring more text, or type fewer --seeds"
        )
    return first_tokens


def _reaches(definition: StudyDefinition, first_token: int) -> bool:
    data = replace(definition.data, first_token=first_token)
    try:
        replace(definition, data=data).load_tokens()
    except DataError:
        return False
    return True
