"""Runs without a study from Python."""

import math
from pathlib import Path

import pytest

import cvfp_opt as cv

POINT = {
    "dist_reg_weight": 0.85,
    "phase1_learning_rate": 0.002,
    "phase1_convergence_threshold": 0.5,
    "layernorm_mix": 1.0,
}


def test_one_run_has_what_a_trial_has(tiny: cv.Plan) -> None:
    trained = cv.train(tiny, progress=False, **POINT)
    assert 0 < trained.score < 1
    assert trained.metrics["score"] == pytest.approx(trained.record.iterations[-1]["score"])
    assert trained.judgement.startswith(f"The run scores {trained.score:.3f}")
    assert repr(trained).startswith(f"TrainedNetwork(score {trained.score:.4f}, ")
    assert trained.save("net") == Path("net")
    words = "a few words"
    assert cv.load("net").contexts(words).equal(trained.load().contexts(words))
    with pytest.raises(cv.CheckpointError, match="net: "):
        trained.save("net")
    assert len(cv.thresholds("net")) == len(cv.thresholds(Path("net"))) > 5


def test_a_seed_and_a_text_decide_it(tiny: cv.Plan) -> None:
    Path("my-text.txt").write_text("some words that are the reader's own\n" * 200)
    first = cv.train(tiny, seed=1, progress=False, **POINT)
    again = cv.train(tiny.set("search.seed", 1), progress=False, **POINT)
    other = cv.train(tiny, seed=1, data="my-text.txt", progress=False, **POINT)
    digests = [one.trained.result.weights_digest for one in (first, again, other)]
    assert digests[0] == digests[1] != digests[2]


def test_what_has_no_value_is_named(tiny: cv.Plan) -> None:
    with pytest.raises(cv.DefinitionError, match="that quick searches; add layernorm_mix="):
        cv.train(tiny, progress=False, **{**POINT, "layernorm_mix": (0.5, 1.0)})  # type: ignore[dict-item]
    with pytest.raises(cv.DefinitionError, match="weight: unknown key"):
        cv.train(tiny, weight=1)


def test_a_network_is_verified(tiny: cv.Plan) -> None:
    checks = cv.verify(tiny.searching(POINT), progress=False)
    assert {check.split for check in checks} == {"train", "validation"}
    cv.train(tiny, progress=False, **POINT).save("net")
    assert {check.name for check in cv.verify("net")} == {check.name for check in checks}
    with pytest.raises(cv.DefinitionError, match="protocol: unknown name 'fast'"):
        cv.verify("net", protocol="fast")


def test_thresholds_are_those_of_the_best_trial(study: cv.Study) -> None:
    rates = cv.thresholds(study)
    assert rates == cv.thresholds(study.best)
    assert [row["absolute"] for row in rates] == sorted(row["absolute"] for row in rates)
    [waiting] = study.enqueue({"dist_reg_weight": 0.5})
    with pytest.raises(cv.StudyError, match="was not audited"):
        cv.thresholds(waiting)


def test_an_experiment_of_the_report_is_named() -> None:
    with pytest.raises(cv.DefinitionError, match="unknown name 'bug-3'; did you mean 'bug-"):
        cv.reproduce("bug-3")
    assert math.isnan(cv.Trial.score.fget(_Unscored()))  # type: ignore[attr-defined]


class _Unscored:
    class record:
        value = None
