"""Searching a study, or running its confirmation, from its words to its end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cvfp_opt.api.counts import DEFAULT_TRIALS, TrialCount
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.retry import DATABASE_ERRORS, LOOKING, Patience
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.tuning.plan import Plan, Request, make_plan, resolve_request
from cvfp_opt.tuning.stopping import SearchStopped, Stop, StopRequest

if TYPE_CHECKING:
    import optuna

    from cvfp_opt.api.display.protocol import SearchDisplay, View
    from cvfp_opt.store.database.storage import Store
    from cvfp_opt.tuning.limits import Limits
    from cvfp_opt.tuning.stopping import SearchStopped
    from cvfp_opt.workers.session import Session
    from cvfp_opt.workers.shares import Workers

StopBy = Callable[[Callable[[], None]], AbstractContextManager[Stop]]
"""Makes what stops a search, given what to call then."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A study, and who is to run its trials.

    Attributes:
        location: place of its database.
        request: the study.
        workers: as they were asked for.
        limits: the limits of their patience.
        view: shows what they do.
        deadline: see workers.task.Task.
    """

    location: Location
    request: Request
    workers: "Workers"
    limits: "Limits"
    view: "View"
    deadline: float | None = None

    @property
    def patiently(self) -> Patience:
        """The way to wait for a database that is away."""
        return Patience(seconds=self.limits.patience_seconds, notify=self.view.notify)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A search that came to its end, or was stopped.

    Attributes:
        display: that showed it.
        stopped: by which signal; None at its end.
        summary: of its study; None if it was stopped and the database did not answer.
    """

    display: "SearchDisplay"
    stopped: SearchStopped | None
    summary: Summary | None


def search_study(
    assignment: Assignment, count: TrialCount | None, stop_by: StopBy | None = None
) -> Ended:
    """Create a study or open it, and run its trials.

    Args:
        assignment: the study, and who runs it.
        count: of trials; None for the study's own total.
        stop_by: makes what stops it; None for ^C and SIGTERM.

    Raises:
        CvfpOptError: something is not as required; nothing is half done.
    """
    from cvfp_opt.api.wishes import new_entry
    from cvfp_opt.notify.sender import sending
    from cvfp_opt.store.database.storage import open_for_search
    from cvfp_opt.store.queue.control import require_open, set_total
    from cvfp_opt.store.record.first_environment import note_first
    from cvfp_opt.store.record.mirrors import left_out
    from cvfp_opt.store.record.queue_entry import QueueEntry
    from cvfp_opt.store.record.records import count_taken

    patiently = assignment.patiently
    with (
        ready(assignment, several=count is None or count.number > 1) as (session, plan),
        open_for_search(assignment.location, patiently) as store,
        sending(store, assignment.view.notify),
    ):
        wanted = (count or TrialCount(DEFAULT_TRIALS)).total(0)
        study, created = plan.enter(store, session.environment, new_entry({"total": wanted}))
        patiently(lambda: require_open(study, assignment.location.option))
        if not created:  # it may have been submitted before anybody ran it
            patiently(lambda: note_first(store, study, session.environment))
        own = TrialCount(QueueEntry.of(study.user_attrs).total or DEFAULT_TRIALS)
        total = (count or own).total(patiently(lambda: count_taken(study)))
        more = count is not None and count.more
        patiently(lambda: set_total(store, study, total, raise_only=more))
        notes = patiently(lambda: left_out(store, study))
        display, stopped = run_trials(
            session,
            store,
            study,
            plan,
            total,
            assignment.view,
            notes=notes,
            created=created,
            stop_by=stop_by,
        )
        summary = None
        try:
            look = LOOKING if stopped else patiently  # who stopped it waits for no summary
            summary = look(
                lambda: Summary.of(
                    study, assignment.location.shown, option=assignment.location.option
                )
            )
        except DATABASE_ERRORS:
            if not stopped:
                raise
    return Ended(display=display, stopped=stopped, summary=summary)


def confirm_study(
    assignment: Assignment,
    summary: Summary,
    *,
    top: int,
    num_seeds: int,
    windows: bool,
    stop_by: StopBy | None = None,
) -> SearchStopped | None:
    """Run the best trials again on fresh seeds; return what stopped it, None at its end.

    Args:
        assignment: the study, and who runs it.
        summary: of the study.
        top, num_seeds, windows: see tuning.confirm.enter_runs.
        stop_by: see ``search_study``.

    Raises:
        CvfpOptError: something is not as required; nothing is half done.
    """
    from cvfp_opt.api.confirmed import announce_confirmed
    from cvfp_opt.notify.sender import sending
    from cvfp_opt.report.dashboard.page import refresh
    from cvfp_opt.store.database.storage import open_for_editing
    from cvfp_opt.store.record.studies import load_study
    from cvfp_opt.tuning.confirm import enter_runs

    patiently = assignment.patiently
    with (
        ready(assignment) as (session, source),
        open_for_editing(assignment.location, patiently) as store,
        sending(store, assignment.view.notify),
    ):
        entered = patiently(
            lambda: enter_runs(
                store,
                source,
                summary,
                session.environment,
                top=top,
                num_seeds=num_seeds,
                windows=windows,
            )
        )
        _, stopped = run_trials(
            session,
            store,
            entered.study,
            entered.plan,
            entered.total,
            assignment.view,
            notes=entered.notes,
            created=entered.created,
            stop_by=stop_by,
        )
        # its page says what is known of the winner now
        with suppress(*DATABASE_ERRORS):  # a page is worth neither waiting nor an end
            refresh(store, load_study(store, summary.name), lambda text: None)
        if stopped is None:
            announce_confirmed(store, summary.name)
    return stopped


@contextmanager
def ready(assignment: Assignment, *, several: bool = True) -> "Iterator[tuple[Session, Plan]]":
    """Check everything, and make workers ready; give them with the study's plan.

    Args:
        assignment: the study, and who runs it.
        several: whether there is more than one trial to run.
    """
    location, request, patiently = assignment.location, assignment.request, assignment.patiently
    from cvfp_opt.notify.file import read_notify_file

    resolve_request(location, request, patiently)  # what is mistyped needs not wait for torch
    read_notify_file(location)

    from cvfp_opt.store.files.artifact_stores import open_artifacts
    from cvfp_opt.workers.forking import start_server_for
    from cvfp_opt.workers.session import open_session
    from cvfp_opt.workers.shares import share_out

    options = share_out(assignment.workers)
    if several:
        start_server_for(options)  # which imports beside us
    open_artifacts(location, assignment.limits.artifacts)  # refused before anything else is done
    plan = make_plan(location, request, patiently)
    with open_session(location, plan, options, assignment.limits, assignment.deadline) as session:
        yield session, plan


def run_trials(
    session: "Session",
    store: "Store",
    study: "optuna.Study",
    plan: Plan,
    total: int,
    view: "View",
    *,
    notes: Sequence[str] = (),
    created: bool = False,
    stop_by: StopBy | None = None,
) -> "tuple[SearchDisplay, SearchStopped | None]":
    """Run trials of a study until it has enough or is stopped, and show it.

    Args:
        session: of workers that are ready.
        store, study: opened by this process.
        plan: entered.
        total: trials of the study in all.
        view: how to show it.
        notes: to begin with, a line each.
        created: whether the study is new.
        stop_by: see ``search_study``.

    Returns:
        What showed it, and what stopped it; None at its end.
    """
    from cvfp_opt.store.record.records import count_finished
    from cvfp_opt.workers.engine import Job

    task, differences = session.task(store, study, plan, total)
    done = store.patiently(lambda: count_finished(study))
    most = max(1, total - done)
    count, lanes = session.count and min(session.count, most), min(session.lanes, most)
    display = view.make(plan.definition, total, count or 1, lanes)
    known = None if created else done
    display.header(plan, session.location, task.environment, known, session.engine.place)
    for line in (*notes, *differences):
        display.notice(line)
    if done < total and count is not None:  # or it is others who compile it
        display.compile(task.environment["device"])

    def stopping() -> None:
        session.engine.stop()
        display.stopping()

    task = replace(task, lanes=lanes)
    job = Job(task=task, count=count, store=store, study=study, observer=display)
    try:
        with (stop_by or StopRequest)(stopping) as stop, display:
            session.engine.run(job, stop)
    except SearchStopped as stopped:
        return display, stopped
    return display, None
