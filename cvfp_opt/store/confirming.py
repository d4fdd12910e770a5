"""Confirmations: the best points of a study run again on seeds that its search never used.

The runs are trials of a study of their own, ``NAME/confirm``, which workers claim as any others.
What is random in a trial comes from the study's seed and a number (store.births). A search uses
the trial's own number, and Optuna keeps that in 32 bits with a sign: it stays below 2^31. A
confirmation's seed k uses number 2^31 + k, so it meets no trial of any search; and all points
share it, so they begin with the same weights and are read in the same order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna
from optuna.trial import TrialState

from cvfp_opt.elsewhere import positional
from cvfp_opt.errors import StudyError
from cvfp_opt.store.births import BIRTH, Birth
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.links import Source
from cvfp_opt.store.moving.tables import STUDY_USER_ATTRIBUTES
from cvfp_opt.store.records import (
    ARM,
    ARMS,
    CONFIRMS,
    StudyRecord,
    TrialRecord,
    trial_records,
)
from cvfp_opt.store.rows import Reported, insert_trial, lock_study, write_reported
from cvfp_opt.store.shapes import is_number, is_whole
from cvfp_opt.store.studies import create_study, has_study, load_study, refuse_foreign
from cvfp_opt.store.study_rows import put_attributes
from cvfp_opt.store.waiting import FIXED_PARAMS

SUFFIX = "confirm"
FRESH = 2**31
# What a seed of its own part of the text changes in the definition.
FIRST_TOKEN = "data.first_token"

DEFAULT, UNTRAINED = "default", "untrained"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A point that is run on all seeds.

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
        """What people call it."""
        if self.trial is not None:
            return f"trial {self.trial}"
        return {DEFAULT: "default point", UNTRAINED: "untrained net"}.get(self.key, self.key)


@dataclass(frozen=True, kw_only=True)
class Runs:
    """What a study's confirmation has, as it is stored.

    Attributes:
        study: its name, ``NAME/confirm``.
        arms: in the order in which they were added.
        trials: the runs, by number.
    """

    study: str
    arms: Sequence[Arm]
    trials: Sequence[TrialRecord]


def confirmation_name(study: str) -> str:
    """The name of a study's confirmation."""
    return f"{study}/{SUFFIX}"


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
    links = {ARMS: {"uuid": uuid, "arms": []}, CONFIRMS: source}
    with store.lock():
        study = load_study(store, name) if has_study(store, name) else None
        attrs = study.user_attrs if study is not None else {}
        if study is None or not attrs:
            return create_study(store, name, record, links)
        if _was_cut_off(study, uuid, record):
            with store.engine.begin() as connection:
                lock_study(connection, study._study_id)
                put_attributes(connection, STUDY_USER_ATTRIBUTES, study._study_id, links)
        elif not is_confirmation(study, Source(name=source, identity=uuid)):
            if CONFIRMS not in attrs:
                refuse_foreign(study, store)
            raise StudyError(
                f"study {name!r} in {store.location.where} is no confirmation of this study "
                f"{source!r}; rename study {source!r}, or if nobody needs the other one, type "
                f"`cvfp-opt study delete{store.location.option} {positional(name)}`"
            )
    return study


def is_confirmation(study: optuna.Study, source: Source) -> bool:
    """Check whether a study is the confirmation of another, and has arms to show for it."""
    attrs = study.user_attrs
    return isinstance(attrs.get(ARMS), dict) and source.has_confirmation(study.study_name, attrs)


def _was_cut_off(study: optuna.Study, uuid: str, record: StudyRecord) -> bool:
    """Check if it lacks its link, as a kill left it before that was written with the study."""
    attrs = study.user_attrs
    found, _ = StudyRecord.look(attrs)
    if CONFIRMS in attrs or found is None or study.get_trials(deepcopy=False):
        return False
    arms = attrs.get(ARMS)
    if arms is not None:
        return isinstance(arms, dict) and arms.get("uuid") == uuid
    fixed = (found.definition_digest, found.data_digest)
    return fixed == (record.definition_digest, record.data_digest)


def add_runs(
    store: Store,
    study: optuna.Study,
    arms: Iterable[Arm],
    num_seeds: int,
    *,
    seed: int,
    windows: Sequence[int] = (),
) -> int:
    """Let all arms wait on all seeds, as far as they were not run or wait; how many were added.

    An arm that the confirmation has stays as it is. A run that raised or was ended by force is
    asked for once more; one that diverged is a result.

    Args:
        study: the confirmation.
        arms: in the order in which they are run, on one seed after another.
        num_seeds: how many.
        seed: of the source study.
        windows: where each seed's part of the text begins; none for the search's own part.

    Raises:
        StudyError: it has runs on other parts of the text.
    """
    added = 0
    with store.lock():
        study = load_study(store, study.study_name)
        runs = trial_records(study)
        _check_windows(store, study.study_name, runs, windows)
        kept = {arm.key: arm for arm in _arms(study)}
        wanted = [kept.setdefault(arm.key, arm) for arm in arms]
        value = {**study.user_attrs[ARMS], "arms": [asdict(arm) for arm in kept.values()]}
        there = {
            (trial.arm.get("arm"), trial.arm.get("seed"))
            for trial in runs
            if trial.state != "fail" or trial.status == "diverged"
        }
        with store.engine.begin() as connection:
            lock_study(connection, study._study_id)
            put_attributes(connection, STUDY_USER_ATTRIBUTES, study._study_id, {ARMS: value})
            for k in range(num_seeds):
                for arm in wanted:
                    if (arm.key, k) in there:
                        continue
                    trial_id, _ = insert_trial(
                        connection, study._study_id, TrialState.WAITING, None
                    )
                    attrs = {
                        FIXED_PARAMS: arm.params,
                        BIRTH: Birth.new(seed=seed, number=FRESH + k).to_dict(),
                        ARM: {
                            "arm": arm.key,
                            "label": arm.label,
                            "seed": k,
                            "changes": arm.changes
                            | ({FIRST_TOKEN: windows[k]} if windows else {}),
                        },
                    }
                    write_reported(connection, trial_id, Reported(system_attrs=attrs))
                    added += 1
    return added


def on_windows(runs: Iterable[TrialRecord]) -> bool:
    """Whether each seed of a confirmation reads a part of the text of its own."""
    return any(FIRST_TOKEN in trial.arm.get("changes", {}) for trial in runs)


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


def read_runs(source: optuna.Study, record: StudyRecord | None) -> Runs | None:
    """The confirmation of a study; None if it has none.

    Args:
        source: the study.
        record: its own.
    """
    if record is None:
        return None
    name = confirmation_name(source.study_name)
    try:
        study = optuna.load_study(study_name=name, storage=source._storage)
    except KeyError:
        return None
    if not is_confirmation(study, Source(name=source.study_name, identity=record.identity)):
        return None
    return Runs(study=name, arms=_arms(study), trials=trial_records(study))


def _arms(study: optuna.Study) -> list[Arm]:
    """The arms of a confirmation; what another program wrote in their place stays out."""
    value = study.user_attrs.get(ARMS)
    listed = value.get("arms") if isinstance(value, dict) else None
    found = []
    for entry in listed if isinstance(listed, list) else []:
        if _is_entry(entry):
            found.append(Arm(**entry))
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
