"""The display of `run`: live bars on a terminal, one plain line per trial in a log."""

import time
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from cvfp_opt.api.display.console import compile_once
from cvfp_opt.api.display.protocol import View
from cvfp_opt.escaping import printable
from cvfp_opt.report.confirmation_words import confirmation_line
from cvfp_opt.report.extent import trials_words
from cvfp_opt.report.judgement import judge
from cvfp_opt.report.rows import scored
from cvfp_opt.report.tables import audit_table, best_table
from cvfp_opt.report.words import commands, duration, parameters_line, share
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary, untrained_score
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.events import Event, IterationFinished, Phase
from cvfp_opt.training.events import Progress as PhaseProgress
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.plan import Plan


@dataclass
class _Running:
    """A trial that runs: its bar, since when, and its latest figures."""

    bar: TaskID
    started: float
    figures: str = ""


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
        console: Console,
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
        self._durations: list[float] = []
        self._running: dict[int, _Running] = {}
        self._bars = Progress(
            TextColumn("{task.description}", justify="left", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._study_task = self._bars.add_task("study", total=total, text="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

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
        self._bars.update(self._study_task, completed=done or 0, text=f"{done or 0}/{self._total}")

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
        """Show the trial's bar."""
        self._remove_bar(number)  # of a process that died
        bar = self._bars.add_task(
            f"trial {number}", total=self._iterations, text=parameters_line(params)
        )
        self._running[number] = _Running(bar, time.monotonic())

    def trial_event(self, number: int, event: Event) -> None:
        """Move the trial's bar."""
        running = self._running[number]
        if isinstance(event, IterationFinished):
            metrics = event.metrics
            running.figures = (
                f"convergence {share(metrics.convergence_rate)}  "
                f"rank {share(metrics.effective_rank)}"
            )
            return
        if not isinstance(event, PhaseProgress):
            return
        self._bars.update(
            running.bar,
            completed=position(event),
            text=f"iteration {event.iteration + 1}/{self._iterations}  "
            f"{event.phase.value:<18}  {running.figures}",
        )

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        """Print the trial's line, and move the study's bar."""
        running = self._remove_bar(record.number)
        spent = time.monotonic() - running.started if running else 0.0
        self._durations.append(spent)
        done, best = progress.finished, progress.best
        self._line(trial_line(record, spent, done, self._total, best))
        left = self._left(self._total - done)
        text = f"{done}/{self._total}"
        if best is not None:
            text += f"  best {_value(best):.3f} (untrained {untrained_score(best) or 0.0:.3f})"
        self._bars.update(self._study_task, completed=done, text=f"{text}  {duration(left)} left")

    def workers_changed(self, count: int) -> None:
        """Take note that so many workers run trials from here on."""
        self._processes = max(1, count)

    def trial_dropped(self, number: int) -> None:
        """Remove the trial's bar."""
        self._remove_bar(number)

    @property
    def _at_once(self) -> int:
        return self._processes * self._lanes

    def _remove_bar(self, number: int) -> _Running | None:
        running = self._running.pop(number, None)
        if running is not None:
            self._bars.remove_task(running.bar)
        return running

    def _left(self, trials: int) -> float:
        """Estimate the seconds that ``trials`` take, so many at once, at the mean so far."""
        if trials <= 0:
            return 0.0
        rounds = max(1.0, trials / self._at_once)
        return rounds * sum(self._durations) / len(self._durations)

    # the end

    def stopped(self, summary: Summary, location: Location) -> None:
        """Say how to go on after a stop."""
        done = sum(trial.finished for trial in summary.trials)
        self._line(
            f"stopped after {done} of {self._total} trials; nothing is lost. To go on, type: "
            f"{commands(summary, location.option)['run']} --n-trials {self._total}"
        )

    def summary(self, summary: Summary, location: Location) -> None:
        """Print the best five, their audit, the judgement, and what to type next."""
        ranking = summary.ranking[: 10 if summary.is_pareto else 5]
        title = "The Pareto front, best score first" if summary.is_pareto else ""
        self._line("")
        self._line(f"study {summary.name}: {trials_words(summary, 'no trials')}")
        if ranking:
            width = self._console.width
            for table in (best_table(ranking, title, width), audit_table(ranking, width)):
                self._line("")
                self._console.print(table)
        self._line("")
        self._console.print(Text(printable(judge(summary))))
        if confirmed := confirmation_line(summary, option=location.option):
            self._line(confirmed)
        self._line("")
        typed = commands(summary, location.option)
        for label, what in (
            ("the winner in full:", "best"),
            ("ten trials more:", "more"),
            ("as one page:", "report"),
            ("in the browser:", "dashboard"),
        ):
            self._line(f"{label:<21}{typed[what]}")

    def _line(self, text: str, style: str = "") -> None:
        # a terminal wraps between words; a log keeps one line per trial
        self._console.print(
            Text(printable(text), style=style), soft_wrap=not self._console.is_terminal
        )


def view_on(console: Console) -> View:
    """Show searches on a console."""
    return View(make=partial(RunDisplay, console), notify=console.print)


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
    action = "new study" if done is None else "going on with study"
    return [
        f"{action} {plan.name} in {location.shown}: {total} trials in all, "
        f"seed {plan.definition.search.seed}, {computed}",
        f"text: {data.place}, {data.train_tokens} tokens to train on, "
        f"{data.num_validation} held out",
    ]


def header_notes(plan: Plan) -> list[str]:
    """Write what to know before a study's figures are believed, a line each."""
    notices = [plan.tokens.notice] if plan.tokens.notice else []
    return [f"note: {notice}" for notice in notices + plan.definition.notices()]


def shares_words(processes: int, lanes: int, threads: int) -> str:
    """Say who computes: `` with 2 threads``, ``, 2 processes of 1 thread``, `` ..., 8 lanes``."""
    words = f"{threads} thread{'s' if threads != 1 else ''}"
    words = f" with {words}" if processes == 1 else f", {processes} processes of {words}"
    return words if lanes == 1 else f"{words}, {lanes} lanes"


def _value(record: TrialRecord) -> float:
    return record.value if record.value is not None else float("-inf")


def position(event: PhaseProgress) -> float:
    """Compute how far a trial is, in iterations; a pass is the first half of its iteration."""
    share_done = event.done / max(1, event.total)
    halves = {Phase.PASS: 0.0, Phase.BASELINE: 0.5, Phase.TRAINING: 0.5, Phase.AUDIT: 0.5}
    return event.iteration + halves[event.phase] + share_done / 2


def trial_line(
    record: TrialRecord, spent: float, done: int, total: int, best: TrialRecord | None
) -> str:
    """Write how a trial ended.

    Args:
        record: of the trial.
        spent: seconds.
        done, total: trials of the study that have finished, and in all.
        best: trial of the study so far.
    """
    point = f": {record.run['label']}, seed {record.run['seed']}" if record.run else ""
    parts = [f"[{done}/{total}] trial {record.number}{point}"]
    if record.state == "complete":
        parts.append(f"score {_value(record):.3f}")
    ended = record.status if record.state != "fail" else f"{record.status}: {record.reason}"
    if record.state == "pruned":
        ended = f"pruned after iteration {len(record.iterations) - 1}"
    elif record.environment.get("optimizer_steps") == 0 and record.state != "fail":
        ended = f"{ended}: 0 optimizer steps: this is the untrained network"
    if record.metrics:
        figures = scored(record)
        parts.append(f"convergence {share(figures['convergence_rate'])}")
        parts.append(f"rank {share(figures['effective_rank'])}")
    parts += [parameters_line(record.params), ended, duration(spent)]
    if best is not None and best.number == record.number and not record.run:
        parts.append("best so far")
    return "  ".join(part for part in parts if part)
