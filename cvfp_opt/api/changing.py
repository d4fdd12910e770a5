"""Changing what a database holds: trials enqueued or ended, studies renamed, deleted, mended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from cvfp_opt.api.opening import open_summary
from cvfp_opt.errors import DefinitionError, StudyError
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_editing
from cvfp_opt.store.record.studies import load_study, only_study_name

if TYPE_CHECKING:
    import optuna

    from cvfp_opt.store.doctor.examination import Patient, Report
    from cvfp_opt.store.queue.control import Controlled
    from cvfp_opt.store.queue.enqueued import Enqueued
    from cvfp_opt.store.record.summary import Summary


class WaitingJson(TypedDict):
    """A trial that waits for a worker.

    Attributes:
        trial: its number.
        params: that are fixed; the sampler chooses the others.
        new: false if a trial at the very same point waited already, and none was added.
    """

    trial: int
    params: dict[str, Any]
    new: bool


class AddedJson(TypedDict):
    """Trials that were enqueued.

    Attributes:
        study: name of their study.
        trials: that wait.
        notes: what was changed to make points fit, a line each.
    """

    study: str
    trials: list[WaitingJson]
    notes: list[str]


class FailedJson(TypedDict):
    """A trial that was ended as failed.

    Attributes:
        study: name of its study.
        trial: its number.
        reason: that is recorded with it.
    """

    study: str
    trial: int
    reason: str


class DeletedJson(TypedDict):
    """A study that was deleted.

    Attributes:
        study: its name.
        trials: that it had.
    """

    study: str
    trials: int


class RenamedJson(TypedDict):
    """A study that was given another name.

    Attributes:
        study: its name now.
        before: its name before.
    """

    study: str
    before: str


@dataclass(frozen=True, kw_only=True)
class Added:
    """Trials that were enqueued.

    Attributes:
        study: its name.
        trials: that wait; new ones, or such as waited already.
        notes: what was changed to make points fit, a line each.
    """

    study: str
    trials: "list[Enqueued]"
    notes: Sequence[str] = ()

    @property
    def numbers(self) -> list[int]:
        """The trials' numbers."""
        return [one.number for one in self.trials]

    def to_dict(self) -> AddedJson:
        """Convert it to plain JSON values."""
        return {
            "study": self.study,
            "trials": [
                {"trial": one.number, "params": one.params, "new": one.new} for one in self.trials
            ],
            "notes": list(self.notes),
        }


def enqueue(
    location: Location,
    name: str | None,
    *,
    settings: Sequence[str] = (),
    source: "Summary | None" = None,
    top: int = 5,
    clip: bool = False,
    ignore: bool = False,
    retry: int | None = None,
) -> Added:
    """Enqueue a point, the best points of another study, or a trial's again.

    Args:
        location, name: the study; None for the only one.
        settings: ``NAME=VALUE`` of the point.
        source: the other study.
        top, clip, ignore: see ``tuning.enqueue.enqueue_best``.
        retry: number of the trial to repeat.

    Raises:
        DefinitionError: an unknown name, a value outside of what the study searches, or ``clip``
            or ``ignore`` without another study.
        StudyError: no such study or trial, or points that do not fit.
    """
    from cvfp_opt.tuning.enqueue import enqueue_best, enqueue_retry, enqueue_values

    if source is None and (clip or ignore):
        raise DefinitionError("clip and ignore are of the best points of another study")
    with open_for_editing(location) as store:
        study = _open(store, name)
        notes: Sequence[str] = ()
        if source is not None:
            done, notes = enqueue_best(store, study, source, top, clip=clip, ignore=ignore)
        elif retry is not None:
            done = [enqueue_retry(store, study, retry)]
        else:
            done = [enqueue_values(store, study, settings)]
    return Added(study=study.study_name, trials=done, notes=notes)


def settings_of(params: Mapping[str, Any]) -> list[str]:
    """Write a point's values as settings. Raises DefinitionError for what is no value."""
    from cvfp_opt.tuning.typed_values import brief, written

    for name, value in params.items():
        if not isinstance(value, int | float | str):
            raise DefinitionError(f"{name}: a number or a word is required, got {brief(value)}")
    return [f"{name}={written(value)}" for name, value in params.items()]


def fail(location: Location, name: str | None, number: int, reason: str) -> str:
    """End a running or waiting trial as failed; return its study's name.

    Raises:
        StudyError: there is no such trial, or it has ended already.
    """
    from cvfp_opt.store.queue.takeover import fail_trial
    from cvfp_opt.store.record.summary import Summary

    with open_for_editing(location) as store:
        study = _open(store, name)
        found = Summary.of(study, location.shown, option=location.option).trial(number)
        if not fail_trial(store, study, number, reason):
            raise StudyError(
                f"trial {number} of study {study.study_name!r} has ended already "
                f"({found.state}): one that runs or waits is required"
            )
    return study.study_name


def control(
    location: Location, name: str | None, act: "Callable[[Store, optuna.Study], Controlled]"
) -> "tuple[str, Controlled]":
    """Change what is wanted of a study; return its name, and what came of it.

    Args:
        location, name: the study; None for the only one.
        act: one of store.queue.control.

    Raises:
        StudyError: the change is not possible in its state.
    """
    with open_for_editing(location) as store:
        study = _open(store, name)
        return study.study_name, store.patiently(lambda: act(store, study))


def rename(location: Location, old: str, new: str) -> None:
    """Give a study another name. Raises StudyError if it is taken."""
    from cvfp_opt.store.transfer.editing import rename_study

    with open_for_editing(location) as store:
        rename_study(store, old, new)


def delete(location: Location, name: str, artifacts: str | None, *, force: bool = False) -> None:
    """Delete a study with all its trials, mirrors and checkpoints.

    Raises:
        StudyError: there is none, or workers run it and ``force`` is not given.
    """
    from cvfp_opt.store.files.artifact_stores import open_artifacts
    from cvfp_opt.store.transfer.editing import delete_study

    files = open_artifacts(location, artifacts)
    with open_summary(location, name):
        pass  # refuses what is not there
    with open_for_editing(location) as store:
        delete_study(store, name, files, force=force)


def examined(
    patient: "Patient",
    *,
    repair: bool = False,
    found: "Callable[[Report], None]" = lambda report: None,
    notify: Callable[[str], None] = lambda text: None,
) -> "Report":
    """Look for faults in a database and the files beside it; return what is left of them.

    Args:
        patient: what to look at.
        repair: mend what is safe to mend.
        found: given the faults before they are mended.
        notify: given a line for each repair.
    """
    from cvfp_opt.store.doctor.examination import examine, mend

    report = examine(patient)
    if repair and report.repairable:
        found(report)
        report = mend(patient, report, notify)
    return report


def _open(store: Store, name: str | None) -> "optuna.Study":
    return load_study(store, name or only_study_name(store))
