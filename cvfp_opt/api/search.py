"""Searching from Python: the public functions."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from cvfp_opt.api.counts import TrialCount, trial_count
from cvfp_opt.api.display.choose import search_view
from cvfp_opt.api.interrupts import raise_stop
from cvfp_opt.api.opening import artifacts_of, locate, open_study, open_summary
from cvfp_opt.api.plan import Plan, define
from cvfp_opt.api.required import require_seconds, require_text, require_whole
from cvfp_opt.api.running import Assignment, confirm_study, search_study
from cvfp_opt.api.study import Study
from cvfp_opt.api.trial import Trial
from cvfp_opt.errors import DefinitionError
from cvfp_opt.report.confirmation import Confirmation, confirmation_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.doctor.finding import counted
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.tuning.plan import Request
from cvfp_opt.tuning.stopping import StopSwitch
from cvfp_opt.tuning.typed_values import brief

if TYPE_CHECKING:
    from cvfp_opt.tuning.limits import Limits
    from cvfp_opt.workers.shares import Workers

# Seconds between two looks for trials that others have ended.
_LOOK_SECONDS = 1.0


def search(
    plan: "Plan | str | os.PathLike[str] | None" = None,
    *,
    n_trials: int | str | None = None,
    timeout: float | None = None,
    name: str | None = None,
    storage: str | os.PathLike[str] | Location | None = None,
    workers: "Workers | None" = None,
    limits: "Limits | None" = None,
    allow_code: bool = False,
    allow_drift: bool = False,
    progress: bool | None = None,
) -> Study:
    """Create a study or go on with it, and run its trials.

    A study has a fixed total of trials: the same call goes on to that total. ^C gives the running
    trials back and raises KeyboardInterrupt: nothing is lost.

    Args:
        plan: from `define`, or what it takes; None for the study's own definition, or for
            "recommended" if the study is new.
        n_trials: trials of the study in all; ``"+10"`` for ten more than it has; None for the
            study's own total, 50 for a new one.
        timeout: seconds after which no further trial is started.
        name: the study's name; None for the plan's.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        workers: who runs the trials; None for processes of this machine, one a thread, up to 4.
        limits: the limits of their patience, and where files of trials lie.
        allow_code: run losses and schedules that only the study's database names.
        allow_drift: go on although definition, text or code differ from the study's; the study
            records it.
        progress: show it; None to choose: bars on a terminal and in a notebook, silence elsewhere.

    Returns:
        The study.

    Raises:
        CvfpOptError: what `cvfp-opt run` refuses, with the same words.
        KeyboardInterrupt: it was stopped.

    Example:
        ``study = search("quick", n_trials=20, name="mine", storage="studies.db")``
    """
    if plan is not None and not isinstance(plan, Plan):
        plan = define(plan)
    request = Request(
        definition=None if plan is None else plan.name,
        sections=None if plan is None else plan.to_dict(),
        study_name=name,
        allow_code=allow_code,
        allow_drift=allow_drift,
    )
    location = locate(storage)
    assignment = _assignment(location, request, workers, limits, timeout, progress)
    count = None if n_trials is None else trial_count(n_trials)
    ended = search_study(assignment, count)
    study = Study(request.name, location, artifacts=assignment.limits.artifacts)
    if ended.stopped is not None:
        raise_stop(ended.stopped, _stopped(ended.summary, more=count is not None and count.more))
    return study


def open(
    name: str | None = None,
    *,
    storage: str | os.PathLike[str] | Location | None = None,
    artifacts: str | None = None,
) -> Study:
    """Open a study that is there.

    Args:
        name: the study's name; None for the only one.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        artifacts: where files of its trials lie; None for CVFP_OPT_ARTIFACTS, or beside it.

    Raises:
        StudyError: there is no such study, or more than one to choose from.
        StorageError: there is no such database.
    """
    if name is not None:
        require_text("name", name)
    location = locate(storage)
    with open_summary(location, name) as summary:
        return Study(summary.name, location, artifacts=artifacts)


def studies(
    *, storage: str | os.PathLike[str] | Location | None = None, artifacts: str | None = None
) -> list[Study]:
    """List the studies of a database, but for mirrors and confirmations.

    Args:
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        artifacts: where files of their trials lie; None for CVFP_OPT_ARTIFACTS, or beside it.

    Raises:
        StorageError: there is no such database.
    """
    from cvfp_opt.store.database.storage import open_for_reading
    from cvfp_opt.store.record.studies import study_names

    location = locate(storage)
    with open_for_reading(location) as store:
        names = store.patiently(lambda: study_names(store))
    return [Study(name, location, artifacts=artifacts) for name in names]


def run_more(
    study: Study,
    n_trials: int,
    *,
    timeout: float | None = None,
    workers: "Workers | None" = None,
    limits: "Limits | None" = None,
    allow_code: bool = False,
    progress: bool | None = False,
) -> Iterator[Trial]:
    """Run more trials of a study, and yield each one as it ends; see ``Study.more``."""
    require_whole("n_trials", n_trials, 1)
    count = TrialCount(trial_count(n_trials).number, more=True)
    request = Request(study_name=study.name, allow_code=allow_code)
    assignment = _assignment(study.location, request, workers, limits, timeout, progress, study)
    return _each_trial(study, assignment, count)


def _each_trial(study: Study, assignment: Assignment, count: TrialCount) -> Iterator[Trial]:
    switch, failures = StopSwitch(), list[BaseException]()
    over = threading.Event()

    def work() -> None:
        try:
            search_study(assignment, count, switch.notifying)
        except BaseException as error:  # raised where somebody sees it
            failures.append(error)
        finally:
            over.set()

    with open_study(study.location, study.name) as look:
        seen = {trial.number for trial in look().trials if trial.finished}
        thread = threading.Thread(target=work, name="cvfp-opt search")
        thread.start()
        try:
            ended = False
            while not ended:
                ended = over.wait(_LOOK_SECONDS)
                yield from _new(study, look(), seen)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("stopped; the running trials were given back") from None
        finally:
            switch.stop()
            thread.join()
    for failure in failures:
        raise failure


def _new(study: Study, summary: Summary, seen: set[int]) -> list[Trial]:
    """List the trials that have ended since the last look, first ended first."""
    found = [one for one in summary.trials if one.finished and one.number not in seen]
    seen.update(one.number for one in found)
    found.sort(key=lambda one: (one.environment.get("finished", 0.0), one.number))
    return [Trial(study, summary, one) for one in found]


def run_confirmation(
    study: Study,
    *,
    top: int,
    seeds: int,
    windows: bool,
    data: str | os.PathLike[str] | None,
    workers: "Workers | None",
    allow_code: bool,
    progress: bool | None,
) -> Confirmation:
    """Run the best trials of a study on fresh seeds; see ``Study.confirm``."""
    require_whole("top", top, 1)
    require_whole("seeds", seeds, 2)
    request = Request(
        study_name=study.name,
        data=None if data is None else os.fspath(data),
        allow_code=allow_code,
        confirms=True,
    )
    assignment = _assignment(study.location, request, workers, None, None, progress, study)
    summary = study.look()
    stopped = confirm_study(assignment, summary, top=top, num_seeds=seeds, windows=windows)
    if stopped is not None:
        raise_stop(stopped, "stopped; what is done is kept: the same call goes on")
    found = confirmation_of(study.look())
    assert found is not None, "it was entered"
    return found


def _assignment(
    location: Location,
    request: Request,
    workers: "Workers | None",
    limits: "Limits | None",
    timeout: float | None,
    progress: bool | None,
    study: Study | None = None,
) -> Assignment:
    from cvfp_opt.tuning.limits import Limits
    from cvfp_opt.workers.shares import Workers

    for key, value, kind in (("workers", workers, Workers), ("limits", limits, Limits)):
        if not isinstance(value, kind | None):
            raise DefinitionError(
                f"{key}: a cvfp_opt.{kind.__name__} is required, got {type(value).__name__} "
                f"{brief(value)}"
            )
    if request.study_name is not None:
        require_text("name", request.study_name)
    if timeout is not None:
        require_seconds("timeout", timeout)
    artifacts = study.artifacts if study else artifacts_of(None)
    return Assignment(
        location=location,
        request=request,
        workers=workers or Workers(),
        limits=replace(limits or Limits(), artifacts=(limits and limits.artifacts) or artifacts),
        view=search_view(progress),
        deadline=None if timeout is None else time.monotonic() + timeout,
    )


def _stopped(summary: Summary | None, *, more: bool) -> str:
    """Say what was done, that nothing is lost, and which call goes on."""
    if summary is None:
        return "stopped; nothing is lost: the same call goes on"
    total = f"n_trials={summary.queue.total}" if more else "the same call"
    trials = counted(summary.num_finished, "trial")
    return f"stopped after {trials}; nothing is lost: {total} goes on"
