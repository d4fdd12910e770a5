"""The next-token probe against closed forms and an independent logistic regression."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.probe import LinearProbe, NextTokens, fit_probe, unigram_result

VOCABULARY = 12


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tokens(count: int, seed: int = 0, below: int = 8) -> Tensor:
    return torch.randint(0, below, (count,), generator=generator(seed))


def some_targets() -> NextTokens:
    # ids 8 ... 11 never occur in training; 9 does in the held-out text
    held_out = torch.cat([tokens(60, seed=1), torch.tensor([9])])
    return NextTokens(train=tokens(200), held_out=held_out, vocabulary_size=VOCABULARY)


def test_the_unigram_model_is_smoothed_counts() -> None:
    targets = some_targets()
    probabilities = targets.unigram().exp()
    counts = torch.bincount(targets.train, minlength=VOCABULARY)
    torch.testing.assert_close(probabilities, (counts + 1) / (200 + VOCABULARY))
    result = unigram_result(targets)
    expected = math.exp(-probabilities[targets.held_out].log().mean().item())
    assert result.held_out_perplexity == pytest.approx(expected, rel=1e-4)
    likeliest = (targets.held_out == counts.argmax()).float().mean().item()
    assert result.held_out_accuracy == pytest.approx(likeliest)


def test_probabilities_are_a_full_softmax_with_unseen_tokens_at_their_unigram_odds() -> None:
    targets = some_targets()
    probe = LinearProbe(targets, 5)
    with torch.no_grad():
        probe.weight.normal_(generator=generator(3))
    features = torch.randn(VOCABULARY, 5, generator=generator(4))
    ours, _ = probe.log_likelihood(features, torch.arange(VOCABULARY))
    whole = torch.zeros(VOCABULARY, 5)
    whole[targets.train.unique()] = probe.weight.detach()
    logits = features @ whole.T + targets.unigram()
    reference = -F.cross_entropy(logits, torch.arange(VOCABULARY), reduction="none")
    torch.testing.assert_close(ours.detach(), reference)
    total = sum(
        probe.log_likelihood(features[:1], torch.tensor([v]))[0].exp().item()
        for v in range(VOCABULARY)
    )
    assert total == pytest.approx(1.0)


def test_features_that_tell_the_next_token_are_found_and_noise_gains_nothing() -> None:
    targets = NextTokens(train=tokens(2000), held_out=tokens(400, seed=1), vocabulary_size=8)
    names = F.one_hot(torch.arange(8), 8).float()
    telling = names[targets.train], names[targets.held_out]
    noise = (
        torch.randn(2000, 8, generator=generator(5)),
        torch.randn(400, 8, generator=generator(6)),
    )
    found = fit_probe(*telling, targets, generator())
    none = fit_probe(*noise, targets, generator())
    unigram = unigram_result(targets)
    assert found.held_out_accuracy == 1.0
    assert found.held_out_perplexity < 0.85 * unigram.held_out_perplexity
    assert none.held_out_perplexity == pytest.approx(unigram.held_out_perplexity, rel=0.03)


def test_the_same_seed_gives_the_same_bits_and_scale_plays_no_part() -> None:
    targets = some_targets()
    train, held_out = (torch.randn(n, 4, generator=generator(n)) for n in (200, 61))
    first, again = (fit_probe(train, held_out, targets, generator()) for _ in range(2))
    assert first == again
    scaled = fit_probe(100 * train + 3, 100 * held_out + 3, targets, generator())
    assert scaled.held_out_perplexity == pytest.approx(first.held_out_perplexity, rel=1e-3)
