"""The Kneser-Ney model against figures worked out by hand and against its formula."""

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from cvfp_opt.model.ngram import KneserNey, ngram_result
from cvfp_opt.model.probe import NextTokens, unigram_result


def markov_text(count: int, states: int = 6) -> list[int]:
    """Draw a text in which the two tokens before tell much of the next."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(count, generator=generator).tolist()
    text = [0, 1]
    for draw in draws:
        wanted = (text[-1] + 2 * text[-2]) % states
        text.append(wanted if draw < 0.8 else int(draw * 1000) % states)
    return text


def test_a_bigram_model_is_what_the_hand_computes() -> None:
    # bigrams 01 twice, 10 and 12 once: d = 2 / (2 + 2); each token follows one other, so there
    # d = 1 and all of it goes to the uniform distribution
    model = KneserNey([0, 1, 0, 1, 2], vocabulary_size=3, order=2)
    third = torch.full((3,), 1 / 3)
    torch.testing.assert_close(model.distribution([]), third)
    after_0 = torch.tensor([0.0, 0.75, 0.0]) + 0.25 * third
    after_1 = torch.tensor([0.25, 0.0, 0.25]) + 0.5 * third
    torch.testing.assert_close(model.distribution([0]), after_0)
    torch.testing.assert_close(model.distribution([0, 1]), after_1)
    torch.testing.assert_close(model.distribution([2]), third)  # nothing ever followed it


def formula(text: list[int], size: int, history: tuple[int, ...], order: int) -> list[float]:
    """Compute p(v | history) for each v from the definition, without any table."""

    def counts(length: int) -> Counter[tuple[int, ...]]:
        grams = [tuple(text[i : i + order]) for i in range(len(text) - order + 1)]
        if length == order:
            return Counter(grams)
        # different tokens before it: each longer n-gram that ends so counts once
        return Counter(longer[1:] for longer in counts(length + 1))

    found = counts(len(history) + 1)
    lower = formula(text, size, history[1:], order) if history else [1 / size] * size
    once, twice = (sum(c == n for c in found.values()) for n in (1, 2))
    discount = once / (once + 2 * twice) if once else 0.5
    after = {gram[-1]: count for gram, count in found.items() if gram[:-1] == history}
    if not after:
        return lower
    total = sum(after.values())
    return [
        max(after.get(v, 0) - discount, 0) / total + discount * len(after) / total * lower[v]
        for v in range(size)
    ]


@pytest.mark.parametrize("history", [(), (3,), (0, 1), (5, 5), (7, 2), (7, 7)])
def test_a_trigram_model_is_its_formula(history: tuple[int, ...]) -> None:
    text = markov_text(120)
    found = KneserNey(text, vocabulary_size=8, order=3).distribution(history)
    expected = torch.tensor(formula(text, 8, history, 3))
    torch.testing.assert_close(found, expected)
    assert found.sum().item() == pytest.approx(1.0, abs=1e-6)
    assert (found > 0).all()


def test_only_the_last_tokens_of_a_history_matter() -> None:
    model = KneserNey(markov_text(120), vocabulary_size=8)
    assert torch.equal(model.distribution([4, 4, 0, 1]), model.distribution([0, 1]))


def test_it_predicts_what_counting_can_and_is_measured_on_both_texts() -> None:
    ids = torch.tensor(markov_text(2998))
    found = ngram_result(ids, 2400, vocabulary_size=8)
    targets = NextTokens(train=ids[1:2401], held_out=ids[2401:], vocabulary_size=8)
    unigram = unigram_result(targets)
    assert found.held_out_accuracy > 0.7 > unigram.held_out_accuracy
    assert found.held_out_perplexity < 0.5 * unigram.held_out_perplexity
    assert found.train_perplexity < found.held_out_perplexity

    def perplexity(first: int, last: int) -> float:
        model = KneserNey(ids[:2401].tolist(), vocabulary_size=8)
        histories = (ids[:t].tolist() for t in range(first, last))
        logs = [
            model.distribution(before)[ids[t]].log().item()
            for before, t in zip(histories, range(first, last), strict=True)
        ]
        return math.exp(-sum(logs) / len(logs))

    assert found.held_out_perplexity == pytest.approx(perplexity(2401, 3000), rel=1e-5)


def test_a_text_without_surprises_is_known_by_heart() -> None:
    cycle: Tensor = torch.arange(5).repeat(60)
    found = ngram_result(cycle, 240, vocabulary_size=5)
    assert found.held_out_accuracy == 1.0
    assert found.train_accuracy == 239 / 240  # the first token has but one before it
    assert found.held_out_perplexity < 1.02
