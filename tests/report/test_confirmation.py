"""Verdicts on studies whose truth is known, and the words for them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from doctoring import RECORD
from known_studies import on_fresh_seeds

from cvfp_opt.report.confirmation import (
    Confirmation,
    ConfirmationVerdict,
    confirmation_of,
    verdict,
)
from cvfp_opt.report.confirmation_words import confirmation_line, confirmation_lines
from cvfp_opt.report.statistics import Interval, expected_maximum
from cvfp_opt.store.record.confirmation import DEFAULT, UNTRAINED
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary

SEARCHED = 30


def confirmed(
    reported: Sequence[float],
    scores: Mapping[str, Sequence[float | None]],
    *,
    waiting: int = 0,
) -> Summary:
    """A study with these scores, and fresh ones, see ``on_fresh_seeds``."""
    trials = [
        TrialRecord(number=n, state="complete", value=value, values=[value])
        for n, value in enumerate(reported)
    ]
    searched = Summary(name="s", url="sqlite:///s.db", record=RECORD, trials=trials)
    return on_fresh_seeds(searched, scores, waiting=waiting)


def found_of(summary: Summary) -> Confirmation:
    found = confirmation_of(summary)
    assert found is not None
    return found


def simulate(
    rng: np.random.Generator, *, effect: float, spread: float = 0.02, luck: float | None = None
) -> Confirmation:
    """A search of SEARCHED trials of which the best is confirmed on 5 seeds.

    Args:
        effect: by which trial 0 is better than all others and the default point (0.7).
        luck: in spreads, of trial 0 in the search; None for as it comes.
    """
    truth = np.full(SEARCHED, 0.7)
    truth[0] += effect
    reported = truth + rng.normal(0, spread, SEARCHED)
    if luck is not None:
        reported = truth + rng.normal(0, spread / 4, SEARCHED)
        reported[0] = truth[0] + luck * spread
    best = int(np.argmax(reported))
    shared = rng.normal(0, spread, 5)  # what a seed does to all points

    def fresh(mean: float) -> list[float]:
        return list(map(float, mean + shared / 2 + rng.normal(0, spread * 0.75**0.5, 5)))

    scores = {
        f"trial {best}": fresh(truth[best]),
        DEFAULT: fresh(0.7),
        UNTRAINED: fresh(0.4),
    }
    return found_of(confirmed(list(map(float, reported)), scores))


def verdicts(number: int = 300, **how: Any) -> Counter[ConfirmationVerdict]:
    rng = np.random.default_rng(11)
    found = [simulate(rng, **how).winner for _ in range(number)]
    return Counter(winner.verdict for winner in found if winner is not None)


def test_a_winner_by_luck_is_not_confirmed() -> None:
    """No point is better: the best of 30 is so by luck alone."""
    found = verdicts(effect=0.0)
    assert found.total() == 300
    assert found[ConfirmationVerdict.CONFIRMED] <= 0.05 * 300  # 2.5 % by its rule
    assert found[ConfirmationVerdict.SAME] >= 0.65 * 300
    assert found[ConfirmationVerdict.LESS] >= 0.05 * 300  # the luckiest ones


def test_a_winner_by_great_luck_is_worse_than_reported() -> None:
    found = verdicts(effect=0.0, luck=10.0)
    assert found[ConfirmationVerdict.LESS] >= 0.9 * 300
    assert found[ConfirmationVerdict.CONFIRMED] == 0


def test_a_true_winner_is_confirmed() -> None:
    found = verdicts(effect=0.2, luck=0.5)
    assert found[ConfirmationVerdict.CONFIRMED] >= 0.97 * 300


def test_the_expected_optimism_is_that_of_equally_good_trials() -> None:
    rng = np.random.default_rng(5)
    studies = [simulate(rng, effect=0.0) for _ in range(400)]
    told = [one.optimism for one in studies if one.optimism is not None]
    expected = 0.02 * expected_maximum(SEARCHED)
    assert np.mean(told) == pytest.approx(expected, abs=0.002)
    known = [one.expected_optimism for one in studies if one.expected_optimism is not None]
    assert np.mean(known) == pytest.approx(expected, rel=0.05)


def interval(low: float, high: float) -> Interval:
    """With the mean between; of five values."""
    mean = (low + high) / 2
    return Interval(count=5, mean=mean, spread=0.01, low=low, high=high)


@pytest.mark.parametrize(
    ("reported", "difference", "diverged", "says"),
    [
        (0.81, interval(0.1, 0.2), 0, ConfirmationVerdict.CONFIRMED),
        (0.79, interval(0.1, 0.2), 0, ConfirmationVerdict.CONFIRMED),
        (0.90, interval(0.1, 0.2), 0, ConfirmationVerdict.LESS),
        (0.81, interval(0.1, 0.2), 1, ConfirmationVerdict.LESS),
        (0.81, interval(-0.1, 0.2), 0, ConfirmationVerdict.SAME),
        (0.90, interval(-0.1, 0.2), 0, ConfirmationVerdict.LESS),
        (0.90, interval(-0.2, -0.1), 0, ConfirmationVerdict.WORSE),
        (0.81, interval(0.0, 0.0), 0, ConfirmationVerdict.SAME),
        (0.81, Interval(count=1, mean=0.2), 0, ConfirmationVerdict.OPEN),
        (0.81, None, 0, ConfirmationVerdict.OPEN),
    ],
)
def test_the_rules(
    reported: float, difference: Interval | None, diverged: int, says: ConfirmationVerdict
) -> None:
    assert verdict(reported, interval(0.79, 0.81), difference, diverged) is says


def test_comparisons_are_paired_by_seed() -> None:
    """A seed that is good for all is nobody's lead; one that lacks a partner is left out."""
    shared = [0.1, 0.5, 0.9, 0.3, 0.7]
    found = found_of(
        confirmed(
            [0.8],
            {
                "trial 0": [value + 0.01 for value in shared[:4]],
                DEFAULT: shared,
                UNTRAINED: [None, *shared[1:]],
            },
        )
    )
    assert found.winner is not None
    difference, gain = found.winner.difference, found.winner.gain
    assert difference is not None
    assert gain is not None
    assert (difference.count, difference.mean) == (4, pytest.approx(0.01))
    assert difference.low == pytest.approx(0.01)
    assert gain.count == 3
    assert found.winner.verdict is ConfirmationVerdict.CONFIRMED
    assert found.untrained is not None
    assert found.untrained.diverged == 1


def test_what_is_told_of_a_finished_one() -> None:
    summary = confirmed(
        [0.6, 0.80, 0.79],
        {
            "trial 1": [0.74, 0.75, 0.76],
            "trial 2": [0.78, 0.79, 0.80],
            DEFAULT: [0.70, 0.71, 0.72],
            UNTRAINED: [0.40, 0.41, 0.42],
        },
    )
    assert confirmation_line(summary) == (
        "on 3 fresh seeds: trial 1 has score 0.750 (95 % interval 0.725 to 0.775), reported "
        "0.800: worse than reported"
    )
    found = found_of(summary)
    assert [one.point.trial for one in found.trials] == [2, 1]
    lines = "\n".join(confirmation_lines(found))
    assert "better with probability 100.0%; +0.340 (+0.340 to +0.340) against the untr" in lines
    assert "Of the trials, trial 2 has the highest mean; chosen among 2 by these very" in lines
    assert "Optimism: the search reported the winner 0.050 above its mean here; that is " in lines
    assert found.to_dict()["winner"] == 1


def test_an_optimism_that_one_more_run_may_show_is_not_held_against_luck() -> None:
    seeds = {"trial 1": [0.78, 0.79, 0.80], DEFAULT: [0.70, 0.71, 0.72]}
    found = found_of(confirmed([0.6, 0.80], seeds))
    lines = "\n".join(confirmation_lines(found))
    assert "0.010 above its mean here; that is no more than one run differs from another." in lines
    assert found.winner is not None
    assert found.winner.verdict is ConfirmationVerdict.CONFIRMED


def test_what_is_told_of_one_that_has_just_begun() -> None:
    summary = confirmed([0.6, 0.8], {"trial 1": [0.75], DEFAULT: []}, waiting=3)
    assert confirmation_line(summary) == (
        "on 1 fresh seed (1 of 4 runs so far): trial 1 has score 0.750, reported 0.800: undecided"
    )
    assert confirmation_lines(found_of(summary))
    empty = confirmed([0.6, 0.8], {"trial 1": [], DEFAULT: []}, waiting=3)
    assert "not confirmed yet: trial 1, the best, has no score on fresh seeds (0 of 3" in (
        confirmation_line(empty)
    )
    assert confirmation_lines(found_of(empty))


def test_a_winner_that_came_later_is_not_confirmed() -> None:
    summary = confirmed([0.6, 0.8, 0.9], {"trial 1": [0.75, 0.75], DEFAULT: [0.5, 0.6]})
    assert found_of(summary).winner is None
    assert confirmation_line(summary).startswith(
        "not confirmed yet: trial 2, the best, has no score"
    )
    assert "best trial is not among them" in confirmation_lines(found_of(summary))[0]
