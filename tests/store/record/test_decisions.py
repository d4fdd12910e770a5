"""What decides against a trial: the same as what a judgement lets decide."""

from typing import Any

import pytest
from known_studies import attributes, audit

from cvfp_opt.report.judgement import observations
from cvfp_opt.report.words import DEGENERATE
from cvfp_opt.store.record.decisions import decisive, doubts
from cvfp_opt.store.record.records import TrialRecord

UNTRAINED = audit()["baseline"]
AUDITS: dict[str, dict[str, Any]] = {
    "sound": {},
    **{flag: {flag: True} for flag in DEGENERATE},
    "behind the untrained net": {"baseline": UNTRAINED | {"score": 0.95}},
    "within the noise": {"baseline": UNTRAINED | {"score": 0.895}},
    "before it": {"baseline": UNTRAINED | {"score": 0.885}},
}


@pytest.mark.parametrize("steps", [0, 1, 400])
@pytest.mark.parametrize("case", AUDITS)
def test_a_trial_is_feasible_unless_its_judgement_decides_against_it(
    case: str, steps: int
) -> None:
    figures = attributes(0.9, 0.9, audit=audit(**AUDITS[case]))
    figures["environment"]["optimizer_steps"] = steps
    record = TrialRecord(number=0, state="complete", value=0.9, **figures)
    decided = [one for one in observations(record, {}, subject="It") if one.decides]
    against = decisive(0.9, record.audit, steps)
    assert any(value > 0 for value in against.values()) == any(not one.good for one in decided)
    assert against.keys() == {"untrained", "optimizer_steps", *DEGENERATE}


def test_how_far_a_score_stays_behind_is_a_number() -> None:
    assert decisive(0.5, audit(), 1)["untrained"] == pytest.approx(0.49 + 0.01 - 0.5)
    assert decisive(0.3, audit(), 1)["untrained"] == pytest.approx(0.2)


DOUBTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "fixed_point, seen": {"frozen_train": audit()["frozen_train"] | {"convergence": 0.94}},
    "fixed_point, unseen": {"frozen_held_out": audit()["frozen_train"] | {"convergence": 0.94}},
    "scale": {"mean_square": 0.24},
    "scale, just not": {"mean_square": 0.25},
    "threshold": {"absolute_convergence": 0.87},
    "threshold, within the noise": {"absolute_convergence": 0.89},
}


@pytest.mark.parametrize("case", DOUBTS)
def test_a_score_is_doubtful_where_its_judgement_says_but(case: str) -> None:
    figures = attributes(0.9, 0.9, audit=audit(absolute_convergence=0.9) | DOUBTS[case])
    params = {"phase1_convergence_threshold": 0.3}
    record = TrialRecord(number=0, state="complete", value=0.9, params=params, **figures)
    short = [one for one in observations(record, {"objective": {}}, subject="It") if one.short]
    found = doubts(record.audit, rate=0.9, own_weight=0.5)
    violated = {name for name, value in found.items() if value > 0}
    assert violated == ({case.partition(",")[0]} if short else set())
    assert bool(short) == (case not in ("nothing",) and "not" not in case and "noise" not in case)
    assert found.keys() == {"fixed_point", "scale", "threshold"}


def test_a_threshold_for_all_trials_rewards_nobody() -> None:
    assert "threshold" not in doubts(audit(), rate=0.9, own_weight=0.0)
