"""The importance of each parameter for the score."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
import plotly.graph_objects as go

from cvfp_opt.report.figures.dimensions import dimensions, tried
from cvfp_opt.report.figures.figure import BLUE, new_figure, plain
from cvfp_opt.report.rows import Rows
from cvfp_opt.report.words import share, short_name
from cvfp_opt.store.database.optuna_private import contains
from cvfp_opt.store.record.summary import Summary

# Below this many complete trials the shares are mostly chance.
ENOUGH = 30


@dataclass(frozen=True, kw_only=True)
class Importance:
    """Shares of the parameters, largest first, and of how many complete trials."""

    shares: tuple[tuple[str, float], ...] = ()
    num_trials: int = 0
    missing: str = ""

    @property
    def caution(self) -> str:
        """The warning where trials are few; empty where they suffice."""
        if not self.shares or self.num_trials >= ENOUGH:
            return ""
        return (
            f"Caution: from {self.num_trials} complete trials these shares are mostly chance; "
            f"at least {ENOUGH} are needed to rely on them."
        )

    @property
    def caption(self) -> str:
        if not self.shares:
            return ""
        name, first = self.shares[0]
        words = f"Of what told the best tenth of {self.num_trials} complete trials from the rest, "
        words += f"{first:.0%} is {name} (PED-ANOVA; the shares sum to 100%)."
        return f"{self.caution} {words}".strip()

    def rows(self) -> Rows:
        return Rows(columns=("parameter", "share"), rows=self.shares, formats={"share": share})


def importance(summary: Summary) -> Importance:
    """Rank the parameters by a study's complete trials, with Optuna's default evaluator."""
    if summary.record is None and summary.is_pareto:
        return Importance(missing="The study has several objectives: no one value to explain.")
    complete = tried(summary)
    names = [  # as Optuna's evaluators do: a conditional parameter is not in all of them
        dimension.name
        for dimension in dimensions(summary)
        if all(dimension.name in one.params for one in complete)
    ]
    ranges = {name: summary.distributions[name] for name in names}
    inside = [
        one for one in complete if all(_holds(ranges[name], one.params[name]) for name in names)
    ]
    if len(inside) < 2 or not names:
        return Importance(
            missing="At least two complete trials, and a parameter that all of them have, are "
            "needed to compare them."
        )
    minimized = summary.record is None and summary.directions[0] == "minimize"
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # few trials: the caution says it
        study = optuna.create_study(direction="minimize" if minimized else "maximize")
        study.add_trials(
            [
                optuna.trial.create_trial(
                    value=one.value,
                    params={name: one.params[name] for name in names},
                    distributions=ranges,
                )
                for one in inside
            ]
        )
        found = optuna.importance.get_param_importances(study)
    return Importance(
        shares=tuple((name, float(share)) for name, share in found.items()),
        num_trials=len(inside),
    )


def _holds(distribution: optuna.distributions.BaseDistribution, value: object) -> bool:
    """Check whether a range, which may have been narrowed since, still holds a value."""
    try:
        return contains(distribution, value)
    except (TypeError, ValueError):
        return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna, which tells of each study that it creates, this one in memory too."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def draw(info: Importance) -> go.Figure:
    """Draw a bar for each parameter."""
    figure = new_figure(height=90 + 42 * len(info.shares))
    shares = info.shares[::-1]
    figure.add_bar(
        x=[share for _, share in shares],
        y=[plain(short_name(name)) for name, _ in shares],
        text=[f"{share:.0%}" for _, share in shares],
        textposition="outside",
        cliponaxis=False,
        orientation="h",
        marker={"color": BLUE},
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    most = max(share for _, share in shares)
    figure.update_xaxes(tickformat=".0%", range=[0, 1.15 * most])
    figure.update_layout(margin={"t": 8, "b": 32})
    return figure
