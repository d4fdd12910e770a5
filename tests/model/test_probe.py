"""The next-token probe against closed forms and an independent logistic regression."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.probe import (
    LEARNING_RATES,
    LinearProbe,
    NextTokens,
    choose_learning_rate,
    fit_probe,
    unigram_result,
)

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


def test_the_held_out_text_chooses_nothing() -> None:
    targets = some_targets()
    train = torch.randn(200, 4, generator=generator(7))
    one, other = (
        fit_probe(train, torch.randn(61, 4, generator=generator(n)), targets, generator())
        for n in (8, 9)
    )
    assert one.held_out_perplexity != other.held_out_perplexity
    assert (one.train_perplexity, one.learning_rate) == (
        other.train_perplexity,
        other.learning_rate,
    )


def test_the_learning_rate_is_the_one_that_predicts_the_end_of_the_training_text_best() -> None:
    targets = NextTokens(train=tokens(1000), held_out=tokens(9), vocabulary_size=8)
    telling = F.one_hot(targets.train, 8).float()
    noise = torch.randn(1000, 40, generator=generator(5))
    large, small = (
        choose_learning_rate(features, targets, generator()) for features in (telling, noise)
    )
    assert large == LEARNING_RATES[-1]
    assert small < large
    # the last fifth alone tells which: where it does not follow, a large rate does not pay
    broken = telling.clone()
    broken[800:] = telling[:200]
    assert choose_learning_rate(broken, targets, generator()) < large


def test_the_epochs_are_counted_and_a_rate_that_is_given_is_taken() -> None:
    targets = some_targets()
    train, held_out = (torch.randn(n, 4, generator=generator(n)) for n in (200, 61))
    found = fit_probe(train, held_out, targets, generator(), learning_rate=0.002)
    assert (found.learning_rate, found.epochs) == (0.002, 100)  # one minibatch an epoch
