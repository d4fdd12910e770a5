"""Runs of a confirmation: its study is created, and its trials enqueued on fresh seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import optuna
from optuna.trial import TrialState

from cvfp_opt.errors import StudyError
from cvfp_opt.escaping import positional
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.rows import PendingWrites, insert_trial, lock_study, write_pending
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.study_rows import put_attributes
from cvfp_opt.store.database.tables import STUDY_USER_ATTRIBUTES
from cvfp_opt.store.record.confirmation import (
    FIRST_TOKEN,
    FRESH,
    ConfirmationPoint,
    confirmation_name,
    is_confirmation,
    on_windows,
    points_of,
)
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.links import Source
from cvfp_opt.store.record.records import (
    CONFIRMATION_POINTS,
    CONFIRMATION_RUN,
    CONFIRMS,
    FIXED_PARAMS,
    StudyRecord,
    TrialRecord,
    trial_records,
)
from cvfp_opt.store.record.studies import create_study, has_study, load_study, refuse_foreign


def enter_confirmation(store: Store, source: str, uuid: str, record: StudyRecord) -> optuna.Study:
    """Open a study's confirmation, creating it if need be.

    Args:
        source: name of the study.
        uuid: its identity.
        record: of the confirmation, if it is created.

    Raises:
        StudyError: another study has its name.
    """
    name = confirmation_name(source)
    links = {CONFIRMATION_POINTS: {"uuid": uuid, "arms": []}, CONFIRMS: source}
    with store.lock():
        study = load_study(store, name) if has_study(store, name) else None
        attrs = study.user_attrs if study is not None else {}
        if study is None or not attrs:
            return create_study(store, name, record, links)
        if _was_cut_off(study, uuid, record):
            with store.engine.begin() as connection:
                lock_study(connection, study_id_of(study))
                put_attributes(connection, STUDY_USER_ATTRIBUTES, study_id_of(study), links)
        elif not is_confirmation(study, Source(name=source, identity=uuid)):
            if CONFIRMS not in attrs:
                refuse_foreign(study, store)
            raise StudyError(
                f"study {name!r} in {store.location.where} is no confirmation of this study "
                f"{source!r}; rename study {source!r}, or if nobody needs the other one, type "
                f"`cvfp-opt study delete{store.location.option} {positional(name)}`"
            )
    return study


def _was_cut_off(study: optuna.Study, uuid: str, record: StudyRecord) -> bool:
    """Check if a confirmation lacks its link: older versions, when killed, left one so."""
    attrs = study.user_attrs
    found, _ = StudyRecord.look(attrs)
    if CONFIRMS in attrs or found is None or study.get_trials(deepcopy=False):
        return False
    points = attrs.get(CONFIRMATION_POINTS)
    if points is not None:
        return isinstance(points, dict) and points.get("uuid") == uuid
    fixed = (found.definition_digest, found.data_digest)
    return fixed == (record.definition_digest, record.data_digest)


def add_runs(
    store: Store,
    study: optuna.Study,
    points: Iterable[ConfirmationPoint],
    num_seeds: int,
    *,
    seed: int,
    windows: Sequence[int] = (),
) -> int:
    """Enqueue all points on all seeds, but those that were run or are enqueued; return how many.

    A point that the confirmation has stays as it is. A run that raised or was ended by force is
    asked for once more; one that diverged is a result.

    Args:
        study: the confirmation.
        points: in the order in which they are run, on one seed after another.
        num_seeds: how many.
        seed: of the source study.
        windows: where each seed's part of the text begins; none for the search's own part.

    Raises:
        StudyError: it has runs on other parts of the text.
    """
    with store.lock():
        study = load_study(store, study.study_name)
        runs = trial_records(study)
        _check_windows(store, study.study_name, runs, windows)
        kept = {point.key: point for point in points_of(study)}
        wanted = [kept.setdefault(point.key, point) for point in points]
        value = {
            **study.user_attrs[CONFIRMATION_POINTS],
            "arms": [asdict(point) for point in kept.values()],
        }
        there = {
            (trial.run.get("arm"), trial.run.get("seed"))
            for trial in runs
            if trial.state != "fail" or trial.status == "diverged"
        }
        new = [(p, k) for k in range(num_seeds) for p in wanted if (p.key, k) not in there]
        study_id = study_id_of(study)
        with store.engine.begin() as connection:
            lock_study(connection, study_id)
            put_attributes(
                connection, STUDY_USER_ATTRIBUTES, study_id, {CONFIRMATION_POINTS: value}
            )
            for point, k in new:
                trial_id, _ = insert_trial(connection, study_id, TrialState.WAITING, None)
                attrs = _run_attributes(point, k, seed, windows)
                write_pending(connection, trial_id, PendingWrites(system_attrs=attrs))
    return len(new)


def _run_attributes(
    point: ConfirmationPoint, k: int, seed: int, windows: Sequence[int]
) -> dict[str, Any]:
    """Make the system attributes of the run of a point on seed ``k``."""
    window = {FIRST_TOKEN: windows[k]} if windows else {}
    return {
        FIXED_PARAMS: point.params,
        IDENTITY_KEY: TrialIdentity.new(seed=seed, number=FRESH + k).to_dict(),
        CONFIRMATION_RUN: {
            "arm": point.key,
            "label": point.label,
            "seed": k,
            "changes": point.changes | window,
        },
    }


def _check_windows(
    store: Store, name: str, runs: Sequence[TrialRecord], windows: Sequence[int]
) -> None:
    if not runs or on_windows(runs) == bool(windows):
        return
    theirs, instead = (
        ("the search's text", "leave --windows out")
        if windows
        else ("a part of the text of their own", "add --windows")
    )
    raise StudyError(
        f"study {name!r}: its runs read {theirs}, and seeds are compared only with their like; "
        f"{instead}, or type `cvfp-opt study delete{store.location.option} {positional(name)}` "
        "to begin anew"
    )
