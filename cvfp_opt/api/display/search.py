"""The display of `run`: live bars on a terminal, one plain line per trial in a log."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

from rich.text import Text

from cvfp_opt.api.display.console import PlainConsole, print_line
from cvfp_opt.api.display.drawing import Drawing, compile_once
from cvfp_opt.api.display.protocol import View
from cvfp_opt.escaping import printable
from cvfp_opt.report.bars import Bar, Bars, parameter_parts, study_bar
from cvfp_opt.report.confirmation_words import confirmation_line
from cvfp_opt.report.extent import first_pruned, trials_words, waiting_words
from cvfp_opt.report.fitted import Part, fitting_parts, typed
from cvfp_opt.report.judgement import judge
from cvfp_opt.report.tables import audit_table, best_table
from cvfp_opt.report.time_left import Span, time_left
from cvfp_opt.report.trial_rows import PERPLEXITY, scored
from cvfp_opt.report.words import against, commands, duration, number, reason_words, share
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.doctor.finding import counted
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.events import Event, IterationFinished, Phase
from cvfp_opt.training.events import Progress as PhaseProgress
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.plan import Plan


@dataclass
class _Running:
    """A trial that runs: since when, how far it is in passes, and what is said of it."""

    started: float
    done: float = 0.0
    parts: Sequence[Part] = ()
    figures: Sequence[Part] = ()


class RunDisplay:
    """Draws a search on a console. A SearchObserver, and a context manager for the bars.

    Args:
        console: where to draw.
        definition: of the study.
        total: trials of the study in all.
        processes: that run trials side by side.
        lanes: trials at once in each.
    """

    def __init__(
        self,
        console: PlainConsole,
        definition: StudyDefinition,
        total: int,
        processes: int = 1,
        lanes: int = 1,
    ) -> None:
        self._console = console
        self._total = total
        self._processes, self._lanes = processes, lanes
        self._definition = definition
        self._iterations = definition.training.num_iterations
        self._first_pruned = first_pruned(asdict(definition.search), total)
        self._done = 0
        self._best: TrialRecord | None = None
        self._finished: list[Span] = []
        self._running: dict[int, _Running] = {}
        # where the bars end, lines that are printed begin: they are drawn together
        self._drawing = Drawing(console, self.bars)

    def __enter__(self) -> Self:
        self._drawing.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._drawing.__exit__(kind, error, trace)

    def bars(self) -> Bars:
        """Draw the study and its running trials as they stand now."""
        study = study_bar(
            done=self._done, total=self._total, best=self._best, left=self._seconds_left()
        )
        trials = [
            Bar(label=f"trial {number}", done=one.done, total=self._iterations, parts=one.parts)
            for number, one in sorted(self._running.copy().items())
        ]
        return Bars(bars=[study, *trials], height=self._console.height - 2)

    def header(
        self,
        plan: Plan,
        location: Location,
        environment: StoredEnvironment,
        done: int | None,
        place: str = "",
    ) -> None:
        """Say what is about to happen.

        Args:
            plan, location: the study, and its database.
            environment: of this process.
            done: finished trials; None for a new study.
            place: where trials run, if not in this process and others like it.
        """
        shares = shares_words(self._processes, self._lanes, environment["threads"])
        computed = place or f"{environment['device']}{shares}"
        for line in header_lines(plan, location, done, self._total, computed):
            self._line(line)
        for note in header_notes(plan):
            self._line(note, style="yellow")
        self._done = done or 0

    def compile(self, device: str) -> None:
        """Compile the kernels if this installation has not, and say so."""
        compile_once(self._console, self._definition, device)

    # SearchObserver

    def notice(self, text: str) -> None:
        """Print one line."""
        self._line(text, style="yellow")

    def stopping(self) -> None:
        """Say that the user asked to stop."""
        trials = "trial" if self._at_once == 1 else "trials"
        self._line(f"stopping: giving the running {trials} back (again to stop at once)")

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        """Show the trial's bar; one of a process that died begins anew."""
        self._running[number] = _Running(time.monotonic(), parts=parameter_parts(params))

    def trial_event(self, number: int, event: Event) -> None:
        """Move the trial's bar."""
        running = self._running[number]
        if isinstance(event, IterationFinished):
            metrics = event.metrics
            running.figures = (
                Part(f"convergence {share(metrics.convergence_rate)}", 8),
                Part(f"rank {share(metrics.effective_rank)}", 7),
            )
        elif isinstance(event, PhaseProgress):
            running.done = position(event)
            at = Part(f"pass {event.iteration + 1}/{self._iterations}", 9)
            running.parts = (at, *running.figures, Part(event.phase.value, 6))

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        """Print the trial's line, and move the study's bar."""
        running, now = self._running.pop(record.number, None), time.monotonic()
        begun = running.started if running else now
        self._finished.append(Span(begun, now, spared=record.number < self._first_pruned))
        self._done, self._best = progress.finished, progress.best
        self._line(trial_line(record, now - begun, progress, self._total, self._width))

    def workers_changed(self, count: int) -> None:
        """Take note that so many workers run trials from here on."""
        self._processes = max(1, count)

    def trial_dropped(self, number: int) -> None:
        """Remove the trial's bar."""
        self._running.pop(number, None)

    @property
    def _at_once(self) -> int:
        return self._processes * self._lanes

    def _seconds_left(self) -> float | None:
        now = time.monotonic()
        running = [
            Span(
                one.started,
                now,
                min(1.0, one.done / self._iterations),
                spared=number < self._first_pruned,
            )
            for number, one in self._running.copy().items()
        ]
        return time_left(self._finished, running, self._total - self._done)

    # the end

    def stopped(self, summary: Summary, location: Location) -> None:
        """Say how to go on after a stop."""
        done = sum(trial.finished for trial in summary.trials)
        self._line(f"stopped after {done} of {counted(self._total, 'trial')}; nothing is lost")
        run = f"{commands(summary, location.option)['run']} --n-trials {self._total}"
        self._typed("to go on:", run)

    def summary(self, summary: Summary, location: Location) -> None:
        """Print the best five, their audit, the judgement, and what to type next."""
        ranking = summary.ranking[: 10 if summary.is_pareto else 5]
        title = "The Pareto front, best score first" if summary.is_pareto else ""
        self._line("")
        self._line(f"study {summary.name}: {trials_words(summary, 'no trials')}")
        if ranking:
            for table in (best_table(ranking, title), audit_table(ranking)):
                self._line("")
                self._console.print(table)
        self._line("")
        self._line(judge(summary))
        if confirmed := confirmation_line(summary, option=location.option):
            self._line(confirmed)
        self._line("")
        if waiting := waiting_words(summary, location.option):
            self._typed(*waiting)
        known = commands(summary, location.option)
        for label, what in (
            *((("the winner in full:", "best"),) if ranking else ()),
            ("ten trials more:", "more"),
            ("as one page:", "report"),
            ("in the browser:", "dashboard"),
        ):
            self._typed(label, known[what])

    def _typed(self, label: str, command: str) -> None:
        room = max(21, len(label) + 2)
        for line in typed(label, printable(command), self._width, room=room):
            self._console.print(Text(printable(line)), soft_wrap=True)

    def _line(self, text: str, style: str = "") -> None:
        print_line(self._console, text, style=style)

    @property
    def _width(self) -> int | None:
        return self._console.width if self._console.is_terminal else None


def view_on(console: PlainConsole) -> View:
    """Show searches on a console."""
    return View(make=partial(RunDisplay, console), notify=partial(print_line, console))


def header_lines(
    plan: Plan, location: Location, done: int | None, total: int, computed: str
) -> list[str]:
    """Write which study is searched, and by which text.

    Args:
        plan, location: the study, and its database.
        done: finished trials; None for a new study.
        total: trials of the study in all.
        computed: where and by how many.
    """
    data = plan.definition.data
    action, wanted = "going on with study", f"{counted(total, 'trial')} in all"
    if done is None:
        action = "new study"
    elif done > total:
        action, wanted = "study", f"{counted(done, 'trial')} done, more than the {total} asked for"
    return [
        f"{action} {plan.name} in {location.shown}: {wanted}, "
        f"seed {plan.definition.search.seed}, {computed}",
        f"text: {data.place}, {data.train_tokens} tokens to train on, "
        f"{data.num_validation} held out",
    ]


def header_notes(plan: Plan) -> list[str]:
    """Write what to know before a study's figures are believed, a line each."""
    notices = [plan.tokens.notice] if plan.tokens.notice else []
    return [f"note: {notice}" for notice in [*notices, *plan.notes, *plan.definition.notices()]]


def shares_words(processes: int, lanes: int, threads: int) -> str:
    """Say who computes: `` with 2 threads``, ``, 2 processes of 1 thread``, `` ..., 8 lanes``."""
    words = f"{threads} thread{'s' if threads != 1 else ''}"
    words = f" with {words}" if processes == 1 else f", {processes} processes of {words}"
    return words if lanes == 1 else f"{words}, {lanes} lanes"


def position(event: PhaseProgress) -> float:
    """Compute how far a trial is, in iterations; a pass is the first half of its iteration."""
    share_done = event.done / max(1, event.total)
    begun = 0.0 if event.phase is Phase.PASS else 0.5
    return event.iteration + begun + share_done / 2


def trial_line(
    record: TrialRecord,
    spent: float,
    progress: StudyProgress,
    total: int,
    width: int | None = None,
) -> str:
    """Write what came of a trial, as much as a line has room for.

    Args:
        record: of the trial.
        spent: seconds.
        progress: of its study.
        total: trials of the study in all.
        width: in cells; None for a log, which has room for all.
    """
    point = f": {record.run['label']}, seed {record.run['seed']}" if record.run else ""
    parts = [Part(f"[{progress.finished}/{total}] trial {record.number}{point}", 9)]
    if record.state == "complete":
        parts.append(Part(f"score {number(record.value)}", 8))
    if record.metrics:
        figures = scored(record)
        parts.append(Part(f"convergence {share(figures['convergence_rate'])}", 5))
        parts.append(Part(f"rank {share(figures['effective_rank'])}", 4))
    if record.downstream:
        parts.append(Part(f"perplexity {PERPLEXITY.write(PERPLEXITY.take(record))}", 4))
    if not record.run:  # why it is not the best, whatever its score
        parts += [Part(words, 2.5 if place else 6) for place, words in enumerate(against(record))]
    parts += parameter_parts(record.params)
    ended = _ended(record)
    # a score says as much as "finished"
    parts += [Part(ended, 0.5 if ended == "finished" else 6), Part(duration(spent), 3)]
    best = progress.best
    is_best = best is not None and best.number == record.number and not record.run
    if is_best and record.feasible:
        parts.append(Part("new best", 7))
    if record.state == "fail" and width is not None:
        # why it failed is told in full
        return fitting_parts([parts[0], Part(ended)], None)
    return fitting_parts(parts, width)


def _ended(record: TrialRecord) -> str:
    """Say how a trial ended."""
    if record.state == "pruned":
        return f"pruned after pass {len(record.iterations)}"
    if record.state == "fail":
        return f"{record.status}: {reason_words(record)}"
    if record.environment.get("optimizer_steps") == 0:
        return f"{record.status}: 0 optimizer steps: this is the untrained network"
    return record.status
