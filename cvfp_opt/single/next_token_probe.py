"""The use of contexts downstream: the next-token probe on a trained network's contexts."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from cvfp_opt.errors import CheckpointError
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.ngram import ngram_result
from cvfp_opt.model.passes import ContextOverflow
from cvfp_opt.model.probe import ProbeResult, choose_learning_rate, unigram_result
from cvfp_opt.training.downstream import (
    beside_embedding,
    next_tokens,
    probe_features,
    read_contexts,
)
from cvfp_opt.training.seeds import Purpose, torch_generator
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.objective import Objective

NUM_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class ProbedFeatures:
    """One kind of features, and its probes.

    Attributes:
        features: what predicts.
        probes: one per seed (of the order of minibatches); one alone where nothing is random.
    """

    features: str
    probes: tuple[ProbeResult, ...]

    def to_dict(self) -> dict[str, object]:
        """Give it as plain JSON values."""
        return asdict(self)


def with_text(
    definition: StudyDefinition, path: str | None, num_tokens: int | None
) -> StudyDefinition:
    """Put another text, or another amount of it, into a definition.

    Args:
        definition: of a network.
        path: of the text, as ``data.path`` takes it; None for the definition's own text.
        num_tokens: training tokens, the held-out ones follow; None for as many as there are now.

    Raises:
        DefinitionError: no text of that length is possible.
    """
    data = definition.data
    if path is not None:
        data = replace(data, source="text", path=path, revision="", first_token=0)
    if num_tokens is not None:
        data = replace(data, train_tokens=num_tokens)
    minibatch_size = min(definition.training.minibatch_size, data.train_tokens)
    training = replace(definition.training, minibatch_size=minibatch_size)
    return replace(definition, data=data, training=training)


def probe_network(
    network: ContextNetwork,
    definition: StudyDefinition,
    notify: Callable[[str], None],
    *,
    seed: int | None = None,
    number: int = 0,
) -> list[ProbedFeatures]:
    """Probe embeddings, the untrained network's contexts, the network's own, and both together.

    Beside them stand what counting predicts: unigrams, and an n-gram model. The text is read once,
    with frozen weights, from the zero context to the end of the held-out text.

    Args:
        network: trained by ``definition``.
        definition: searches nothing; its text is the one to probe on.
        notify: given a line on each step.
        seed, number: of the network's identity (store.record.identity), by which its embeddings
            and the untrained network are drawn; None for the definition's seed.

    Raises:
        CvfpOptError: the text does not do; contexts explode.
    """
    tokens = definition.load_tokens()
    objective = Objective(definition=definition, tokens=tokens, device=torch.device("cpu"))
    run = objective.prepare({}, number, seed=seed)
    ids, count = torch.cat([tokens.train, tokens.held_out]), len(tokens.train)
    embeddings = torch.cat([run.train, run.held_out])  # (T + V, E)
    targets = next_tokens(tokens)

    def probed(features: str, values: Tensor) -> ProbedFeatures:
        notify(f"probing: {features}")
        generators = [
            torch_generator(definition.search.seed, order, Purpose.PROBE)
            for order in range(NUM_SEEDS)
        ]
        # one rate for all orders: what they spread by is the order
        rate = choose_learning_rate(values[:count], targets, generators[0])
        probes = tuple(probe_features(values, targets, one, rate) for one in generators)
        return ProbedFeatures(features=features, probes=probes)

    notify("counting")
    ngrams = ngram_result(ids, count, tokens.vocabulary_size)
    rows = [
        ProbedFeatures(features="unigram", probes=(unigram_result(targets),)),
        ProbedFeatures(features="trigram", probes=(ngrams,)),
        probed("token embedding", embeddings),
    ]
    for name, net in (("untrained contexts", run.network), ("contexts", network)):
        notify(f"reading: {name}")
        try:
            contexts = read_contexts(net, embeddings)  # (T + V, D)
        except ContextOverflow as error:
            raise CheckpointError(f"{name} cannot be probed: {error}") from None
        rows.append(probed(name, contexts))
        both = beside_embedding(contexts, embeddings)
        rows.append(probed(f"{name} beside embedding", both))
    return rows
