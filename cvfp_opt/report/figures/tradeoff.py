"""Convergence against effective rank: what each trial traded for what."""

from dataclasses import dataclass

import plotly.graph_objects as go

from cvfp_opt.report.figures.figure import BLUE, GREY, ORANGE, RED, air, new_figure
from cvfp_opt.report.rows import Cell, Rows, finite
from cvfp_opt.report.trial_rows import PERPLEXITY, scored
from cvfp_opt.report.words import share
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary, pareto_front

Place = tuple[float, float]

# The two points between which the original report saw a trade-off: its tests 1 and 2, on training
# text at the standard size. docs/experiments.md explains them.
REPORTED: tuple[tuple[str, Place], ...] = (
    ("original test 1", (0.960, 0.069)),
    ("original test 2", (0.000, 0.887)),
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """A complete trial.

    Attributes:
        number: of the trial.
        place: both objectives.
        value: its score, or None.
        front: whether no other trial is as good in all objectives and better in one; where a
            study has several, of those that violate no constraint, if there are any.
        perplexity: of the next-token probe, where that is a third objective; else None.
    """

    number: int
    place: Place
    value: float | None
    front: bool
    perplexity: float | None = None


@dataclass(frozen=True, kw_only=True)
class TradeOff:
    """All complete trials between two objectives.

    Attributes:
        names: of the objectives.
        rates: whether they are rates in [0, 1].
        points: by number.
        winner: number of the best trial.
        untrained: the untrained net of the winner's set-up; None where it was not measured.
        reported: the original report's points, by name; none in other programs' studies.
        downstream: whether the perplexity of a next-token probe is a third objective.
        left_out: how many points are on no front, for a constraint that they violate.
        missing: see Info.
    """

    names: tuple[str, str] = ("convergence", "effective rank / D")
    rates: bool = True
    points: tuple[Point, ...] = ()
    winner: int | None = None
    untrained: Place | None = None
    reported: tuple[tuple[str, Place], ...] = ()
    downstream: bool = False
    left_out: int = 0
    missing: str = ""

    @property
    def caption(self) -> str:
        if not self.points:
            return ""
        front, three = sum(point.front for point in self.points), self.downstream
        words = f"{front} of {len(self.points)} complete trials {'is' if front == 1 else 'are'} "
        words += "on the front: no other is as good in "
        words += f"{'convergence, rank and perplexity' if three else 'both'}, and better in one. "
        if self.left_out:
            one = self.left_out == 1
            words += f"{self.left_out} that {'violates' if one else 'violate'} a constraint "
            words += f"{'is' if one else 'are'} left out of it. "
        if len(self.points) == 1:
            words = "There is but one complete trial. "
        best = next((p for p in self.points if p.number == self.winner), None)
        if best is not None:
            words += f"The winner, trial {best.number}, has {self._described(best.place)}"
            words += f" and {_perplexity_words(best)}" if best.perplexity is not None else ""
            words += "; " if self.untrained else "."
        if self.untrained:
            words += f"the untrained net of its set-up {self._described(self.untrained)}."
        return words.strip()

    def _described(self, place: Place) -> str:
        form = "{:.1%}" if self.rates else "{:.4g}"
        return " and ".join(
            f"{name} {form.format(v)}" for name, v in zip(self.names, place, strict=True)
        )

    def rows(self) -> Rows:
        rows: list[tuple[Cell, ...]] = [
            (f"trial {p.number}", *p.place, *self._third(p.perplexity), p.value, self._role(p))
            for p in self.points
        ]
        nothing = (*self._third(None), None)
        rows += [("untrained net", *self.untrained, *nothing, "")] if self.untrained else []
        rows += [(name, *place, *nothing, "for comparison") for name, place in self.reported]
        third = {PERPLEXITY.column: PERPLEXITY.write} if self.downstream else {}
        formats = dict.fromkeys(self.names, share) if self.rates else {}
        return Rows(
            columns=("what", *self.names, *third, "score", "role"),
            rows=tuple(rows),
            formats=formats | third,
        )

    def _third(self, perplexity: float | None) -> tuple[Cell, ...]:
        return (perplexity,) if self.downstream else ()

    def _role(self, point: Point) -> str:
        roles = ["winner"] if point.number == self.winner else []
        return ", ".join([*roles, *(["front"] if point.front else [])])


def trade_off(summary: Summary) -> TradeOff:
    """Collect what was scored, or another program's first two objectives."""
    if summary.record is None and not summary.is_pareto:
        return TradeOff(
            missing="The study has one objective, and no record of what it is made of."
        )
    ours = summary.record is not None
    places = {
        trial.number: place
        for trial in summary.trials
        if trial.state == "complete" and (place := _place(trial, ours)) is not None
    }
    if not places:
        return TradeOff(missing="No trial is complete yet.")
    signs = (1.0, 1.0) if ours else tuple(_SIGN[d] for d in summary.directions[:2])
    complete = [trial for trial in summary.trials if trial.number in places]
    able = complete
    if summary.is_pareto:
        able = [trial for trial in complete if trial.feasible] or complete
    front = _front({t.number: places[t.number] for t in able}, (signs[0], signs[1]))
    downstream = ours and len(summary.directions) > 2
    if downstream:
        front = {trial.number for trial in pareto_front(able, summary.directions)}
    best = summary.best
    winner = best if best is not None and best.number in places else None
    return TradeOff(
        names=("convergence", "effective rank / D") if ours else ("value 1", "value 2"),
        rates=ours,
        points=tuple(
            Point(
                number=number,
                place=place,
                value=finite(summary.trials[number].value),
                front=number in front,
                perplexity=(
                    finite(PERPLEXITY.take(summary.trials[number])) if downstream else None
                ),
            )
            for number, place in places.items()
        ),
        winner=winner.number if winner else None,
        untrained=_untrained(summary, winner) if winner else None,
        reported=REPORTED if ours else (),
        downstream=downstream,
        left_out=len(complete) - len(able),
    )


_SIGN = {"maximize": 1.0, "minimize": -1.0}


def _place(trial: TrialRecord, ours: bool) -> Place | None:
    if ours:
        found = scored(trial)
        x, y = finite(found.get("convergence_rate")), finite(found.get("effective_rank"))
    else:
        x, y = (finite(value) for value in trial.values[:2])
    return None if x is None or y is None else (x, y)


def _front(places: dict[int, Place], signs: Place) -> set[int]:
    gains = {n: (signs[0] * x, signs[1] * y) for n, (x, y) in places.items()}
    front: set[int] = set()
    highest = float("-inf")
    last: Place | None = None
    for number, gain in sorted(gains.items(), key=lambda item: (-item[1][0], -item[1][1])):
        if gain[1] > highest or gain == last:  # equals do not beat each other
            front.add(number)
            highest, last = gain[1], gain
    return front


def _perplexity_words(point: Point) -> str:
    return f"perplexity {PERPLEXITY.write(point.perplexity)}"


def _label(point: Point) -> str:
    """Name a trial where one points at it, with the figure that has no axis."""
    more = f", {_perplexity_words(point)}" if point.perplexity is not None else ""
    return f"trial {point.number}{more}"


def _untrained(summary: Summary, winner: TrialRecord) -> Place | None:
    if summary.record is None:
        return None
    objective = completed(summary.record.definition)["objective"]
    if objective.get("convergence") == "frozen" or not winner.audit:
        return None  # of the frozen reads only the score was kept
    prefix = "validation_" if objective.get("split") == "validation" else ""
    baseline = winner.audit["baseline"]
    x = finite(baseline.get(f"{prefix}convergence_rate"))
    y = finite(baseline.get(f"{prefix}effective_rank"))
    return None if x is None or y is None else (x, y)


def draw(info: TradeOff) -> go.Figure:
    """Draw all trials as points, the front as a line, and what to compare them with."""
    figure = new_figure(height=460)
    form = ".1%" if info.rates else ".4g"
    hover = (
        f"{info.names[0]} %{{x:{form}}}<br>{info.names[1]} %{{y:{form}}}<extra>%{{text}}</extra>"
    )

    def add(name: str, places: list[tuple[str, Place]], **look: object) -> None:
        figure.add_scatter(
            x=[place[0] for _, place in places],
            y=[place[1] for _, place in places],
            text=[label for label, _ in places],
            name=name,
            hovertemplate=hover,
            **{"mode": "markers", **look},
        )

    others = [(_label(p), p.place) for p in info.points if not p.front]
    front = sorted((p for p in info.points if p.front), key=lambda p: p.place)
    add("trials", others, marker={"size": 7, "color": BLUE, "opacity": 0.55})
    add(
        "front",
        [(_label(p), p.place) for p in front],
        # of three objectives the front is a surface, of which a line would say nothing
        mode="markers" if info.downstream else "lines+markers",
        line={"color": BLUE, "width": 1.5, "shape": "linear", "dash": "dot"},
        marker={"size": 9, "color": BLUE},
    )
    for name, place in info.reported:
        symbol = "triangle-up" if name.endswith("1") else "triangle-down"
        add(name, [(name, place)], marker={"size": 12, "color": ORANGE, "symbol": symbol})
    if info.untrained:
        look = {"size": 13, "color": GREY, "symbol": "diamond"}
        add("untrained net", [("untrained net", info.untrained)], marker=look)
    won = [(f"winner: {_label(p)}", p.place) for p in info.points if p.number == info.winner]
    if won:
        add(won[0][0], won, marker={"size": 17, "color": RED, "symbol": "star"})
    figure.update_xaxes(title=info.names[0], **({"tickformat": ".0%"} if info.rates else {}))
    figure.update_yaxes(title=info.names[1], **({"tickformat": ".0%"} if info.rates else {}))
    if info.rates:
        _zoom(figure, info)
    return figure


# The whole of both rates, with some air, so that no point lies on a border.
_WHOLE = {"xaxis.range": [-0.04, 1.04], "yaxis.range": [-0.02, 1.02]}


def _zoom(figure: go.Figure, info: TradeOff) -> None:
    """Show where the trials are; two buttons change to the whole and back."""
    places = [point.place for point in info.points]
    places += [info.untrained] if info.untrained else []
    near = {
        "xaxis.range": air((x for x, _ in places), least=0.05),
        "yaxis.range": air((y for _, y in places), least=0.05),
    }
    figure.update_xaxes(range=near["xaxis.range"])
    figure.update_yaxes(range=near["yaxis.range"])
    figure.update_layout(
        updatemenus=[
            {
                "type": "buttons",
                "direction": "right",
                "showactive": False,
                "x": 1,
                "xanchor": "right",
                "y": 0.01,
                "yanchor": "bottom",
                "bgcolor": "rgba(125,131,140,0.18)",
                "borderwidth": 0,
                "font": {"color": GREY, "size": 12},
                "buttons": [
                    {"label": "the trials", "method": "relayout", "args": [near]},
                    {"label": "the whole", "method": "relayout", "args": [_WHOLE]},
                ],
            }
        ]
    )
