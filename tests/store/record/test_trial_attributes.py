"""The typed record says what the dataclasses write: the same keys, and no others."""

from dataclasses import fields
from typing import Any, get_type_hints

import pytest

from cvfp_opt.model.audit import Audit, Baseline, Convergence, FrozenText
from cvfp_opt.model.probe import ProbeResult
from cvfp_opt.store.record import trial_attributes as stored
from cvfp_opt.store.record.identity import TrialIdentity
from cvfp_opt.training.config import Scored
from cvfp_opt.training.result import IterationMetrics


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        (Audit, stored.StoredAudit),
        (Baseline, stored.StoredBaseline),
        (Convergence, stored.StoredConvergence),
        (FrozenText, stored.StoredFrozenText),
        (IterationMetrics, stored.StoredIteration),
        (ProbeResult, stored.StoredProbe),
        (Scored, stored.StoredScore),
        (TrialIdentity, stored.StoredIdentity),
    ],
)
def test_the_keys_are_those_that_are_written(written: Any, typed: Any) -> None:
    assert {field.name for field in fields(written)} == set(get_type_hints(typed))
