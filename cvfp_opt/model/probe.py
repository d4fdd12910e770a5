"""A linear probe that predicts the next token from frozen features: what contexts are worth."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional as F

# Adam's learning rates that are tried, from FIRST_RATE on towards the better neighbour. On
# 100 000 tokens 0.003 is best for 128 features (validation perplexity 57; 65 at 0.001), and
# 0.01 for 64.
LEARNING_RATES = (0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03)
FIRST_RATE = 4
VALIDATION_SHARE = 0.2  # the last of the training text: it chooses the learning rate
MINIBATCH_SIZE = 256
# The rate falls linearly to zero: two or three epochs so reach a better validation perplexity (57)
# than the best epoch of six at a constant rate (59).
EPOCHS = 2
MIN_STEPS = 100  # more epochs where the text is short
SMOOTHING = 1.0  # added to each token's count in the unigram model


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """How well a probe predicts next tokens.

    Attributes:
        train_perplexity, held_out_perplexity: exp of the mean negative log-likelihood.
        train_accuracy, held_out_accuracy: share of tokens that are the likeliest, in [0, 1].
        epochs: epochs of training, the last may be cut off; 0 where nothing was trained.
        learning_rate: Adam's, before it falls; 0 where nothing was trained.
    """

    train_perplexity: float
    train_accuracy: float
    held_out_perplexity: float
    held_out_accuracy: float
    epochs: int = 0
    learning_rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class NextTokens:
    """The token that follows each position, in the training and in the held-out text.

    Attributes:
        train: (T,) ids.
        held_out: (V,) ids.
        vocabulary_size: ids lie below it.
    """

    train: Tensor
    held_out: Tensor
    vocabulary_size: int

    def unigram(self) -> Tensor:
        """Return (vocabulary,) log-probabilities from smoothed counts in the training text."""
        counts = torch.bincount(self.train, minlength=self.vocabulary_size).double()
        return ((counts + SMOOTHING) / (counts + SMOOTHING).sum()).log().float()


class LinearProbe:
    """The model ``log p(next = v) = log softmax(W f + log unigram)_v``, W zero at first.

    So it begins as the unigram model, and what it gains is due to the features. Tokens that never
    follow anything in the training text keep their unigram log-odds.
    """

    def __init__(self, targets: NextTokens, num_features: int) -> None:
        unigram = targets.unigram()
        classes = targets.train.unique()  # the only ones that can be learnt
        seen = torch.zeros(targets.vocabulary_size, dtype=torch.bool)
        seen[classes] = True
        # all other tokens together are one more class, whose weights stay zero
        rest = unigram[~seen].logsumexp(0)  # -inf if there are none
        self._index = torch.full((targets.vocabulary_size,), len(classes)).scatter(
            0, classes, torch.arange(len(classes))
        )
        self._offset = torch.cat([unigram[classes], rest.unsqueeze(0)])
        self._share_of_class = torch.where(seen, 0.0, unigram - rest)  # nats
        self._no_weights = torch.zeros(1, num_features)
        self.weight = torch.zeros(len(classes), num_features, requires_grad=True)

    def logits(self, features: Tensor) -> Tensor:
        """Return (B, classes + 1) from features (B, F)."""
        weights = torch.cat([self.weight, self._no_weights])
        return torch.addmm(self._offset, features, weights.T)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy of (B,) ids of the training text, in nats."""
        return F.cross_entropy(self.logits(features), self._index[targets])

    def log_likelihood(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-probability of each target, and whether it is the likeliest token.

        Args:
            features: (B, F).
            targets: (B,) ids.

        Returns:
            (B,) nats, with gradient; (B,) booleans.
        """
        logits, index = self.logits(features), self._index[targets]
        of_class = -F.cross_entropy(logits, index, reduction="none")
        # an unseen token is never the likeliest: some class has more than a count of zero
        return of_class + self._share_of_class[targets], logits[:, :-1].argmax(dim=1) == index


def fit_probe(
    train: Tensor,
    held_out: Tensor,
    targets: NextTokens,
    generator: torch.Generator,
    learning_rate: float | None = None,
    on_step: Callable[[], None] | None = None,
) -> ProbeResult:
    """Train a LinearProbe on features and measure it; see the constants above for the settings.

    Features are standardised by the mean and deviation of the training text, and divided by
    sqrt(F). Nothing is chosen by the held-out text.

    Args:
        train: (T, F) features of the training text, each predicting ``targets.train`` (T,).
        held_out: (V, F) likewise.
        targets: the tokens to predict.
        generator: source of the order of minibatches.
        learning_rate: Adam's for one feature of unit deviation; None to choose it, see
            ``choose_learning_rate``.
        on_step: called after each optimizer step of each probe; may raise to stop.

    Returns:
        Perplexities and accuracies; ``train`` is over the whole training text.
    """
    if learning_rate is None:
        learning_rate = choose_learning_rate(train, targets, generator, on_step)
    mean, deviation = _spread(train)
    train, held_out = (train - mean) / deviation, (held_out - mean) / deviation
    probe, epochs = _trained(train, targets, learning_rate, generator, on_step)
    return _measure(probe, train, held_out, targets, epochs, learning_rate)


def choose_learning_rate(
    train: Tensor,
    targets: NextTokens,
    generator: torch.Generator,
    on_step: Callable[[], None] | None = None,
) -> float:
    """Choose one of LEARNING_RATES by the loss on the last VALIDATION_SHARE of the training text.

    Probes are trained on the text before it, from FIRST_RATE on towards smaller or larger rates,
    for as long as that makes the loss smaller. Arguments as in ``fit_probe``.
    """
    fitted = round((1 - VALIDATION_SHARE) * train.shape[0])
    mean, deviation = _spread(train[:fitted])
    train = (train - mean) / deviation
    order = generator.get_state()

    @cache
    def loss(place: int) -> float:
        if not 0 <= place < len(LEARNING_RATES):
            return math.inf
        generator.set_state(order)  # the same for all rates
        probe, _ = _trained(train[:fitted], targets, LEARNING_RATES[place], generator, on_step)
        return -_mean_log_likelihood(probe, train[fitted:], targets.train[fitted:])[0]

    best = FIRST_RATE
    for towards in (-1, 1):
        while loss(best + towards) < loss(best):
            best += towards
    return LEARNING_RATES[best]


def unigram_result(targets: NextTokens) -> ProbeResult:
    """Measure the probe without features: token counts alone."""
    nothing = torch.zeros(len(targets.train), 1), torch.zeros(len(targets.held_out), 1)
    return _measure(LinearProbe(targets, 1), *nothing, targets, 0, 0.0)


def _spread(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return what standardises features (T, F): their mean, and deviation times sqrt(F)."""
    deviation = features.std(dim=0).clamp_min(1e-6)
    return features.mean(dim=0), deviation * math.sqrt(features.shape[1])


def _trained(
    features: Tensor,
    targets: NextTokens,
    learning_rate: float,
    generator: torch.Generator,
    on_step: Callable[[], None] | None,
) -> tuple[LinearProbe, int]:
    """Train a probe on features (N, F), which predict the first N tokens; count its epochs."""
    count, width = features.shape
    probe = LinearProbe(targets, width)
    optimizer = torch.optim.Adam([probe.weight], fused=True)
    per_epoch = math.ceil(count / MINIBATCH_SIZE)
    steps = max(EPOCHS * per_epoch, MIN_STEPS)
    for step, chosen in enumerate(islice(_minibatches(count, generator), steps)):
        optimizer.param_groups[0]["lr"] = learning_rate * math.sqrt(width) * (1 - step / steps)
        optimizer.zero_grad()
        probe.loss(features[chosen], targets.train[chosen]).backward()
        optimizer.step()
        if on_step is not None:
            on_step()
    return probe, math.ceil(steps / per_epoch)


def _minibatches(count: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield positions of minibatches, epoch after epoch, without end."""
    while True:
        yield from torch.randperm(count, generator=generator).split(MINIBATCH_SIZE)


def _measure(
    probe: LinearProbe,
    train: Tensor,
    held_out: Tensor,
    targets: NextTokens,
    epochs: int,
    learning_rate: float,
) -> ProbeResult:
    """Measure a probe on features (T, F) and (V, F)."""
    on_train = _mean_log_likelihood(probe, train, targets.train)
    on_held_out = _mean_log_likelihood(probe, held_out, targets.held_out)
    return ProbeResult(
        train_perplexity=math.exp(-on_train[0]),
        train_accuracy=on_train[1],
        held_out_perplexity=math.exp(-on_held_out[0]),
        held_out_accuracy=on_held_out[1],
        epochs=epochs,
        learning_rate=learning_rate,
    )


@torch.no_grad()
def _mean_log_likelihood(
    probe: LinearProbe, features: Tensor, targets: Tensor
) -> tuple[float, float]:
    """Compute mean log-likelihood and accuracy, in pieces that keep the memory small."""
    total, right = 0.0, 0
    for f, t in zip(features.split(1024), targets.split(1024), strict=True):
        likelihood, hit = probe.log_likelihood(f, t)
        total += likelihood.double().sum().item()
        right += int(hit.sum().item())
    return total / len(targets), right / len(targets)
