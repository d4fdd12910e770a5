"""What `run` shows: live bars on a terminal, one plain line per trial in a log."""

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from cvfp_opt.report.judgement import judge
from cvfp_opt.report.summary import Summary, untrained_score
from cvfp_opt.report.tables import (
    audit_table,
    best_table,
    duration,
    parameters_line,
    scored,
    share,
)
from cvfp_opt.search.definition import StudyDefinition
from cvfp_opt.search.plan import Plan
from cvfp_opt.store.location import Location
from cvfp_opt.store.records import TrialRecord
from cvfp_opt.training.events import Event, IterationFinished, Phase
from cvfp_opt.training.events import Progress as PhaseProgress


class RunDisplay:
    """Draws a search on a console. A SearchObserver, and a context manager for the bars."""

    def __init__(self, console: Console, definition: StudyDefinition, total: int) -> None:
        self._console = console
        self._total = total
        self._iterations = definition.training.num_iterations
        self._durations: list[float] = []
        self._started = time.monotonic()
        self._figures = ""
        self._bars = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._study_task = self._bars.add_task("study", total=total, text="")
        self._trial_task = self._bars.add_task("trial", total=None, text="", visible=False)

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
        environment: dict[str, Any],
        done: int | None,
    ) -> None:
        """Say what is about to happen. ``done``: finished trials; None for a new study."""
        data = plan.definition.data
        action = "new study" if done is None else "going on with study"
        threads = environment["threads"]
        self._line(
            f"{action} {plan.name} in {location.shown}: {self._total} trials in all, "
            f"seed {plan.definition.search.seed}, {environment['device']} with {threads} "
            f"thread{'s' if threads != 1 else ''}"
        )
        self._line(
            f"text: {data.place}, {data.train_tokens} tokens to train on, "
            f"{data.num_validation} held out"
        )
        for notice in plan.definition.notices():
            self._line(f"note: {notice}", style="yellow")
        self._bars.update(self._study_task, completed=done or 0, text=f"{done or 0}/{self._total}")

    # SearchObserver

    def notice(self, text: str) -> None:
        """One line."""
        self._line(text, style="yellow")

    def stopping(self) -> None:
        """The user asked to stop."""
        self._line("stopping: giving the running trial back (again to stop at once)")

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        """Show the trial's bar."""
        self._started = time.monotonic()
        self._figures = ""
        self._bars.update(
            self._trial_task,
            description=f"trial {number}",
            total=self._iterations,
            completed=0,
            text=parameters_line(params),
            visible=True,
        )

    def trial_event(self, event: Event) -> None:
        """Move the trial's bar."""
        if isinstance(event, IterationFinished):
            metrics = event.metrics
            self._figures = (
                f"convergence {share(metrics.convergence_rate)}  "
                f"rank {share(metrics.effective_rank)}"
            )
            return
        if not isinstance(event, PhaseProgress):
            return
        self._bars.update(
            self._trial_task,
            completed=position(event),
            text=f"iteration {event.iteration + 1}/{self._iterations}  "
            f"{event.phase.value:<18}  {self._figures}",
        )

    def trial_finished(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        """Print the trial's line, and move the study's bar."""
        spent = time.monotonic() - self._started
        self._durations.append(spent)
        done = sum(r.finished for r in records)
        best = max((r for r in records if r.state == "complete"), key=_value, default=None)
        self._line(_trial_line(record, spent, done, self._total, best))
        left = max(0, self._total - done) * sum(self._durations) / len(self._durations)
        text = f"{done}/{self._total}"
        if best is not None:
            text += f"  best {_value(best):.3f} (untrained {untrained_score(best) or 0.0:.3f})"
        self._bars.update(self._study_task, completed=done, text=f"{text}  {duration(left)} left")
        self._bars.update(self._trial_task, visible=False)

    # the end

    def stopped(self, summary: Summary, location: Location) -> None:
        """Say how to go on after a stop."""
        done = sum(trial.finished for trial in summary.trials)
        self._line(
            f"stopped after {done} of {self._total} trials; nothing is lost. To go on, type: "
            f"{_command(summary, location)} --n-trials {self._total}"
        )

    def summary(self, summary: Summary, location: Location) -> None:
        """The best five, their audit, the judgement, and what to type next."""
        ranking = summary.ranking[: 10 if summary.is_pareto else 5]
        title = "The Pareto front, best score first" if summary.is_pareto else ""
        counts = ", ".join(f"{n} {state}" for state, n in summary.counts.items() if n)
        self._line("")
        self._line(f"study {summary.name}: {counts or 'no trials'}")
        if ranking:
            for table in (best_table(ranking, title), audit_table(ranking)):
                self._line("")
                self._console.print(table)
        self._line("")
        self._console.print(Text(judge(summary)))
        self._line("")
        name = f"--study-name {summary.name}{location.option}"
        self._line(f"the winner in full:  cvfp-opt best {name}")
        self._line(f"ten trials more:     {_command(summary, location)} --n-trials +10")
        self._line(f"in the browser:      optuna-dashboard {location.shown}")

    def _line(self, text: str, style: str = "") -> None:
        # a terminal wraps between words; a log keeps one line per trial
        self._console.print(Text(text, style=style), soft_wrap=not self._console.is_terminal)


def _command(summary: Summary, location: Location) -> str:
    return f"cvfp-opt run --study-name {summary.name}{location.option}"


def _value(record: TrialRecord) -> float:
    return record.value if record.value is not None else float("-inf")


def position(event: PhaseProgress) -> float:
    """How far a trial is, in iterations; a pass counts as the first half of its iteration."""
    share_done = event.done / max(1, event.total)
    halves = {Phase.PASS: 0.0, Phase.BASELINE: 0.5, Phase.TRAINING: 0.5, Phase.AUDIT: 0.5}
    return event.iteration + halves[event.phase] + share_done / 2


def _trial_line(
    record: TrialRecord, spent: float, done: int, total: int, best: TrialRecord | None
) -> str:
    parts = [f"[{done}/{total}] trial {record.number}"]
    if record.state == "complete":
        parts.append(f"score {_value(record):.3f}")
    ended = record.status if record.state != "fail" else f"{record.status}: {record.reason}"
    if record.environment.get("optimizer_steps") == 0 and record.state != "fail":
        ended = f"{ended}: 0 optimizer steps: this is the untrained network"
    if record.metrics:
        figures = scored(record)
        parts.append(f"convergence {share(figures['convergence_rate'])}")
        parts.append(f"rank {share(figures['effective_rank'])}")
    parts += [parameters_line(record.params), ended, duration(spent)]
    if best is not None and best.number == record.number:
        parts.append("best so far")
    return "  ".join(part for part in parts if part)
