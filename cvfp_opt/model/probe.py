"""A linear probe that predicts the next token from frozen features: what contexts are worth."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# The settings are the same for all features, so that two probes can be compared. The learning rate
# was chosen by the held-out perplexity of token embeddings, and so flatters them a little.
LEARNING_RATE = 0.0001
MINIBATCH_SIZE = 256
MAX_EPOCHS = 60
PATIENCE = 3  # epochs without a better development loss, before the best one is taken
DEVELOPMENT_SHARE = 0.2  # the last of the training text: it chooses the epoch
SMOOTHING = 1.0  # added to each token's count in the unigram model


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """How well a probe predicts next tokens.

    Attributes:
        train_perplexity, held_out_perplexity: exp of the mean negative log-likelihood.
        train_accuracy, held_out_accuracy: share of tokens that are the likeliest, in [0, 1].
        epochs: epochs of training that gave the best development loss; 0 is the unigram model.
    """

    train_perplexity: float
    train_accuracy: float
    held_out_perplexity: float
    held_out_accuracy: float
    epochs: int = 0


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
        self._classes = targets.train.unique()  # the only ones that can be learnt
        self._index = torch.full((targets.vocabulary_size,), -1).scatter(
            0, self._classes, torch.arange(len(self._classes))
        )
        self._offset = unigram[self._classes]
        seen = torch.zeros(targets.vocabulary_size, dtype=torch.bool)
        seen[self._classes] = True
        self._unseen = unigram
        self._rest = unigram[~seen].logsumexp(0) if not bool(seen.all()) else None
        self.weight = torch.zeros(len(self._classes), num_features, requires_grad=True)

    def log_likelihood(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-probability of each target, and whether it is the likeliest token.

        Args:
            features: (B, F).
            targets: (B,) ids.

        Returns:
            (B,) nats, with gradient; (B,) booleans.
        """
        logits = features @ self.weight.T + self._offset  # (B, classes)
        total = logits.logsumexp(dim=1)
        if self._rest is not None:
            total = torch.logaddexp(total, self._rest)
        index = self._index[targets]
        chosen = logits.gather(1, index.clamp_min(0).unsqueeze(1)).squeeze(1)
        chosen = torch.where(index >= 0, chosen, self._unseen[targets])
        # an unseen token is never the likeliest: some class has more than a count of zero
        return chosen - total, logits.argmax(dim=1) == index


def fit_probe(
    train: Tensor, held_out: Tensor, targets: NextTokens, generator: torch.Generator
) -> ProbeResult:
    """Train a LinearProbe on features and measure it; see the constants above for the settings.

    Features are standardised by the mean and deviation of the training text, and divided by
    sqrt(F). Adam; the epoch with the best development loss is taken.

    Args:
        train: (T, F) features of the training text, each predicting ``targets.train`` (T,).
        held_out: (V, F) likewise.
        targets: the tokens to predict.
        generator: source of the order of minibatches.

    Returns:
        Perplexities and accuracies; ``train`` is over the whole training text.
    """
    mean, deviation = train.mean(dim=0), train.std(dim=0).clamp_min(1e-6)
    scale = deviation * math.sqrt(train.shape[1])
    train, held_out = (train - mean) / scale, (held_out - mean) / scale
    probe = LinearProbe(targets, train.shape[1])
    optimizer = torch.optim.Adam([probe.weight], lr=LEARNING_RATE * math.sqrt(train.shape[1]))
    fitted = round((1 - DEVELOPMENT_SHARE) * train.shape[0])
    best_loss, best_epoch, best_weight = math.inf, 0, probe.weight.detach().clone()
    for epoch in range(MAX_EPOCHS + 1):
        loss = -_mean_log_likelihood(probe, train[fitted:], targets.train[fitted:])[0]
        if loss < best_loss:
            best_loss, best_epoch, best_weight = loss, epoch, probe.weight.detach().clone()
        if epoch - best_epoch >= PATIENCE or epoch == MAX_EPOCHS:
            break
        for chosen in torch.randperm(fitted, generator=generator).split(MINIBATCH_SIZE):
            optimizer.zero_grad()
            likelihood, _ = probe.log_likelihood(train[chosen], targets.train[chosen])
            (-likelihood.mean()).backward()
            optimizer.step()
    with torch.no_grad():
        probe.weight.copy_(best_weight)
    return _measure(probe, train, held_out, targets, best_epoch)


def unigram_result(targets: NextTokens) -> ProbeResult:
    """Measure the probe without features: token counts alone."""
    nothing = torch.zeros(len(targets.train), 1), torch.zeros(len(targets.held_out), 1)
    return _measure(LinearProbe(targets, 1), *nothing, targets, 0)


def _measure(
    probe: LinearProbe, train: Tensor, held_out: Tensor, targets: NextTokens, epochs: int
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
