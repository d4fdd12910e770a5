"""What objects of the Python interface show of themselves, as HTML and as text."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fragments import ALLOWED, Reading
from support import Outcome

import cvfp_opt as cv


@pytest.fixture
def study(run_tiny: Callable[..., Outcome]) -> cv.Study:
    run_tiny("--n-trials", "2", "--storage", "studies.db")
    return cv.open("quick", storage="studies.db")


def shown(one: object) -> str:
    """The text of what a notebook shows."""
    seen = Reading(one._repr_html_())  # type: ignore[attr-defined]
    assert seen.elements <= ALLOWED
    return seen.text


def test_a_study_and_its_trials_show_themselves(study: cv.Study) -> None:
    best = study.best
    counts = "2 of 2: 2 complete, best"
    assert repr(study).endswith(f"): {counts} {best.score:.3f} (trial {best.number})")
    assert shown(study).startswith("Study quick 2 of 2: 2 complete · sqlite:///studies.db ")
    assert shown(best).startswith(f"Trial {best.number} of study quick complete, score ")
    assert "238 parameters It scores" in shown(best.load())


def test_a_study_that_is_gone_is_its_name_and_place(study: cv.Study) -> None:
    Path("studies.db").unlink()
    assert repr(study) == "Study('quick', storage='sqlite:///studies.db')"
    assert study._repr_html_() is None


def test_a_plan_shows_what_it_searches() -> None:
    plan = cv.define("quick").searching(layernorm_mix=0.8)
    text = shown(plan)
    assert text.startswith("Definition quick parameter searched dist_reg_weight 0.1 to 0.9 ")
    assert "space.layernorm_mix 0.8" in text
