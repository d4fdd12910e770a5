"""The use of contexts downstream: the next-token probe on a trained network's contexts."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from cvfp_opt.errors import CheckpointError
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import ContextOverflow, sequential_pass, zero_context
from cvfp_opt.model.probe import NextTokens, ProbeResult, fit_probe, unigram_result
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


def probe_network(
    network: ContextNetwork, definition: StudyDefinition, notify: Callable[[str], None]
) -> list[ProbedFeatures]:
    """Probe unigrams, token embeddings, the untrained network's contexts and the network's own.

    Contexts are those of a second read with frozen weights, as in the audit.

    Args:
        network: trained by ``definition``.
        definition: searches nothing.
        notify: given a line on each step.

    Raises:
        CvfpOptError: the text does not do; contexts explode.
    """
    tokens = definition.load_tokens()
    run = Objective(definition=definition, tokens=tokens, device=torch.device("cpu")).prepare(
        {}, 0
    )
    ids = torch.cat([tokens.train, tokens.held_out])
    count = len(tokens.train)
    targets = NextTokens(
        train=ids[1 : count + 1],
        held_out=ids[count + 1 :],  # the last token of all has none after it
        vocabulary_size=tokens.vocabulary_size,
    )

    def contexts(net: ContextNetwork) -> tuple[Tensor, Tensor]:
        first = sequential_pass(net, run.train, zero_context(net))
        train = sequential_pass(net, run.train, first[-1])
        return train, sequential_pass(net, run.held_out, train[-1])

    kinds: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "token embedding": lambda: (run.train, run.held_out),
        "untrained contexts": lambda: contexts(run.network),
        "contexts": lambda: contexts(network),
    }
    rows = [ProbedFeatures(features="unigram", probes=(unigram_result(targets),))]
    for name, read in kinds.items():
        notify(f"probing: {name}")
        try:
            train, held_out = read()
        except ContextOverflow as error:
            raise CheckpointError(f"{name} cannot be probed: {error}") from None
        probes = tuple(
            fit_probe(
                train,
                held_out[:-1],
                targets,
                torch_generator(definition.search.seed, number, Purpose.PROBE),
            )
            for number in range(NUM_SEEDS)
        )
        rows.append(ProbedFeatures(features=name, probes=probes))
    return rows
