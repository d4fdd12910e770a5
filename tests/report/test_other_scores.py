"""Other ways to combine convergence and rank, against trials whose winners are known."""

import math
from dataclasses import replace

import pytest

from cvfp_opt.report.other_scores import COMBINERS, CombinerAudit, audit_combiners
from cvfp_opt.store.record.records import TrialRecord


def trial(number: int, convergence: float, rank: float, state: str = "complete") -> TrialRecord:
    scored = {"convergence_rate": convergence, "effective_rank": rank}
    return TrialRecord(number=number, state=state, scored=scored)


def audited(*trials: TrialRecord) -> CombinerAudit:
    found = audit_combiners(trials, trials[0])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0.3 convergence + 0.7 rank", 0.3 * 0.9 + 0.7 * 0.4),
        ("0.4 convergence + 0.6 rank", 0.4 * 0.9 + 0.6 * 0.4),
        ("0.5 convergence + 0.5 rank", 0.65),
        ("0.6 convergence + 0.4 rank", 0.6 * 0.9 + 0.4 * 0.4),
        ("0.7 convergence + 0.3 rank", 0.7 * 0.9 + 0.3 * 0.4),
        ("geometric mean", 0.6),
        ("minimum", 0.4),
    ],
)
def test_each_combiner_is_its_formula(name: str, expected: float) -> None:
    assert COMBINERS[name](0.9, 0.4) == pytest.approx(expected)
    [row] = [row for row in audited(trial(0, 0.9, 0.4)).rows if row.combiner == name]
    assert row.score == pytest.approx(expected)


def test_a_trial_that_is_better_in_both_wins_by_all() -> None:
    found = audited(trial(3, 0.9, 0.8), trial(4, 0.8, 0.7))
    assert {(row.winner, row.place, row.behind) for row in found.rows} == {(3, 1, 0.0)}
    assert found.sentence == "Trial 3 wins by all 7 ways to combine convergence and rank"


def test_a_lopsided_winner_loses_by_the_minimum_and_where_its_half_weighs_less() -> None:
    # 0.5: 0.70 against 0.65; the other one's score is 0.65 by each of them
    found = audited(trial(0, 1.0, 0.4), trial(1, 0.65, 0.65))
    winners = [row.winner for row in found.rows]
    # 0.3: 0.58; 0.4: 0.64; geometric mean: sqrt(0.4) = 0.632
    assert winners == [1, 1, 0, 0, 0, 1, 1]
    assert [row.place for row in found.rows] == [2, 2, 1, 1, 1, 2, 2]
    assert found.rows[5].behind == pytest.approx(0.65 - math.sqrt(0.4))
    assert found.sentence == (
        "Trial 0 wins by 3 of 7 ways to combine convergence and rank; trial 1 wins by "
        "0.3 convergence + 0.7 rank, 0.4 convergence + 0.6 rank, geometric mean, minimum "
        "(by 0.250): the winner depends on the score's formula"
    )


def test_a_change_within_the_noise_of_seeds_is_called_that() -> None:
    found = audited(trial(0, 0.808, 0.80), trial(1, 0.80, 0.806))
    assert {row.winner for row in found.rows} == {0, 1}
    assert found.sentence.endswith("no more than the noise of a score over seeds, 0.01")


def test_of_equal_trials_the_studys_own_winner_keeps_its_place() -> None:
    found = audited(trial(5, 0.8, 0.8), trial(1, 0.8, 0.8))
    assert {row.winner for row in found.rows} == {5}


def test_what_cannot_win_is_compared_only_with_its_like() -> None:
    against = replace(trial(1, 0.9, 0.9), constraints={"fixed_point": 0.01})
    found = audited(trial(0, 0.8, 0.8), against)
    assert (found.num_trials, {row.winner for row in found.rows}) == (1, {0})
    own = replace(trial(0, 0.8, 0.8), constraints={"threshold": 0.1})
    assert {row.winner for row in audited(own, against).rows} == {1}


def test_only_complete_trials_with_two_finite_parts_count() -> None:
    found = audited(
        trial(0, 0.5, 0.5),
        trial(1, 0.9, 0.9, "pruned"),
        trial(2, math.nan, 0.9),
        TrialRecord(number=3, state="complete", value=0.99),
    )
    assert (found.num_trials, found.num_pruned) == (1, 1)
    assert found.sentence == "Trial 0 is the only one that can win, however its parts are combined"
    bare = TrialRecord(number=3, state="complete", value=0.99)
    assert audit_combiners([bare], bare) is None


def test_no_convergence_at_all_is_a_geometric_mean_of_nothing() -> None:
    found = audited(trial(0, 0.0, 0.9))
    assert found.rows[5].score == 0.0
