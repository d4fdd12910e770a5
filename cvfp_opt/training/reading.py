"""Reading the text once with frozen weights: exactly, or well enough to train on."""

from dataclasses import dataclass

from torch import Tensor

from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import Lane, zero_context
from cvfp_opt.model.segments import exact_passes, own_chains, sampled_passes, segment_pass
from cvfp_opt.training.events import Observer, Progress
from cvfp_opt.training.run import TrainingRun


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The contexts of one iteration.

    Attributes:
        train: (T, D).
        validation: (V, D); the tail of ``train``, or a text read on its own.
        train_start, validation_start: (D,) what the two began with.
        exact: whether they are those of the pass, or of ``segment_pass`` or ``sampled_passes``.
    """

    train: Tensor
    validation: Tensor
    train_start: Tensor
    validation_start: Tensor
    exact: bool = True


def read(
    run: TrainingRun,
    previous: Reading | None,
    observe: Observer,
    at: Progress,
    *,
    exact: bool = True,
    untrained: bool = False,
    network: ContextNetwork | None = None,
    starts: tuple[Tensor, Tensor] | None = None,
) -> Reading:
    """Read the text once with frozen weights, starting from the last contexts read before.

    Args:
        previous: the reading before; needed unless ``exact``.
        at: where in the run this is; its ``done`` and ``total`` are filled in.
        exact: False for contexts that are only trained on.
        untrained: True for a network that is not expected to contract: it may be sampled.
        network: the network that reads; None for the run's.
        starts: (D,) contexts to start training and validation text from, if not from there.

    Raises:
        ContextOverflow: contexts exploded.
    """
    network = network or run.network
    if starts is None:
        zero = zero_context(network)
        starts = (
            (zero, zero) if previous is None else (previous.train[-1], previous.validation[-1])
        )
    lanes = [Lane(run.train, starts[0])]
    if run.num_validation == 0:
        lanes.append(Lane(run.held_out, starts[1]))
    near = [] if previous is None else [previous.train, previous.validation][: len(lanes)]
    total = sum(len(lane.embeddings) for lane in lanes)

    def progress(done: int) -> None:
        observe(Progress(iteration=at.iteration, phase=at.phase, done=done, total=total))

    measuring, chains = run.training.measuring_pass, run.compute.chains
    if untrained and measuring == "sampled":
        found, exact = sampled_passes(network, lanes, on_tokens=progress, chains=chains)
    elif exact:
        repair = measuring != "sequential" and not untrained and previous is not None
        found = exact_passes(
            network, lanes, near, repair=repair, on_tokens=progress, chains=chains
        )
    else:
        precision = run.training.precision
        found = [
            segment_pass(
                network, lane.embeddings, lane.start, contexts, precision, chains or own_chains
            )
            for lane, contexts in zip(lanes, near, strict=True)
        ]
        progress(total)
    return Reading(
        train=found[0],
        validation=found[1] if run.num_validation == 0 else found[0][-run.num_validation :],
        train_start=starts[0],
        validation_start=starts[1],
        exact=exact,
    )
