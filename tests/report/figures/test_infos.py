"""The contents of each figure, for studies whose figures are known."""

import optuna
import pytest
from known_studies import (
    STUDIES,
    attributes,
    complete,
    foreign,
    small,
    study,
    summary,
    thousand,
    three_objectives,
    two_objectives,
)

from cvfp_opt.report.figures import history as history_figure
from cvfp_opt.report.figures import slices, tradeoff
from cvfp_opt.report.figures.curves import curves
from cvfp_opt.report.figures.dimensions import Dimension
from cvfp_opt.report.figures.history import history
from cvfp_opt.report.figures.importance import importance
from cvfp_opt.report.figures.parallel import GROUPS, parallel
from cvfp_opt.report.figures.thresholds import thresholds
from cvfp_opt.report.figures.tradeoff import REPORTED, trade_off


def test_history_keeps_the_best_so_far() -> None:
    found = history(small())
    assert [a.number for a in found.attempts] == [0, 1, 2, 3, 4, 5]  # 6 is waiting
    assert [a.value for a in found.attempts] == pytest.approx([0.575, 0.94, 0.3, 0.75, None, None])
    assert [a.best for a in found.attempts] == pytest.approx([0.575, *[0.94] * 5])
    assert found.caption == (
        "The best score, 0.94, came with trial 1; 4 after it found nothing better. "
        "3 of 3 audited trials beat their untrained net."
    )


def test_history_of_what_is_minimized_falls() -> None:
    found = history(foreign())
    assert [a.best for a in found.attempts] == [3.0, 1.0, 1.0, 1.0]
    assert found.attempts[2].value is None  # infinite
    assert found.name == "value"


def test_trade_off_knows_front_winner_and_what_to_compare() -> None:
    found = trade_off(small())
    assert [p.number for p in found.points if p.front] == [0, 1]
    assert found.winner == 1
    assert found.untrained == (0.1, 0.88)
    assert found.reported == REPORTED
    last = [row[0] for row in found.rows().rows[-3:]]
    assert last == ["untrained net", "original test 1", "original test 2"]


def test_trade_off_of_the_validation_text_has_its_untrained_net() -> None:
    made = study(objective={"split": "validation"})
    made.add_trial(complete(0.5, 0.9, 0.9))
    assert trade_off(summary(made)).untrained == (0.2, 0.81)


def test_trade_off_of_frozen_scores_has_no_untrained_net() -> None:
    made = study(objective={"convergence": "frozen", "split": "held_out"})
    made.add_trial(complete(0.5, 0.9, 0.9))
    assert trade_off(summary(made)).untrained is None


def test_trade_off_of_others_takes_their_directions() -> None:
    found = trade_off(two_objectives())
    assert [p.number for p in found.points if p.front] == [0, 1]
    assert found.names == ("value 1", "value 2")
    assert found.reported == ()


def test_the_front_of_three_objectives_has_who_is_best_in_perplexity_alone() -> None:
    found = trade_off(three_objectives())
    assert [p.front for p in found.points] == [True, True, True, False]
    assert "3 of 4 complete trials are on the front" in found.caption
    assert "as good in convergence, rank and perplexity, and better in one" in found.caption
    assert "effective rank / D 90.0% and perplexity 55.0;" in found.caption
    rows = found.rows()
    assert rows.columns == (
        *("what", "convergence", "effective rank / D", "perplexity", "score", "role"),
    )
    assert [row[3] for row in rows.rows] == [60.0, 55.0, 47.25, 56.0, None, None, None]
    assert rows.words()[2] == ("trial 2", "90.0%", "60.0%", "47.2", "0.75", "front")
    figure = tradeoff.draw(found)
    front = next(trace for trace in figure.data if trace.name == "front")
    assert front.mode == "markers"
    assert "trial 2, perplexity 47.2" in front.text
    two = trade_off(small())
    assert "perplexity" not in two.rows().columns
    assert tradeoff.draw(two).data[1].mode == "lines+markers"


def test_equal_points_are_both_on_the_front() -> None:
    made = study()
    made.add_trials([complete(0.1, 0.9, 0.5), complete(0.2, 0.9, 0.5), complete(0.3, 0.9, 0.4)])
    assert [p.front for p in trade_off(summary(made)).points] == [True, True, False]


def test_the_picture_has_all_trials_the_winner_and_the_comparisons() -> None:
    figure = tradeoff.draw(trade_off(small()))
    sizes = {trace.name: len(trace.x) for trace in figure.data}
    assert sizes == {
        "trials": 1,
        "front": 2,
        "original test 1": 1,
        "original test 2": 1,
        "untrained net": 1,
        "winner: trial 1": 1,
    }


def test_thresholds_are_those_of_the_best_that_were_audited() -> None:
    found = thresholds(thousand())
    assert len(found.curves) == 5
    assert found.curves[0].rate("absolute", 0.1) == pytest.approx(0.5)
    assert found.curves[0].rate("scale-free", 0.1) == pytest.approx(0.25)
    odd = thresholds(STUDIES["not numbers"]())
    assert [curve.number for curve in odd.curves] == [0]


def test_a_fixed_threshold_is_every_trials_own() -> None:
    made = study(objective={"threshold": 0.07})
    made.add_trial(complete(0.5, 0.9, 0.9))
    assert thresholds(summary(made)).curves[0].own == 0.07


def test_curves_show_metrics_and_schedule() -> None:
    found = curves(small())
    assert [curve.number for curve in found.curves] == [1, 3, 0]
    assert [key for key, _, _ in found.panels] == ["convergence_rate", "effective_rank", "weight"]
    assert found.curves[0].figures["convergence_rate"] == (0.0, 0.98)
    assert found.curves[0].figures["weight"] == (0.8, None)


def test_curves_of_others_are_what_they_reported() -> None:
    found = curves(foreign())
    assert [key for key, _, _ in found.panels] == ["value"]
    assert found.curves[0].figures["value"] == (5.0, 4.0)
    assert found.curves[0].passes == (0, 3)


def test_importance_finds_the_parameter_that_matters() -> None:
    made = study()
    space = {name: optuna.distributions.FloatDistribution(0, 1) for name in ("acts", "idle")}
    for i in range(60):
        params = {"acts": i / 60, "idle": (37 * i % 60) / 60}
        made.add_trial(
            optuna.trial.create_trial(
                value=i / 60,
                params=params,
                distributions=space,
                user_attrs=attributes(i / 60, i / 60),
            )
        )
    found = importance(summary(made))
    assert found.shares[0][0] == "acts"
    assert found.shares[0][1] > 0.8
    assert (found.num_trials, found.caution) == (60, "")


def test_importance_warns_where_trials_are_few() -> None:
    found = importance(small())
    assert found.num_trials == 3
    assert found.caption.startswith("Caution: from 3 complete trials these shares are mostly")


def test_parallel_groups_are_whole_and_best_last() -> None:
    found = parallel(thousand())
    assert [len(group) for group in found.groups] == [1000 // GROUPS] * GROUPS
    assert found.groups[-1][-1].number == 700
    assert found.rows().rows[0][0] == 700
    assert [t.number for t in parallel(foreign()).ranked] == [0, 3, 1]


def test_places_are_on_the_scale_of_the_search() -> None:
    rate = Dimension(name="rate", low=0.001, high=0.1, log=True)
    assert rate.place(0.01) == pytest.approx(0.5)
    assert rate.place(-1.0) is None
    kind = Dimension(name="kind", choices=("a", "b", "None"))
    assert [kind.place(value) for value in ("a", None, "c")] == [0.0, 1.0, None]


def constrained(values: list[list[float]], violated: list[float]) -> optuna.Study:
    """Another program's study, whose trials violate a constraint where a number is positive."""
    found = optuna.create_study(directions=["maximize"] * len(values[0]))
    for number, (worth, constraint) in enumerate(zip(values, violated, strict=True)):
        found.add_trial(
            optuna.trial.create_trial(
                values=worth,
                params={"x": number / 10},
                distributions={"x": optuna.distributions.FloatDistribution(0.0, 1.0)},
                system_attrs={"constraints": [constraint]},
            )
        )
    return found


def test_what_cannot_win_is_no_figures_best() -> None:
    found = summary(constrained([[0.5], [0.7], [0.9], [0.6]], [-1.0, 0.0, 0.2, -1.0]))
    assert found.best is not None
    assert found.best.number == 1
    assert [one.number for one in parallel(found).ranked] == [2, 0, 3, 1]
    drawn = slices.draw(parallel(found))
    assert [one.text for one in drawn.data if one.marker.symbol == "star"] == [("1",)]
    assert history(found).caption == (
        "The best value, 0.7, came with trial 1; 2 after it found nothing better that can win."
    )
    names = [one.name for one in history_figure.draw(history(found)).data]
    assert "complete, cannot win" in names


def test_a_front_is_of_what_can_win_as_in_the_ranking() -> None:
    values = [[0.1, 0.9], [0.9, 0.9], [0.9, 0.1], [0.9, 0.05]]
    found = summary(constrained(values, [-1.0, 1.0, -1.0, -1.0]))
    assert {trial.number for trial in found.ranking} == {0, 2}
    drawn = trade_off(found)
    assert {point.number for point in drawn.points if point.front} == {0, 2}
    assert drawn.caption.startswith(
        "2 of 4 complete trials are on the front: no other is as good in both, and better in one. "
        "1 that violates a constraint is left out of it. "
    )
    none_can = trade_off(summary(constrained(values, [1.0] * 4)))
    assert [point.number for point in none_can.points if point.front] == [1]
