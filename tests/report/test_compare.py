"""Two studies side by side: which winner is better, or why that cannot be said."""

from collections.abc import Mapping
from typing import Any

import pytest
from known_studies import STUDIES, complete, confirmed, study, summary

from cvfp_opt.report.compare import compare_studies
from cvfp_opt.store.record.summary import Summary


def one(name: str, rank: float, **sections: Mapping[str, Any]) -> Summary:
    """A study with one complete trial."""
    made = study(name, **sections)
    made.add_trial(complete(0.5, 0.9, rank))
    return summary(made)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (one("b", 0.96), "The winner of b scores 0.030 more than the other's."),
        (one("b", 0.5), "The winner of a scores 0.200 more than the other's."),
        (one("b", 0.915), "The winners are level: 0.900 and 0.907 differ by no more than"),
        (
            one("b", 0.96, objective={"split": "validation"}, model={"context_size": 8}),
            "Scores of the two cannot be compared: they are scored differently and have nets of "
            "different size.",
        ),
        (STUDIES["empty"](), "At least one of the two has no complete trial"),
        (STUDIES["foreign"](), "At least one of the two has no record"),
    ],
)
def test_which_winner_is_better(second: Summary, words: str) -> None:
    assert compare_studies(one("a", 0.9), second).sentence.startswith(words)


def test_what_fresh_seeds_say_of_both() -> None:
    found = compare_studies(one("a", 0.9), confirmed())
    figures = {row[0]: row[1:] for row in found.figures.rows}
    assert figures["on fresh seeds"] == ("-", "0.940 (95 % interval 0.915 to 0.965)")
    assert figures["verdict of fresh seeds"] == ("not confirmed yet", "confirmed")


def test_figures_and_differences() -> None:
    found = compare_studies(one("a", 0.9), one("b", 0.96, search={"seed": 7}))
    figures = {row[0]: row[1:] for row in found.figures.rows}
    assert figures["its score"] == ("0.9000", "0.9300")
    assert figures["fixed point: unseen text"] == ("99.0%", "99.0%")
    assert found.differences.rows == (("search.seed", "0", "7"),)
    assert found.parameters.rows[0] == ("dist_reg_weight", "0.5", "0.5")
    assert found.to_dict()["studies"] == ["a", "b"]


def test_the_perplexities_of_both_winners_stand_beside_each_other_where_there_is_one() -> None:
    found = compare_studies(STUDIES["three objectives"](), one("b", 0.9))
    figures = {row[0]: row[1:] for row in found.figures.rows}
    assert figures["held-out perplexity"] == ("55.0", "-")
    without = compare_studies(one("a", 0.9), one("b", 0.9))
    assert "held-out perplexity" not in {row[0] for row in without.figures.rows}
