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
    """

    number: int
    state: str
    value: float | None
    untrained: float | None
    best: float | None


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
            return "" if self.missing else f"None of {count} trials that ended is complete."
        last = complete[-1]
        first = next(a for a in complete if a.best == last.best)
        after = len(self.attempts) - 1 - self.attempts.index(first)
        baselines = [a.untrained for a in self.attempts if a.untrained is not None]
        words = f"The best {self.name}, {last.best:.4g}, came with trial {first.number}"
        words += f"; {after} after it found nothing better." if after else ", the last."
        if baselines:
            above = sum(
                a.untrained is not None and a.value is not None and a.value > a.untrained
                for a in self.attempts
            )
            words += f" {above} of {len(baselines)} audited trials beat their untrained net."
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
    for state, colour, symbol in (("pruned", ORANGE, "x-thin-open"), ("complete", BLUE, "circle")):
        chosen = [a for a in info.attempts if a.state == state and a.value is not None]
        if chosen:
            figure.add_scatter(
                x=[a.number for a in chosen],
                y=[a.value for a in chosen],
                name="pruned: last reported" if state == "pruned" else state,
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
