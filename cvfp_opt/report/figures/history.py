"""The score of each trial in turn, and what an untrained net would have scored."""

from dataclasses import dataclass

import plotly.graph_objects as go

from cvfp_opt.report.figures.figure import BLUE, GREEN, GREY, ORANGE, air, new_figure
from cvfp_opt.report.history import running_best
from cvfp_opt.report.rows import Rows, finite
from cvfp_opt.store.record.summary import Summary, untrained_score


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A trial that has ended.

    Attributes:
        number: of the trial.
        state: "complete", "pruned" or "fail".
        value: its score; of a pruned one the last that it reported; None where there is none.
        untrained: score of the untrained net of its set-up; None if it was not audited.
        best: of the complete trials up to this one.
        feasible: whether it violates no constraint: only then it is the best, if any is.
    """

    number: int
    state: str
    value: float | None
    untrained: float | None
    best: float | None
    feasible: bool = True


@dataclass(frozen=True, kw_only=True)
class History:
    """Trials in the order of their numbers; ``name`` is what their value is called."""

    attempts: tuple[Attempt, ...]
    name: str = "score"
    missing: str = ""

    @property
    def caption(self) -> str:
        complete = [a for a in self.attempts if a.best is not None]
        if not complete:
            count = len(self.attempts)
            none = "The only trial that ended is not" if count == 1 else f"None of {count} trials"
            none += " complete." if count == 1 else " that ended is complete."
            return "" if self.missing else none
        last = complete[-1]
        first = next(a for a in complete if a.best == last.best)
        if any(a.feasible for a in complete):  # one that cannot win may be as good
            first = next((a for a in complete if a.feasible and a.value == last.best), first)
        able = " that can win" if any(not a.feasible for a in complete) else ""
        after = len(self.attempts) - 1 - self.attempts.index(first)
        baselines = [a.untrained for a in self.attempts if a.untrained is not None]
        words = f"The best {self.name}, {last.best:.4g}, came with trial {first.number}"
        words += f"; {after} after it found nothing better{able}." if after else ", the last."
        if baselines:
            above = sum(
                a.untrained is not None and a.value is not None and a.value > a.untrained
                for a in self.attempts
            )
            audited = f"{len(baselines)} audited trials beat their"
            if len(baselines) == 1:
                audited = "1 audited trial beats its"
            words += f" {above} of {audited} untrained net."
        return words

    def rows(self) -> Rows:
        return Rows(
            columns=("trial", "state", self.name, "untrained net", "best so far"),
            rows=tuple((a.number, a.state, a.value, a.untrained, a.best) for a in self.attempts),
        )


# So few trials have a tick each.
_WHOLE = 12


def history(summary: Summary) -> History:
    """Collect a study's trials in turn; another program's several objectives have no one value."""
    name = "score" if summary.record else "value"
    if summary.record is None and summary.is_pareto:
        return History(attempts=(), missing="The study has several objectives: no one value.")
    ended = [trial for trial in summary.trials if trial.finished]
    if not any(finite(trial.value) is not None for trial in ended):
        return History(attempts=(), missing="No trial has come to a value yet.")

    attempts = []
    for trial, best in zip(
        ended, running_best(ended, maximized=summary.is_maximized), strict=True
    ):
        attempts.append(
            Attempt(
                number=trial.number,
                state=trial.state,
                value=finite(trial.value),
                untrained=finite(untrained_score(trial)),
                best=best,
                feasible=trial.feasible,
            )
        )
    return History(name=name, attempts=tuple(attempts))


def draw(info: History) -> go.Figure:
    """Draw complete and pruned trials as points, the best so far as steps, the untrained net."""
    figure = new_figure()
    untrained = [a for a in info.attempts if a.untrained is not None]
    if untrained:
        figure.add_scatter(
            x=[a.number for a in untrained],
            y=[a.untrained for a in untrained],
            name="untrained net",
            mode="markers",
            marker={"symbol": "line-ew-open", "size": 9, "color": GREY, "line": {"width": 2}},
            hovertemplate="untrained net of trial %{x}: %{y:.4f}<extra></extra>",
        )
    for state, feasible, name, colour, symbol in (
        ("pruned", True, "pruned: last reported", ORANGE, "x-thin-open"),
        ("complete", True, "complete", BLUE, "circle"),
        ("complete", False, "complete, cannot win", BLUE, "circle-open"),
    ):
        chosen = [
            a
            for a in info.attempts
            if (a.state, a.feasible) == (state, feasible) and a.value is not None
        ]
        if chosen:
            figure.add_scatter(
                x=[a.number for a in chosen],
                y=[a.value for a in chosen],
                name=name,
                mode="markers",
                marker={"symbol": symbol, "size": 7, "color": colour},
                hovertemplate=f"trial %{{x}}, {state}: %{{y:.4f}}<extra></extra>",
            )
    best = [a for a in info.attempts if finite(a.best) is not None]
    if best:
        figure.add_scatter(
            x=[a.number for a in best],
            y=[a.best for a in best],
            name="best so far",
            mode="lines",
            line={"shape": "hv", "color": GREEN, "width": 2},
            hovertemplate="best up to trial %{x}: %{y:.4f}<extra></extra>",
        )
    last = info.attempts[-1].number
    figure.update_xaxes(title="trial", range=[-0.5 - 0.01 * last, last + 0.5 + 0.01 * last])
    if last < _WHOLE:
        figure.update_xaxes(dtick=1)  # there is no half a trial
    shown = [value for a in info.attempts for value in (a.value, a.untrained) if value is not None]
    if shown and min(shown) == max(shown):
        figure.update_yaxes(range=air(shown))
    figure.update_yaxes(title=info.name)
    return figure
