"""Submitting a study: it is created with its place in the queue, for others to run."""

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from cvfp_opt.api.counts import DEFAULT_TRIALS
from cvfp_opt.api.opening import locate
from cvfp_opt.api.plan import Plan, define
from cvfp_opt.api.required import require_text
from cvfp_opt.api.study import Study
from cvfp_opt.api.wishes import Wishes, changes_of, new_entry, wishes_of
from cvfp_opt.errors import StudyExists
from cvfp_opt.escaping import positional
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.record.queue_entry import QueueEntry
from cvfp_opt.tuning.plan import Request, make_plan
from cvfp_opt.tuning.typed_values import brief


class SubmissionJson(TypedDict):
    """A study that was submitted.

    Attributes:
        study: its name.
        created: whether it is new; else it was there, just as it was asked for.
    """

    study: str
    created: bool


class Submitted(NamedTuple):
    """A study that was submitted.

    Attributes:
        name: of the study.
        created: whether it is new; else it was there, just as it was asked for.
        entry: what is wanted of it.
    """

    name: str
    created: bool
    entry: QueueEntry

    def to_dict(self) -> dict[str, Any]:
        """Convert it to plain JSON values."""
        done: SubmissionJson = {"study": self.name, "created": self.created}
        return {**done, **self.entry.in_words()}


def submit(
    plan: "Plan | str | os.PathLike[str] | None" = None,
    *,
    n_trials: int = DEFAULT_TRIALS,
    name: str | None = None,
    storage: str | os.PathLike[str] | Location | None = None,
    priority: int = 0,
    weight: float = 1.0,
    max_workers: int | None = None,
    budget_hours: float | None = None,
    max_failed: int | None = None,
    until: datetime | str | None = None,
    tags: Sequence[str] = (),
) -> Study:
    """Create a study for workers to run, and return at once.

    Workers that stay (`cvfp-opt worker`) run its trials. The same call again changes nothing.

    Args:
        plan: from `define`, or what it takes; None for "recommended".
        n_trials: trials of the study in all.
        name: the study's name; None for the plan's.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        priority: the studies of the highest priority are served first.
        weight: share of the workers among studies of one priority.
        max_workers: workers that may run its trials at once; 1 keeps proposals repeatable.
        budget_hours: hours that its trials may take together.
        max_failed: failed trials after which no further one begins.
        until: time after which no trial begins; of this machine's zone if it names none.
        tags: words to find it by.

    Returns:
        The study.

    Raises:
        StudyExists: there is another one of that name, by definition or by what is wanted of it.
        CvfpOptError: what `cvfp-opt submit` refuses, with the same words.

    Example:
        ``study = submit("quick", n_trials=20, name="mine", weight=2)``
    """
    if name is not None:
        require_text("name", name)
    if plan is not None and not isinstance(plan, Plan):
        plan = define(plan)
    request = Request(
        definition=None if plan is None else plan.name,
        sections=None if plan is None else plan.to_dict(),
        study_name=name,
    )
    location = locate(storage)
    wishes = Wishes(
        n_trials=n_trials,
        priority=priority,
        weight=weight,
        max_workers=max_workers,
        budget_hours=budget_hours,
        max_failed=max_failed,
        until=until,
        tags=tags,
    )
    return Study(submit_request(location, request, wishes).name, location)


def submit_request(location: Location, request: Request, wishes: Wishes) -> Submitted:
    """Create a study with what is wanted of it, in one transaction; see ``submit``.

    Args:
        location: of the database.
        request: the study.
        wishes: in the users' words; of one that is not named, the default.

    Raises:
        StudyExists: there is another one of that name, by definition or by what is wanted of it.
        CvfpOptError: something is not as required; nothing is half done.
    """
    from cvfp_opt.store.database.storage import open_for_search
    from cvfp_opt.store.queue import control

    changes = changes_of(Wishes(n_trials=DEFAULT_TRIALS) | wishes)
    entry = new_entry(changes)
    plan = make_plan(location, request)
    with open_for_search(location) as store:
        study, created = plan.enter(store, {}, entry)
        if created:
            return Submitted(plan.name, True, entry)
        there = QueueEntry.of(study.user_attrs)
        if there.submitted is None and there.total is None:  # from before there was a queue
            first = {"owner": entry.owner} | changes
            there = store.patiently(lambda: control.amend(store, study, first)).entry
        _refuse_other(location, plan.name, there, entry)
    return Submitted(plan.name, False, there)


def _refuse_other(location: Location, name: str, there: QueueEntry, asked: QueueEntry) -> None:
    """Refuse to take a study for the one that is asked for, if another thing is wanted of it."""
    have, want = wishes_of(there), wishes_of(asked)
    different = [key for key in want if have[key] != want[key]]
    if there.total is None or not different:
        return
    words = ", ".join(f"{key} {brief(have[key])}, not {brief(want[key])}" for key in different)
    raise StudyExists(
        f"study {name!r} in {location.where} is there already, with {words}; to change it, type "
        f"`cvfp-opt study set{location.option} {positional(name)}`, or name another one with "
        "--study-name"
    )
