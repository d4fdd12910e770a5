"""The sentence of judgement on trials whose figures are known."""

from dataclasses import replace
from typing import Any

import pytest
from known_studies import on_fresh_seeds

from cvfp_opt.report.judgement import answer, judge
from cvfp_opt.store.record.confirmation import DEFAULT
from cvfp_opt.store.record.records import StudyRecord, TrialRecord
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.tuning.definition import StudyDefinition

PARAMS = {
    "dist_reg_weight": 0.5,
    "phase1_learning_rate": 0.002,
    "phase1_convergence_threshold": 0.3,
    "layernorm_mix": 0.8,
}


def frozen(convergence: float) -> dict[str, float]:
    return {"convergence": convergence, "convergence_strict": 0.5, "effective_rank": 0.8}


def trial(**audit: Any) -> TrialRecord:
    figures = {
        "absolute_convergence": 0.97,
        "scale_free_convergence": 0.97,
        "mean_square": 0.5,
        "global_attractor": False,
        "near_zero": False,
        "identity_map": False,
        "baseline": {"score": 0.45},
        "frozen_train": frozen(0.99),
        "frozen_held_out": frozen(0.98),
    }
    return TrialRecord(
        number=4,
        state="complete",
        value=0.93,
        params=dict(PARAMS),
        metrics={"convergence_rate": 0.97},
        audit=figures | audit,
    )


def summarized(record: TrialRecord, **space: Any) -> Summary:
    definition = StudyDefinition().to_dict()
    definition["space"] |= space
    study = StudyRecord(
        definition=definition,
        definition_digest="",
        data_digest="",
        created=0.0,
        environment={},
    )
    return Summary(name="s", url="", record=study, trials=[record])


def judged(record: TrialRecord, **space: Any) -> str:
    return judge(summarized(record, **space))


def test_a_sound_winner() -> None:
    assert judged(trial()) == (
        "Trial 4 scores 0.930, better than the untrained net (0.450); its final net has a fixed "
        "point on text it saw and on text it did not (99.0% and 98.0% of tokens agree between two "
        "frozen reads); the score does not rest on its threshold (97.0% converged at its own "
        "0.300, 97.0% at the fixed 0.1)."
    )


@pytest.mark.parametrize(
    ("untrained", "verdict"),
    [(0.45, "better than"), (0.925, "no better than"), (0.935, "no better than"), (0.97, "worse")],
)
def test_against_the_untrained_net(untrained: float, verdict: str) -> None:
    assert verdict in judged(trial(baseline={"score": untrained}))


@pytest.mark.parametrize(
    ("saw", "unseen", "words"),
    [
        (0.99, 0.50, "has a fixed point on text it saw, but not on text it did not see"),
        (0.50, 0.99, "has a fixed point on unseen text, but not on the text it saw"),
        (0.10, 0.20, "has no fixed point (10.0% and 20.0% of tokens"),
    ],
)
def test_a_fixed_point_that_is_missing(saw: float, unseen: float, words: str) -> None:
    assert words in judged(trial(frozen_train=frozen(saw), frozen_held_out=frozen(unseen)))


def test_a_score_that_rests_on_its_threshold() -> None:
    words = "the score rests on its threshold (97.0% converged at its own 0.300, 11.0% at"
    assert words in judged(trial(absolute_convergence=0.11))


def test_a_threshold_that_was_not_searched_is_judged_too() -> None:
    record = trial(absolute_convergence=0.11)
    del record.params["phase1_convergence_threshold"]
    assert "rests on its threshold (97.0% converged at its own 0.500" in judged(
        record, phase1_convergence_threshold=0.5
    )


def test_a_net_that_was_never_trained_is_called_so() -> None:
    record = replace(trial(), environment={"optimizer_steps": 0})
    assert "; 0 optimizer steps: this is the untrained network; " in judged(record)


@pytest.mark.parametrize("flag", ["global_attractor", "near_zero", "identity_map"])
def test_degenerate_contexts_are_said(flag: str) -> None:
    assert "DEGENERATE" in judged(trial(**{flag: True}))


@pytest.mark.parametrize(
    ("name", "value", "side"),
    [
        ("dist_reg_weight", 0.89, "near the upper"),
        ("dist_reg_weight", 0.9, "at the upper"),
        ("dist_reg_weight", 0.11, "near the lower"),
        # within 3 % of the log range, though not of the linear one
        ("phase1_learning_rate", 0.00053, "near the lower"),
        ("phase1_learning_rate", 0.0005, "at the lower"),
    ],
)
def test_a_parameter_at_its_bound_is_said(name: str, value: float, side: str) -> None:
    record = replace(trial(), params=PARAMS | {name: value})
    assert f"{name} = {value:.4g} lies {side} bound" in judged(record)


def test_a_parameter_inside_its_range_is_not() -> None:
    record = replace(trial(), params=PARAMS | {"phase1_learning_rate": 0.0006})
    assert "bound" not in judged(record)


@pytest.mark.parametrize(
    ("fresh", "words"),
    [
        ([0.92, 0.93, 0.94], ", and on 3 fresh seeds it is confirmed."),
        ([0.79, 0.80, 0.81], "With care: trial 4 beats the untrained net's 0.450 with 0.930, but"),
        ([0.79, 0.80, 0.81], ", but on 3 fresh seeds it is worse than reported."),
        ([0.49, 0.50, 0.51], "No: trial 4 has 0.930 against the untrained net's 0.450, and on 3"),
        ([0.92], "Yes, as far as an audit goes: "),
        ([], "Yes, as far as an audit goes: "),
    ],
)
def test_the_answer_heeds_fresh_seeds(fresh: list[float], words: str) -> None:
    scores = {"trial 4": fresh, DEFAULT: [0.70, 0.71, 0.72]}
    others = [TrialRecord(number=n, state="fail") for n in range(4)]
    searched = replace(summarized(trial()), trials=[*others, trial()])
    found = answer(on_fresh_seeds(searched, scores))
    assert words in found.text


def test_nothing_to_judge() -> None:
    summary = Summary(name="s", url="", record=None, trials=[TrialRecord(number=0, state="fail")])
    assert judge(summary).startswith("No trial is complete yet")


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            trial(),
            "Yes, as far as an audit goes: trial 4 beats the untrained net's 0.450 with 0.930, "
            "and nothing in its audit speaks against it.",
        ),
        (
            trial(absolute_convergence=0.1, frozen_held_out=frozen(0.3)),
            "With care: trial 4 beats the untrained net's 0.450 with 0.930, but its fixed point "
            "does not hold on text it did not see and the score rests on its threshold.",
        ),
        (
            trial(baseline={"score": 0.93}),
            "No: trial 4 has 0.930 against the untrained net's 0.930, and that is no better than "
            "a net that was never trained.",
        ),
        (
            trial(near_zero=True),
            "No: trial 4 has 0.930 against the untrained net's 0.450, and all contexts are near "
            "zero.",
        ),
        (replace(trial(), audit={}), "Nobody can tell: trial 4 was not audited."),
        (
            TrialRecord(number=0, state="fail"),
            "No trial is complete yet: there is nothing to believe or doubt.",
        ),
    ],
)
def test_the_answer_in_one_sentence(record: TrialRecord, words: str) -> None:
    assert answer(summarized(record)).text == words


def test_trials_that_are_all_given_up_after_a_pass_say_what_it_may_be() -> None:
    pass_one = [{"iteration": 0, "score": 0.1}]
    ended = [
        TrialRecord(number=n, state="pruned", iterations=pass_one)  # type: ignore[list-item]
        for n in range(2)
    ]
    study = Summary(name="quick", url="x.db", record=None, trials=ended)
    assert judge(study).startswith("All 2 trials were pruned after the first pass: the rank of ")
    assert answer(study).text == judge(study)
    running = replace(study, trials=[*ended, TrialRecord(number=2, state="running")])
    assert judge(running) == "No trial is complete yet: there is nothing to judge."


def test_contexts_that_shrank_speak_against_it() -> None:
    shrunken = trial(mean_square=0.1)
    assert judged(shrunken).endswith("; its contexts have shrunk to 31.6% of unit length.")
    said = answer(summarized(shrunken)).text
    assert said.startswith("With care: ")
    assert said.endswith("but its contexts have shrunk to 31.6% of unit length.")
