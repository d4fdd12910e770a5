"""Segments of a text as lanes: where they are the sequential pass, and where they are not."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model import segments
from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import ContextOverflow, Lane, sequential_pass, zero_context
from cvfp_opt.model.segments import (
    TOLERANCE,
    contracts,
    exact_passes,
    repaired_pass,
    segment_pass,
)

T, E = 700, 12


def network_of(context: float, token: float) -> ContextNetwork:
    """A net whose matrices are scaled, the half that reads contexts and the one that reads tokens.

    Tokens that drown what came before make it contract, louder contexts chaotic.
    """
    config = ModelConfig(context_size=16, embedding_size=E, num_layers=2)
    network = ContextNetwork(
        config, layernorm_mix=1.0, generator=torch.Generator().manual_seed(0)
    ).double()
    with torch.no_grad():
        for layer in network.context_layers:
            layer.linear.weight[:, :16] *= context
            layer.linear.weight[:, 16:] *= token
    return network


def contracting() -> ContextNetwork:
    return network_of(1.0, 5.0)


def chaotic() -> ContextNetwork:
    return network_of(20.0, 10.0)


def text_of(length: int = T, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.layer_norm(torch.randn(length, E, generator=generator), (E,)).double()


def two_passes(network: ContextNetwork, text: Tensor) -> tuple[Tensor, Tensor]:
    first = sequential_pass(network, text, zero_context(network))
    return first, sequential_pass(network, text, first[-1])


def error(found: Tensor, expected: Tensor) -> float:
    """The largest relative error of a context."""
    distance = torch.linalg.vector_norm(found - expected, dim=-1)
    return (distance / torch.linalg.vector_norm(expected, dim=-1)).max().item()


@pytest.mark.parametrize("length", [T, 33, 32, 7, 1])
def test_a_repaired_pass_of_a_contracting_net_is_the_sequential_one(length: int) -> None:
    network, text = contracting(), text_of(length)
    generator = torch.Generator().manual_seed(5)
    far = torch.randn(length, 16, generator=generator).double()  # no pass ever gave these
    start = torch.linspace(-1, 1, 16).double()
    expected = sequential_pass(network, text, start)
    found = repaired_pass(network, text, start, far)
    assert found is not None
    assert error(found, expected) < 10 * TOLERANCE
    torch.testing.assert_close(found[0], expected[0])


def test_repairs_mend_what_segments_alone_get_wrong() -> None:
    network, text = contracting(), text_of()
    far = torch.randn(T, 16, generator=torch.Generator().manual_seed(5)).double()
    start = zero_context(network)
    expected = sequential_pass(network, text, start)
    torn = error(segment_pass(network, text, start, far), expected)
    repaired = repaired_pass(network, text, start, far)
    assert repaired is not None
    assert error(repaired, expected) < 0.01 * torn


def test_segments_from_the_fixed_point_are_the_pass() -> None:
    network, text = contracting(), text_of()
    _, second = two_passes(network, text)
    third = sequential_pass(network, text, second[-1])
    assert error(segment_pass(network, text, second[-1], second), third) < 1e-9


def test_a_chaotic_net_is_not_repaired_but_read() -> None:
    network, text = chaotic(), text_of()
    first, second = two_passes(network, text)
    assert not contracts(network, text, first)
    assert repaired_pass(network, text, first[-1], first) is None
    (found,) = exact_passes(network, [Lane(text, first[-1])], [first], repair=True)
    assert torch.equal(found, second)


def test_exact_passes_repair_only_where_they_may() -> None:
    network, text = contracting(), text_of()
    first, second = two_passes(network, text)
    assert contracts(network, text, first)
    counts: list[int] = []
    lanes = [Lane(text, first[-1]), Lane(text[:90], first[-1])]
    plain = exact_passes(network, lanes, [], repair=False)
    torch.testing.assert_close(plain[0], second, rtol=1e-9, atol=1e-9)
    repaired = exact_passes(
        network, lanes, [first, first[:90]], repair=True, on_tokens=counts.append
    )
    assert counts == [T, T + 90]
    for found, expected in zip(repaired, plain, strict=True):
        assert error(found, expected) < 10 * TOLERANCE


def test_segments_at_both_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    network, text = contracting().float(), text_of().float()
    first, second = two_passes(network, text)
    rounded = segment_pass(network, text, first[-1], first, "bfloat16")
    exact = segment_pass(network, text, first[-1], first, "float32")
    assert error(exact, second) < 1e-3
    assert 1e-3 < error(rounded, second) < 0.1


def test_two_reads_give_the_same_bits() -> None:
    network, text = chaotic().float(), text_of().float()
    first, _ = two_passes(network, text)
    for precision in ("float32", "bfloat16"):
        once, again = (segment_pass(network, text, first[-1], first, precision) for _ in "ab")
        assert torch.equal(once, again)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_contexts_that_explode_are_reported(bad: float) -> None:
    network, text = contracting(), text_of()
    first, _ = two_passes(network, text)
    text[300] = bad
    for read in (segment_pass, repaired_pass):
        with pytest.raises(ContextOverflow):
            read(network, text, first[-1], first)


def test_repairs_end(monkeypatch: pytest.MonkeyPatch) -> None:
    network, text = contracting(), text_of()
    far = torch.randn(T, 16, generator=torch.Generator().manual_seed(5)).double()
    monkeypatch.setattr(segments, "MAX_ROUNDS", 1)
    assert repaired_pass(network, text, zero_context(network), far) is None
