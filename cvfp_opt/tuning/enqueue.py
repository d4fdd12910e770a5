"""Enqueue trials by hand: at a point, at another study's best points, at a trial's again."""

from collections.abc import Sequence
from typing import Any

import optuna

from cvfp_opt.errors import DefinitionError, StudyError
from cvfp_opt.escaping import quoted
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.enqueued import Enqueued, enqueue_points
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.store.record.point_checks import strangers
from cvfp_opt.store.record.records import StudyRecord, TrialRecord, definition_of, enqueued_point
from cvfp_opt.store.record.retries import MAX_RETRIES, retry_chain, uuid_of
from cvfp_opt.store.record.studies import refuse_foreign
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.point_fitting import fit, fixed_value
from cvfp_opt.tuning.typed_values import read_value


def enqueue_values(store: Store, study: optuna.Study, settings: Sequence[str]) -> Enqueued:
    """Enqueue a point.

    Args:
        settings: ``NAME=VALUE`` each, by Optuna's names.

    Raises:
        DefinitionError: an unknown name, or a value outside of what the study searches.
    """
    record, definition = _own(store, study)
    point = dict(_setting(setting) for setting in settings)
    fitted = fit(definition, point)
    if fitted.problems:
        raise DefinitionError(f"study {study.study_name!r}: --set " + "; ".join(fitted.problems))
    [done] = enqueue_points(store, study, [fitted.params], seed=record.seed)
    return done


def enqueue_best(
    store: Store,
    study: optuna.Study,
    source: Summary,
    top: int,
    *,
    clip: bool = False,
    ignore: bool = False,
) -> tuple[list[Enqueued], list[str]]:
    """Enqueue the best points of another study; also return what was changed to make them fit.

    Args:
        source: the other study; also another program's.
        top: how many; of several objectives, those on the front.
        clip, ignore: see ``fit``.

    Raises:
        StudyError: it has no complete trial, or one does not fit; then none is enqueued.
    """
    record, definition = _own(store, study)
    best = source.ranking[:top]
    if not best:
        raise StudyError(
            f"study {source.name!r} in {source.url}: a complete trial is required, it has none"
        )
    points, notes, problems = [], [], []
    for trial in best:
        fitted = fit(definition, _point(source, trial, definition), clip=clip, ignore=ignore)
        points.append(fitted.params)
        notes += [f"trial {trial.number}: {note}" for note in fitted.notes]
        problems += [f"trial {trial.number}: {problem}" for problem in fitted.problems]
    if problems:
        raise StudyError(
            f"points of study {source.name!r} do not fit study {study.study_name!r}:",
            *(f"  {problem}" for problem in problems),
            "To clip numbers to their ranges add --clip, to leave out what is unknown here "
            "--ignore; what is fixed here has to be equal",
        )
    return enqueue_points(store, study, points, seed=record.seed), notes


def enqueue_retry(store: Store, study: optuna.Study, number: int) -> Enqueued:
    """Enqueue a finished trial's point again, under a new number and so with other seeds.

    Raises:
        StudyError: no such trial, it is not finished, has no point, or was repeated too often.
    """
    record, _ = _own(store, study)
    summary = Summary.of(study, store.location.shown, option=store.location.option)
    trial = summary.trial(number)
    if not trial.finished:
        raise StudyError(
            f"trial {number} of study {study.study_name!r} is {trial.state}: a finished one is "
            f"required; to end it type `cvfp-opt trial fail{store.location.option} "
            f"--study-name {quoted(study.study_name)} {number}`"
        )
    point = enqueued_point(study.get_trials(deepcopy=False)[number])
    if not point:
        raise StudyError(
            f"trial {number} of study {study.study_name!r} has no parameters to repeat: it ended "
            "before it had any"
        )
    space = definition_of(record, trial)["space"]
    if found := [f"{name}: {why}" for name, why in strangers(space, point)]:
        raise StudyError(
            f"trial {number} of study {study.study_name!r} cannot be repeated, it is no point of "
            f"the study's space: {'; '.join(found)}"
        )
    chain = retry_chain(summary.trials, record.identity, number)
    if len(chain) > MAX_RETRIES:
        raise StudyError(
            f"trial {number} of study {study.study_name!r}: its point was repeated "
            f"{len(chain) - 1} times (trials {', '.join(map(str, chain))}), and {MAX_RETRIES} "
            "are the most; to run it all the same, give its values with --set"
        )
    retry_of = uuid_of(trial, record.identity)
    [done] = enqueue_points(store, study, [point], seed=record.seed, retry_of=retry_of)
    return done


def _own(store: Store, study: optuna.Study) -> tuple[StudyRecord, StudyDefinition]:
    """Read record and definition of a study that this program runs.

    Raises:
        StudyError: another program's, a mirror, or a newer version's.
    """
    refuse_foreign(study, store)
    record = StudyRecord.of(study)
    if record is None:
        raise StudyError(
            f"study {study.study_name!r}: it has no definition yet; type `cvfp-opt run` first"
        )
    return record, StudyDefinition.from_dict(completed(record.definition))


def _point(source: Summary, trial: TrialRecord, definition: StudyDefinition) -> dict[str, Any]:
    """Give a trial's parameters, and what its study fixed and this one searches or fixes."""
    if source.record is None:
        return trial.params
    theirs = StudyDefinition.from_dict(definition_of(source.record, trial))
    names = [*theirs.space.dimensions, *definition.space.searched]
    fixed = {name: fixed_value(theirs, name) for name in dict.fromkeys(names)}
    return {name: value for name, value in fixed.items() if value is not None} | trial.params


def _setting(setting: str) -> tuple[str, Any]:
    name, equals, text = setting.partition("=")
    name = name.strip().removeprefix("space.")
    if not equals or not name:
        raise DefinitionError(
            f"--set {setting}: NAME=VALUE is required, for instance --set dist_reg_weight=0.85"
        )
    return name, read_value(f"--set {name}", text)
