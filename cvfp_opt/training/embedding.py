"""Token embeddings: frozen, layer-normalised once."""

import torch
from torch import Tensor
from torch.nn import functional as F

EMBEDDING_STD = 0.02


def random_embeddings(
    vocabulary_size: int, embedding_size: int, generator: torch.Generator
) -> Tensor:
    """A (vocabulary, E) table drawn from N(0, 0.02^2), each row then layer-normalised."""
    table = torch.empty(vocabulary_size, embedding_size)
    table.normal_(0.0, EMBEDDING_STD, generator=generator)
    return F.layer_norm(table, (embedding_size,))
