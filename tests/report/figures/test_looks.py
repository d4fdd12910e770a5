"""How figures look where little is known, on white and on near-black."""

import pytest
from known_studies import STUDIES, small

from cvfp_opt.report.figures.kinds import KINDS

WHITE, NEAR_BLACK = "#ffffff", "#14171c"


def luminance(colour: str) -> float:
    """The relative luminance of WCAG."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_lines_of_all_trials_are_seen_on_white_and_on_black() -> None:
    kind = KINDS["parallel"]
    drawn = kind.draw(kind.info(STUDIES["1000 trials"]()))
    colours = [line.line.color for line in drawn.data]
    assert len(set(colours)) == 5
    for colour in colours:
        assert min(contrast(colour, WHITE), contrast(colour, NEAR_BLACK)) >= 3


def test_the_trade_off_begins_where_the_trials_are() -> None:
    kind = KINDS["pareto"]
    drawn = kind.draw(kind.info(small()))
    low, high = drawn.layout.yaxis.range
    assert 0.5 < low < 0.6
    assert 0.95 < high < 1.0
    near, whole = drawn.layout.updatemenus[0].buttons
    assert list(near.args[0]["yaxis.range"]) == [low, high]
    assert list(whole.args[0]["xaxis.range"]) == [-0.04, 1.04]


@pytest.mark.parametrize("name", ["history", "slices"])
def test_one_trial_has_no_axis_of_figures_that_cannot_be(name: str) -> None:
    kind = KINDS[name]
    drawn = kind.draw(kind.info(STUDIES["one trial"]()))
    if name == "history":
        assert drawn.layout.xaxis.dtick == 1
    else:
        low, high = drawn.layout.yaxis.range
        assert 0.8 < low < 0.9 < high < 1.0
        assert drawn.layout.xaxis.range[0] > 0
