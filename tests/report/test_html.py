"""What a notebook shows: safe, well formed, and what was asked for first."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest
from fragments import ALLOWED, Reading
from known_studies import EVIL, STUDIES, complete, confirmed, foreign, small, study, summary
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from support import REPOSITORY

from cvfp_opt.report import brief
from cvfp_opt.report.confirmation import Confirmation, confirmation_of
from cvfp_opt.report.html import confirmation_html, plan_html, rows_html, study_html, trial_html
from cvfp_opt.report.rows import Rows
from cvfp_opt.report.words import short_name
from cvfp_opt.store.record.summary import Summary

SPACE = {
    "rate": FloatDistribution(0.0005, 0.005, log=True),
    "count": IntDistribution(1, 8),
    "schedule.kind": CategoricalDistribution(["fixed", EVIL]),
}
# It turns the reading direction, so that what follows is read backwards.
TURNED = "\u202e"


def fragments(one: Summary) -> list[str]:
    """All that is shown of a study, of its confirmation and of its first trials."""
    found = confirmation_of(one)
    trials = [trial_html(one, trial) for trial in one.trials[:7]]
    return [study_html(one), *([confirmation_html(found)] if found else []), *trials]


def confirmation() -> Confirmation:
    found = confirmation_of(confirmed())
    assert found is not None
    return found


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_shown_by_plain_elements_that_are_well_nested(name: str) -> None:
    for fragment in fragments(STUDIES[name]()):
        seen = Reading(fragment)
        assert seen.elements <= ALLOWED
        assert not any(
            name.startswith("on") or name in ("src", "href") for name in seen.attributes
        )


@pytest.mark.parametrize("name", STUDIES)
def test_every_head_of_a_study_is_a_term_of_the_glossary_or_a_parameter(name: str) -> None:
    one = STUDIES[name]()
    found = confirmation_of(one)
    heads = Reading(study_html(one)).heads
    heads += Reading(confirmation_html(found)).heads if found else []
    glossary = (REPOSITORY / "docs" / "glossary.md").read_text()
    known = {short_name(name) for trial in one.trials for name in trial.params}
    unknown = {head for head in heads if f"`{head}`" not in glossary} - known
    assert {head for head in unknown if not re.fullmatch(r"(trial \d+)?", head)} == set()


@pytest.mark.parametrize(
    "show",
    [
        lambda text: study_html(replace(small(), name=text, url=text)),
        lambda text: trial_html(
            replace(small(), name=text), replace(small().trials[5], reason=text)
        ),
        lambda text: trial_html(foreign(), replace(foreign().trials[0], params={text: text})),
        lambda text: confirmation_html(replace(confirmation(), study=text)),
        lambda text: plan_html(text, {text: text}, {text: CategoricalDistribution([text, "b"])}),
        lambda text: rows_html(Rows(columns=(text,), rows=((text,),)), text),
    ],
)
@pytest.mark.parametrize(
    "text", [EVIL, f'"><img src=x onerror="alert(1)">{TURNED}', "a\x1b[2J\ud800"]
)
def test_strangers_words_are_text_alone(show: Callable[[str], str], text: str) -> None:
    fragment = show(text)
    assert Reading(fragment).elements <= ALLOWED
    assert not {TURNED, "\x1b", "\ud800"} & set(fragment)
    assert "alert(1)" not in text or "alert(1)" in Reading(fragment).text


def test_a_study_begins_with_whether_to_believe_it() -> None:
    text = Reading(study_html(confirmed())).text
    assert text.startswith(
        "Study known 3 complete, 1 pruned, 2 fail, 1 waiting · sqlite:///storage/cvfp.db "
        "With care: trial 1 beats the untrained net's 0.490 with 0.940, but the score rests on "
        "its threshold. Trial 1 scores 0.940, better than the untrained net (0.490);"
    )
    assert "confirmed. " in text
    for figure in ("trial 1 score 0.940", "dist_reg_weight 0.42", "mean norm of a context 19.6"):
        assert figure in text


def test_the_picture_has_a_mark_for_each_trial_and_steps_of_the_best() -> None:
    _, untrained, pruned, done, best = Reading(study_html(small())).paths
    assert (untrained.count("M"), pruned.count("M"), done.count("M")) == (3, 1, 3)
    # trial 1 of 0 to 5 is the best, at the top from there on; the pruned one is at the bottom
    assert best == "M0 57H80V0H400"
    assert pruned == "M160 100h0"


def test_a_minimized_value_steps_down() -> None:
    *_, best = Reading(study_html(foreign())).paths
    assert best == "M0 0H133V100H400"


@pytest.mark.parametrize("name", ["empty", "all failed", "two objectives"])
def test_where_no_trial_has_one_value_there_is_no_picture(name: str) -> None:
    assert "svg" not in Reading(study_html(STUDIES[name]())).elements


def test_one_trial_alone_is_in_the_middle() -> None:
    _, _, done, best = Reading(study_html(STUDIES["one trial"]())).paths
    assert (done, best) == ("M200 0h0", "M200 0H400")


def test_values_too_large_for_a_difference_are_drawn() -> None:
    made = optuna.create_study(direction="maximize")
    for value in (-1.7e308, 1.7e308):
        made.add_trial(optuna.trial.create_trial(value=value))
    *_, best = Reading(study_html(summary(made))).paths
    assert best == "M0 100H400V0H400"


def test_a_picture_of_many_trials_stays_small() -> None:
    made = study()
    trials = [complete(0.5, 0.9, 0.5 + (i % 7) / 20) for i in range(6)]
    made.add_trials(trials)
    one = summary(made)
    many = [replace(one.trials[i % 6], number=i) for i in range(5_000)]
    assert len(study_html(replace(one, trials=many))) < 60_000


def test_a_trial_has_its_end_its_judgement_and_all_figures() -> None:
    one = small()
    text = Reading(trial_html(one, one.trials[1])).text
    assert text.startswith(
        "Trial 1 of study known complete, score 0.9400 Finished: all 2 iterations were run. "
        "Trial 1 scores 0.940, better than"
    )
    assert "Time: 3.0 s (pass 1.0 s, training 2.0 s)." in text
    assert "untrained: effective rank / D 88.0%" in text
    waiting = Reading(trial_html(one, one.trials[6])).text
    assert waiting.startswith("Trial 6 of study known waiting")


def test_a_confirmation_begins_with_the_verdict() -> None:
    text = Reading(confirmation()._repr_html_()).text
    assert text.startswith(
        "Confirmation known/confirm 12 of 12 runs The winner, trial 1, is confirmed: reported "
    )
    assert "trial 3 0.750 0.750 0.623 to 0.877 2, 1 diverged" in text


def test_a_plan_shows_ranges_and_what_is_not_the_default() -> None:
    changes: dict[str, Any] = {
        "space.rate": {"low": 0.0005, "high": 0.005, "log": True},
        "space.layernorm_mix": 0.8,
        "schedule.stage_weights": [0.9, 0.8],
        "data.path": "",
    }
    text = Reading(plan_html("mine", changes, SPACE)).text
    assert text == (
        "Definition mine parameter searched rate 0.0005 to 0.005, log count 1 to 8 "
        f"schedule.kind fixed, {EVIL} key not the default space.layernorm_mix 0.8 "
        "schedule.stage_weights 0.9, 0.8 data.path none"
    )
    bare = Reading(plan_html("mine", {}, {})).text
    assert bare == "Definition mine Nothing is searched. All other keys have their defaults."


def test_a_table_is_shown_as_it_is() -> None:
    rows = Rows(columns=("trial", "score"), rows=((0, 0.5), (1, None)))
    assert Reading(rows_html(rows, "All")).text == "All trial score 0 0.5 1 -"


# as text


def test_a_study_is_one_line() -> None:
    where = "storage='sqlite:///storage/cvfp.db'"
    assert brief.study_text(small()) == (
        f"Study('known', {where}): 3 complete, 1 pruned, 2 fail, 1 waiting, best 0.940 (trial 1)"
    )
    assert brief.study_text(STUDIES["empty"]()) == f"Study('known', {where}): no trials yet"
    assert brief.study_text(STUDIES["all failed"]()).endswith("): 3 fail")
    assert brief.study_text(foreign()).endswith("4 complete, best 1 (trial 1)")
    front = "3 complete, 2 on the Pareto front"
    assert brief.study_text(STUDIES["two objectives"]()).endswith(front)


def test_a_confirmation_is_the_verdict() -> None:
    first, verdict = repr(confirmation()).splitlines()
    assert first == "Confirmation('known/confirm'): 12 of 12 runs"
    assert verdict.startswith("  The winner, trial 1, is confirmed: reported 0.940, 0.940 (95 % ")
    winner = confirmation().winner
    assert winner is not None
    none = replace(confirmation(), winner=replace(winner, score=None))
    assert repr(none).splitlines()[1].startswith("  undecided: ")


@pytest.mark.parametrize("name", STUDIES)
def test_texts_are_printable(name: str) -> None:
    one = replace(STUDIES[name](), name=f"odd {TURNED}\x1b[2J")
    assert brief.study_text(one).isprintable()
    odd = replace(confirmation(), study=one.name)
    assert repr(odd).replace("\n", "").isprintable()
