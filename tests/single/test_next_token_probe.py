"""The probe of a network: its text, its identity, and what stands beside its contexts."""

import dataclasses

import pytest
import torch
from stock import tiny

from cvfp_opt.errors import DataError, DefinitionError
from cvfp_opt.model import probe
from cvfp_opt.single.next_token_probe import ProbedFeatures, probe_network, with_text
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.objective import Objective

POINT = (
    "space.dist_reg_weight=0.85",
    "space.phase1_learning_rate=0.002",
    "space.phase1_convergence_threshold=0.5",
    "space.layernorm_mix=1.0",
)


@pytest.fixture
def definition(monkeypatch: pytest.MonkeyPatch) -> StudyDefinition:
    monkeypatch.setattr(probe, "MIN_STEPS", 5)
    return tiny(*POINT)


def probed(definition: StudyDefinition, number: int) -> dict[str, ProbedFeatures]:
    objective = Objective(
        definition=definition, tokens=definition.load_tokens(), device=torch.device("cpu")
    )
    network = objective.prepare({}, number).network
    rows = probe_network(network, definition, lambda line: None, number=number)
    return {row.features: row for row in rows}


def test_a_network_is_probed_with_its_own_embeddings_and_untrained_network(
    definition: StudyDefinition,
) -> None:
    first, third = probed(definition, 0), probed(definition, 3)
    for name in ("unigram", "trigram"):  # of the text alone
        assert first[name] == third[name]
    assert first["token embedding"] != third["token embedding"]
    # this one was never trained: it is the untrained network of its identity
    for features in ("contexts", "contexts beside embedding"):
        assert third[features].probes == third[f"untrained {features}"].probes


def test_a_row_s_probes_share_a_learning_rate_and_differ_in_the_order(
    definition: StudyDefinition,
) -> None:
    probes = probed(definition, 0)["contexts beside embedding"].probes
    assert len({one.learning_rate for one in probes}) == 1
    assert len({one.train_perplexity for one in probes}) == len(probes) == 3


def test_another_text_and_another_amount_of_it(definition: StudyDefinition) -> None:
    begun = dataclasses.replace(
        definition, data=dataclasses.replace(definition.data, first_token=9)
    )
    assert with_text(definition, None, None) == definition
    assert with_text(begun, None, 90).data == dataclasses.replace(begun.data, train_tokens=90)
    other = with_text(begun, "mine.txt", None).data
    assert (other.source, other.path, other.first_token) == ("text", "mine.txt", 0)
    assert other.train_tokens == definition.data.train_tokens
    large = with_text(definition, None, 10_000)
    assert with_text(large, None, 64).training.minibatch_size <= 64
    with pytest.raises(DefinitionError, match="at least 64 is required, got 8"):
        with_text(definition, None, 8)
    with pytest.raises(DataError, match="nowhere"):
        with_text(definition, "nowhere", None).load_tokens()
