"""An n-gram model of tokens, interpolated Kneser-Ney: what counting alone predicts."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cvfp_opt.model.probe import ProbeResult

ORDER = 3  # tokens of an n-gram: the next one and two before it

_Counts = dict[tuple[int, ...], Counter[int]]


class KneserNey:
    """An interpolated Kneser-Ney model, with one discount for each length of n-grams.

    With h a history of n - 1 tokens, h' the same without its first token, c the counts of n-grams
    (of the longest: how often they occur; of shorter ones: after how many different tokens), d the
    discount of that length, and N(h) the number of different tokens that follow h::

        p(v | h) = max(c(h v) - d, 0) / c(h) + d N(h) / c(h) * p(v | h')

    and ``p(v | h) = p(v | h')`` where h never occurred. Below the shortest history is the uniform
    distribution. ``d = n1 / (n1 + 2 n2)``, where n1 and n2 n-grams were counted once and twice.

    Source: Kneser and Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995;
    interpolated as in Chen and Goodman, Computer Speech and Language 13 (1999).
    """

    def __init__(self, ids: Sequence[int], vocabulary_size: int, order: int = ORDER) -> None:
        """Count the n-grams of a text.

        Args:
            ids: the text's tokens.
            vocabulary_size: ids lie below it.
            order: tokens of the longest n-grams, at least 1.
        """
        self._uniform = torch.full((vocabulary_size,), 1 / vocabulary_size)
        self._order = order
        grams = Counter(zip(*(ids[first:] for first in range(order)), strict=False))
        self._levels: list[tuple[_Counts, float]] = []  # of histories of 0, 1, 2 ... tokens
        for _ in range(order):
            self._levels.insert(0, (_by_history(grams), _discount(grams)))
            grams = Counter(gram[1:] for gram in grams)  # each different token before it counts
        self._known: dict[tuple[int, ...], Tensor] = {}

    def distribution(self, history: Sequence[int]) -> Tensor:
        """Return the (vocabulary,) probabilities of the next token after a history.

        Args:
            history: ids; only the last ``order - 1`` matter, fewer will do.
        """
        kept = tuple(history[max(0, len(history) - self._order + 1) :])
        found = self._known.get(kept)
        if found is None:
            found = self._interpolated(kept)
            if len(kept) < self._order - 1:  # those of the longest are too many to keep
                self._known[kept] = found
        return found

    def _interpolated(self, history: tuple[int, ...]) -> Tensor:
        shorter = self.distribution(history[1:]) if history else self._uniform
        counts, discount = self._levels[len(history)]
        following = counts.get(history)
        if following is None:
            return shorter
        found = torch.tensor(list(following.values()), dtype=torch.float32)
        total = found.sum()
        mixed = shorter * (discount * len(found) / total)
        mixed[torch.tensor(list(following))] += (found - discount) / total
        return mixed


def ngram_result(
    ids: Tensor, num_train: int, vocabulary_size: int, order: int = ORDER
) -> ProbeResult:
    """Count the training text, and measure what that predicts there and in the text after it.

    Args:
        ids: (T + V,) tokens. Of the training text, tokens 1 ... T are predicted, as by a probe
            of features of tokens 0 ... T - 1; counts are of the same tokens.
        num_train: T.
        vocabulary_size: ids lie below it.
        order: see ``KneserNey``.
    """
    text: list[int] = ids.tolist()
    model = KneserNey(text[: num_train + 1], vocabulary_size, order)
    train = _measure(model, text, range(1, num_train + 1), order)
    held_out = _measure(model, text, range(num_train + 1, len(text)), order)
    return ProbeResult(
        train_perplexity=math.exp(-train[0]),
        train_accuracy=train[1],
        held_out_perplexity=math.exp(-held_out[0]),
        held_out_accuracy=held_out[1],
    )


def _measure(
    model: KneserNey, text: list[int], positions: range, order: int
) -> tuple[float, float]:
    """Compute mean log-likelihood and accuracy of the tokens at positions."""
    total, right = 0.0, 0
    for place in positions:
        probabilities = model.distribution(text[max(0, place - order + 1) : place])
        total += math.log(probabilities[text[place]].item())
        right += int(probabilities.argmax().item() == text[place])
    return total / len(positions), right / len(positions)


def _by_history(grams: Mapping[tuple[int, ...], int]) -> _Counts:
    """Sort counts of n-grams by what comes before the last token."""
    counts: _Counts = defaultdict(Counter)
    for gram, count in grams.items():
        counts[gram[:-1]][gram[-1]] = count
    return dict(counts)


def _discount(grams: Mapping[tuple[int, ...], int]) -> float:
    """Return ``n1 / (n1 + 2 n2)``; 1/2 where no n-gram was counted once or twice."""
    once, twice = (sum(count == times for count in grams.values()) for times in (1, 2))
    return once / (once + 2 * twice) if once else 0.5
