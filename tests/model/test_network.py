"""The network and its passes against a reference written in plain numpy."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from cvfp_opt.errors import DefinitionError
from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.network import BIAS_STD, WEIGHT_STD, ContextNetwork
from cvfp_opt.model.passes import (
    BLOCK,
    READERS,
    ContextOverflow,
    Lane,
    default_reader,
    sequential_pass,
    sequential_passes,
    zero_context,
)

Array = NDArray[np.float64]
SHAPES = [(8, 6, 1), (8, 6, 2), (5, 9, 3), (4, 4, 5)]


def network_of(
    context: int, embedding: int, layers: int, mix: float, seed: int = 0
) -> ContextNetwork:
    config = ModelConfig(context_size=context, embedding_size=embedding, num_layers=layers)
    generator = torch.Generator().manual_seed(seed)
    network = ContextNetwork(config, layernorm_mix=mix, generator=generator).double()
    with torch.no_grad():  # gains and biases that are not one and zero
        for layer in network.context_layers:
            for norm in (layer.context_norm, layer.token_norm):
                norm.weight.normal_(1.0, 0.1, generator=generator)
                norm.bias.normal_(0.0, 0.1, generator=generator)
    return network


def tokens_of(count: int, embedding: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.layer_norm(torch.randn(count, embedding, generator=generator), (embedding,)).double()


def reference_step(network: ContextNetwork, context: Array, token: Array) -> Array:
    """cvfp.md's three steps, layer by layer, in numpy."""

    def mixed(v: Array, norm: torch.nn.LayerNorm, m: float) -> Array:
        normed = (v - v.mean()) / np.sqrt(v.var() + norm.eps)
        normed = normed * norm.weight.detach().numpy() + norm.bias.detach().numpy()
        return (1 - m) * v + m * normed

    for layer in network.context_layers:
        w, b = (p.detach().numpy() for p in (layer.linear.weight, layer.linear.bias))
        h = np.maximum(w @ np.concatenate([context, token]) + b, 0)
        split = len(context)
        context = mixed(context + h[:split], layer.context_norm, layer.layernorm_mix)
        token = mixed(token + h[split:], layer.token_norm, layer.layernorm_mix)
    return context


def reference_pass(network: ContextNetwork, tokens: Array, context: Array) -> Array:
    rows = []
    for token in tokens:
        context = reference_step(network, context, token)
        rows.append(context)
    return np.array(rows)


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reader", READERS)
def test_a_pass_is_the_reference_loop(
    reader: str, shape: tuple[int, int, int], mix: float
) -> None:
    network, tokens = network_of(*shape, mix), tokens_of(12, shape[1])
    start = torch.linspace(-1, 1, shape[0], dtype=torch.float64)
    contexts = sequential_pass(network, tokens, start, reader=reader)
    expected = reference_pass(network, tokens.numpy(), start.numpy())
    np.testing.assert_allclose(contexts.numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("reader", READERS)
def test_a_pass_in_two_parts_is_one_pass(reader: str) -> None:
    network, tokens = network_of(8, 6, 2, 1.0), tokens_of(2 * BLOCK + 40, 6)
    whole = sequential_pass(network, tokens, zero_context(network), reader=reader)
    cut = BLOCK + 7
    first = sequential_pass(network, tokens[:cut], zero_context(network), reader=reader)
    second = sequential_pass(network, tokens[cut:], first[-1], reader=reader)
    assert torch.equal(torch.cat([first, second]), whole)


@pytest.mark.parametrize("reader", READERS)
def test_a_single_step_in_float32_agrees_with_the_network(reader: str) -> None:
    network, tokens = network_of(64, 48, 4, 0.7).float(), tokens_of(20, 48).float()
    contexts = sequential_pass(network, tokens, zero_context(network), reader=reader)
    before = torch.cat([zero_context(network).unsqueeze(0), contexts[:-1]])
    step = network(before, tokens).detach()
    torch.testing.assert_close(contexts, step, rtol=1e-4, atol=1e-5)


def test_progress_counts_all_tokens_by_blocks() -> None:
    network, counts = network_of(4, 4, 1, 1.0), list[int]()
    sequential_pass(network, tokens_of(2 * BLOCK + 1, 4), zero_context(network), counts.append)
    assert counts == [BLOCK, 2 * BLOCK, 2 * BLOCK + 1]


@pytest.mark.parametrize("reader", READERS)
def test_contexts_that_explode_are_reported_with_their_place(reader: str) -> None:
    network = network_of(6, 6, 2, 0.0)  # no LayerNorm: increments only add up
    with torch.no_grad():
        for layer in network.context_layers:
            layer.linear.weight.abs_().mul_(20)
    with pytest.raises(ContextOverflow) as error:
        sequential_pass(network, tokens_of(400, 6), zero_context(network), reader=reader)
    assert error.value.token == BLOCK


@pytest.mark.parametrize("reader", READERS)
def test_a_nan_is_reported_too(reader: str) -> None:
    network, tokens = network_of(6, 6, 2, 1.0), tokens_of(BLOCK + 9, 6)
    tokens[BLOCK + 3] = torch.nan
    with pytest.raises(ContextOverflow) as error:
        sequential_pass(network, tokens, zero_context(network), reader=reader)
    assert error.value.token == BLOCK + 9


def test_without_compilation_the_plain_reader_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu = torch.device("cpu")
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    assert default_reader(cpu) == "compiled"
    assert default_reader(torch.device("cuda")) == "plain"
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert default_reader(cpu) == "plain"


def test_weights_are_drawn_from_the_generator_with_the_seeds_spread() -> None:
    first, again, other = (network_of(60, 60, 2, 1.0, seed=s) for s in (3, 3, 4))
    weights = [layer.linear.weight for layer in first.context_layers]
    assert torch.equal(weights[0], again.context_layers[0].linear.weight)
    assert not torch.equal(weights[0], other.context_layers[0].linear.weight)
    assert not torch.equal(weights[0], weights[1])
    assert weights[0].std().item() == pytest.approx(WEIGHT_STD, rel=0.03)
    assert first.context_layers[0].linear.bias.std().item() == pytest.approx(BIAS_STD, rel=0.2)


def test_the_standard_size_has_the_seeds_number_of_parameters() -> None:
    network = ContextNetwork(
        ModelConfig(), layernorm_mix=1.0, generator=torch.Generator().manual_seed(0)
    )
    count = sum(p.numel() for p in network.parameters())
    assert count / 1e6 == pytest.approx(14.2, abs=0.05)


def test_gradients_agree_with_finite_differences() -> None:
    network, token = network_of(4, 3, 2, 0.5), tokens_of(2, 3)
    context = torch.randn(2, 4, generator=torch.Generator().manual_seed(5)).double()
    assert torch.autograd.gradcheck(
        lambda *weights: torch.func.functional_call(
            network, {"layers.0.linear.weight": weights[0]}, (context, token)
        ),
        (network.context_layers[0].linear.weight,),
    )


@pytest.mark.parametrize("mix", [-0.1, 1.1])
def test_a_mix_outside_its_range_is_refused(mix: float) -> None:
    with pytest.raises(DefinitionError, match=r"must lie in \[0, 1\]"):
        network_of(4, 4, 1, mix)


@pytest.mark.parametrize("lengths", [(300, 300), (300, 40), (40, 300), (5, 5)])
@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("reader", READERS)
def test_two_texts_side_by_side_are_each_read_as_alone(
    reader: str, layers: int, lengths: tuple[int, int]
) -> None:
    network = network_of(8, 6, layers, 0.9)
    starts = [zero_context(network), torch.ones(8, dtype=torch.float64)]
    texts = [tokens_of(length, 6, seed=i) for i, length in enumerate(lengths)]
    counts: list[int] = []
    lanes = [Lane(text, start) for text, start in zip(texts, starts, strict=True)]
    found = sequential_passes(network, lanes, counts.append, reader=reader)
    for contexts, lane in zip(found, lanes, strict=True):
        alone = sequential_pass(network, lane.embeddings, lane.start, reader=reader)
        torch.testing.assert_close(contexts, alone, rtol=1e-10, atol=1e-10)
    assert counts[-1] == sum(lengths)
    assert counts == sorted(set(counts))
