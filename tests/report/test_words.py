"""How numbers, times, names and commands are written."""

from dataclasses import replace

import pytest
from known_studies import confirmed, small

from cvfp_opt.report.words import (
    against_words,
    commands,
    counts_line,
    duration,
    joined,
    named_values,
    number,
    ranges,
    sentence,
    share,
    short_name,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (61, "1 min 01 s"),
        (3599.6, "1 h 00 min"),
        (7260, "2 h 01 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_figures_that_are_missing_are_dashes() -> None:
    assert (number(0.12345), number(None)) == ("0.123", "-")
    assert (share(0.5), share(None)) == ("50.0%", "-")


def test_a_parameter_keeps_its_letters_at_the_beginning_of_a_sentence() -> None:
    assert sentence("trial 1 wins") == "Trial 1 wins."
    assert sentence("layernorm_mix lies at a bound") == "layernorm_mix lies at a bound."


def test_lists() -> None:
    assert [joined(names) for names in ([], [1], [1, 2], "abc")] == [
        "",
        "1",
        "1 and 2",
        "a, b and c",
    ]
    assert named_values({"torch": "2.13", "numpy": 2}) == "torch 2.13, numpy 2"
    assert counts_line({"complete": 3, "pruned": 0, "fail": 1}) == "3 complete, 1 fail"
    assert counts_line({"complete": 0}, "none yet") == "none yet"


def test_ranges() -> None:
    assert ranges([0, 1, 2, 7, 9, 10]) == ["0-2", "7", "9-10"]
    assert ranges([0, 2, 5], {0: 0, 2: 1, 4: 2, 5: 3}) == ["0-2", "5"]


def test_parameters_have_short_names() -> None:
    assert short_name("phase1_learning_rate") == "lr"
    assert short_name("schedule.stage_weights[0]") == "stage 1"
    assert short_name("training.num_epochs") == "num epochs"


def test_commands_name_study_and_database() -> None:
    typed = commands(small(), " --storage x.db")
    assert typed["more"] == "cvfp-opt run --study-name known --storage x.db --n-trials +10"
    assert typed["report"] == "cvfp-opt report --storage x.db known"
    assert typed["replay"].startswith("cvfp-opt trial replay 1 --study-name known")
    assert commands(confirmed())["confirm"] == "cvfp-opt confirm --study-name known"


@pytest.mark.parametrize(
    ("saw", "unseen", "text"),
    [
        (0.996, 0.948, "no fixed point on held-out text"),
        (0.90, 0.95, "no fixed point on training text"),
        (0.10, 0.20, "no fixed point"),
    ],
)
def test_a_net_without_a_fixed_point_on_one_text_has_that_text_named(
    saw: float, unseen: float, text: str
) -> None:
    trial = next(trial for trial in small().trials if trial.audit)
    audit = trial.audit | {
        "frozen_train": trial.audit["frozen_train"] | {"convergence": saw},
        "frozen_held_out": trial.audit["frozen_held_out"] | {"convergence": unseen},
    }
    against = {"fixed_point": 0.95 - min(saw, unseen)}
    assert against_words(replace(trial, audit=audit, constraints=against)) == text
    assert against_words(replace(trial, constraints=against, audit=type(audit)())) == (
        "no fixed point"
    )
