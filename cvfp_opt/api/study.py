"""A study in a database, and what can be done with it."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from cvfp_opt.api.required import require_text, require_whole
from cvfp_opt.api.stored_study import StoredStudy
from cvfp_opt.api.trial import Trial
from cvfp_opt.api.wishes import Wishes, changes_of
from cvfp_opt.errors import DefinitionError
from cvfp_opt.store.queue import control

if TYPE_CHECKING:
    import optuna
    import plotly.graph_objects as go

    from cvfp_opt.report.compare import Comparison
    from cvfp_opt.report.confirmation import Confirmation
    from cvfp_opt.store.database.storage import Store
    from cvfp_opt.store.record.event import Event
    from cvfp_opt.tuning.limits import Limits
    from cvfp_opt.workers.shares import Workers


class Study(StoredStudy):
    """A study in a database. Each question reads it anew, so two objects of one study agree.

    It pickles as the place of its database and its name, with the database's password if its
    URL has one.

    Args:
        name: the study's name.
        storage: path or URL of its database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        artifacts: where files of its trials lie; None for CVFP_OPT_ARTIFACTS, or beside it.

    Attributes:
        name: the study's name.
        location: place of its database.
        artifacts: as given.
    """

    # its trials

    @property
    def counts(self) -> dict[str, int]:
        """The number of trials in each state."""
        return self.look().counts

    # what it says

    @property
    def judgement(self) -> str:
        """The judgement of its winner: one or two sentences on whether to believe it."""
        from cvfp_opt.report.judgement import judge

        return judge(self.look())

    @property
    def confirmation(self) -> "Confirmation | None":
        """The results of its best trials on fresh seeds; None before `confirm`."""
        from cvfp_opt.report.confirmation import confirmation_of

        return confirmation_of(self.look())

    def plot(self, kind: str) -> "go.Figure":
        """Draw a figure of the report: a Plotly figure.

        Args:
            kind: "pareto", "confirmation", "history", "thresholds", "curves", "importance",
                "parallel" or "slices".

        Raises:
            ReportError: there is no such figure.
        """
        from cvfp_opt.errors import ReportError, nearest
        from cvfp_opt.report.figures.kinds import KINDS

        if not isinstance(kind, str) or kind not in KINDS:
            raise ReportError(f"unknown figure {kind!r}; {nearest(str(kind), KINDS)}")
        return KINDS[kind].draw(KINDS[kind].info(self.look()))

    def report(
        self,
        path: str | os.PathLike[str] = "report.html",
        *,
        compare: "Study | str | None" = None,
        data: str | os.PathLike[str] | None = None,
    ) -> Path:
        """Write its report, one HTML file that needs no network; return its path.

        Args:
            path: path of the file.
            compare: another study to compare it with.
            data: a folder for the numbers of every figure, as CSV and JSON.

        Raises:
            ReportError: the disk refuses.
        """
        from cvfp_opt.report.page.write import write_data, write_report

        summary, file = self.look(), Path(path)
        folder = None if data is None else Path(data)
        comparison = None if compare is None else self.compare(compare)
        write_report(summary, file, self.location.option, comparison, folder)
        if folder is not None:
            write_data(summary, folder)
        return file

    def compare(self, other: "Study | str") -> "Comparison":
        """Compare it with another study: winners, audits, times, definitions."""
        from cvfp_opt.report.compare import compare_studies

        return compare_studies(self.look(), self._other(other).look())

    def to_dict(self) -> dict[str, Any]:
        """Give what it was created with, how far it is and its five best, as plain JSON values."""
        from cvfp_opt.report.status import status_json

        return {**status_json(self.look())}

    # what runs in it

    def more(
        self,
        n_trials: int,
        *,
        timeout: float | None = None,
        workers: "Workers | None" = None,
        limits: "Limits | None" = None,
        allow_code: bool = False,
        progress: bool | None = False,
    ) -> Iterator[Trial]:
        """Run more trials, and give each one as it ends, whoever ran it.

        It begins when it is iterated over. Breaking off the loop, or ^C, gives the running trial
        back: it waits with its number, parameters and checkpoint for whoever goes on.

        Args:
            n_trials: so many more than have finished or run.
            timeout: seconds after which no further trial is started.
            workers: who runs them.
            limits: the limits of their patience.
            allow_code: run losses and schedules that the study itself names.
            progress: show them; None to choose by where it is shown.

        Raises:
            CvfpOptError: what `cvfp-opt run` refuses, with the same words.
        """
        from cvfp_opt.api.search import run_more

        return run_more(
            self,
            n_trials,
            timeout=timeout,
            workers=workers,
            limits=limits,
            allow_code=allow_code,
            progress=progress,
        )

    def confirm(
        self,
        *,
        top: int = 5,
        seeds: int = 5,
        windows: bool = False,
        data: str | os.PathLike[str] | None = None,
        workers: "Workers | None" = None,
        allow_code: bool = False,
        progress: bool | None = None,
    ) -> "Confirmation":
        """Run the best trials, the default point and the untrained net on fresh seeds.

        What was run before is not run again; after a stop, the same call goes on.

        Args:
            top: how many of the best trials.
            seeds: fresh seeds for each.
            windows: give each seed a part of the text of its own, which the search did not read.
            data: where the text is now.
            workers: who runs them.
            allow_code: run losses and schedules that the study itself names.
            progress: show it; None to choose by where it is shown.

        Returns:
            Means, intervals and verdicts.

        Raises:
            CvfpOptError: what `cvfp-opt confirm` refuses, with the same words.
        """
        from cvfp_opt.api.search import run_confirmation

        return run_confirmation(
            self,
            top=top,
            seeds=seeds,
            windows=windows,
            data=data,
            workers=workers,
            allow_code=allow_code,
            progress=progress,
        )

    def _is_busy(self) -> bool:
        from cvfp_opt.report.queue import is_busy, study_entry_json
        from cvfp_opt.store.database.storage import open_for_reading
        from cvfp_opt.store.queue.overview import read_queue
        from cvfp_opt.store.queue.workers import read_workers

        with open_for_reading(self.location) as store:
            studies, workers = store.patiently(lambda: (read_queue(store), read_workers(store)))
        entries = (study_entry_json(one, workers) for one in studies if one.name == self.name)
        return is_busy(next(entries, {"counts": self.counts}))

    def enqueue(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        best_of: "Study | str | None" = None,
        top: int = 5,
        clip: bool = False,
        ignore: bool = False,
        retry: int | None = None,
    ) -> tuple[Trial, ...]:
        """Enqueue trials at points of your choice; the next free worker runs them.

        Args:
            params: a point, by name; the sampler chooses what it leaves out.
            best_of: take the best points of another study instead.
            top: how many of its points.
            clip: move its numbers into the ranges here.
            ignore: leave out parameters that are unknown here.
            retry: repeat the point of this finished trial, with other seeds, instead.

        Returns:
            The trials; one that waited already is not enqueued twice.

        Raises:
            DefinitionError: an unknown name, or a value outside of what the study searches.
            StudyError: no such study or trial.
        """
        from cvfp_opt.api.changing import enqueue, settings_of

        if params is not None and not isinstance(params, Mapping):
            raise DefinitionError(f"params: a dict of values by name is required, got {params!r}")
        if (params is not None, best_of is not None, retry is not None).count(True) != 1:
            raise DefinitionError("enqueue: one of params, best_of and retry is required")
        if retry is not None:
            require_whole("retry", retry, 0)
        numbers = enqueue(
            self.location,
            self.name,
            settings=settings_of(params or {}),
            source=None if best_of is None else self._other(best_of).look(),
            top=top,
            clip=clip,
            ignore=ignore,
            retry=retry,
        ).numbers
        summary = self.look()
        return tuple(Trial(self, summary, summary.trial(number)) for number in numbers)

    def fail(self, number: int, reason: str = "ended by hand") -> None:
        """End a running or waiting trial as failed; a worker that runs it goes on to the next.

        Raises:
            StudyError: there is no such trial, or it has ended already.
        """
        from cvfp_opt.api.changing import fail

        require_whole("number", number, 0)
        require_text("reason", reason)
        fail(self.location, self.name, number, reason)

    @property
    def total(self) -> int | None:
        """The number of trials that it is to have; None if nobody has said."""
        return self.look().queue.total

    @property
    def state(self) -> str:
        """The state of its queue: "open", "paused" or "cancelled"; trials begin in an open one."""
        return self.look().queue.state.value

    def pause(self, *, now: bool = False) -> None:
        """Let no further trial begin; those that run go on to their end.

        Args:
            now: give those that run back as well: they wait, with their checkpoints.

        Raises:
            StudyError: it is done, or cancelled.
        """
        self._control(lambda store, study: control.pause(store, study, now=now))

    def resume(self) -> None:
        """Let trials begin again; workers have to be started again."""
        self._control(control.resume)

    def cancel(self) -> None:
        """Give running trials back, and let none begin; `resume` opens it again.

        Raises:
            StudyError: it is done.
        """
        self._control(control.cancel)

    def set(self, **wishes: Unpack[Wishes]) -> None:
        """Change what is wanted of it: all that is named, or nothing.

        Args:
            wishes: ``n_trials``, ``priority``, ``weight``, ``max_workers``, ``budget_hours``,
                ``max_failed``, ``until``, ``owner``, ``tags``, as `submit` takes them; None for
                no limit.

        Raises:
            DefinitionError: a value that does not fit.
            StudyError: more trials have finished or run than the total would be.
        """
        changes = changes_of(wishes)
        self._control(lambda store, study: control.amend(store, study, changes))

    def events(self, *, after: int | None = None, limit: int | None = None) -> "list[Event]":
        """List what happened to it, in its order; see `cvfp_opt.events`.

        Args:
            after: id of the last event that is known; None for the newest events.
            limit: how many at most; None for the newest 50, or for 1000 after one.
        """
        from cvfp_opt.api.notifying import events

        return events(self.name, after=after, limit=limit, storage=self.location)

    def _control(self, act: "Callable[[Store, optuna.Study], control.Controlled]") -> None:
        from cvfp_opt.api.changing import control as change

        change(self.location, self.name, act)

    def _other(self, other: "Study | str") -> "Study":
        if isinstance(other, str):
            return Study(other, self.location, artifacts=self.artifacts)
        if not isinstance(other, Study):
            raise DefinitionError(f"a study or its name is required, got {type(other).__name__}")
        return other

    def __repr__(self) -> str:
        from cvfp_opt.report.brief import study_text

        summary = self._seen()
        if summary is None:
            return f"Study({self.name!r}, storage={self.location.shown!r})"
        return study_text(summary)
