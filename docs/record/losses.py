"""Diversity losses from the literature that were measured and not kept.

See docs/experiments.md for the figures. In this folder they still run, as any loss of one's own:

    cvfp-opt train standard --set diversity.loss=losses:spectral_entropy
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def variance_covariance(contexts: Tensor, running_mean: Tensor | None) -> Tensor:
    """Return ``mean_d max(0, 1 - std_d) + sum_{d != e} Cov_de^2 / (25 D)``, over the minibatch.

    VICReg's variance and covariance terms in its ratio of 25 to 1. Source: Bardes, Ponce & LeCun,
    "VICReg", ICLR 2022. Zero for a single context.
    """
    batch, width = contexts.shape
    if batch < 2:
        return contexts.new_zeros(()) * contexts.sum()
    centred = contexts - contexts.mean(dim=0)
    deviations = (centred.square().sum(dim=0) / (batch - 1) + 1e-4).sqrt()  # (D,)
    covariance = centred.T @ centred / (batch - 1)  # (D, D)
    off_diagonal = covariance.square().sum() - covariance.diagonal().square().sum()
    return F.relu(1.0 - deviations).mean() + off_diagonal / (25 * width)


def spectral_entropy(contexts: Tensor, running_mean: Tensor | None) -> Tensor:
    """Return ``-H(s / sum s) / log min(B, D)``, s the singular values of the minibatch.

    Minus the logarithm of the effective rank (Roy & Vetterli, EUSIPCO 2007) of the minibatch, not
    centred; -1 at the most that a minibatch can have. Zero for a single context.
    """
    if contexts.shape[0] < 2:
        return contexts.new_zeros(()) * contexts.sum()
    values = torch.linalg.svdvals(contexts)  # (min(B, D),)
    p = values / values.sum()
    entropy = -torch.special.xlogy(p, p + torch.finfo(p.dtype).tiny).sum()
    return -entropy / math.log(len(values))
