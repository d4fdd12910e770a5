"""What decides against a trial: the same as what a judgement lets decide."""

from typing import Any

import pytest
from known_studies import attributes, audit

from cvfp_opt.report.judgement import observations
from cvfp_opt.report.words import DEGENERATE
from cvfp_opt.store.record.decisions import decisive
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
