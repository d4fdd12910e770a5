"""The JSON of what works without a study, or trains a trial again; this imports torch."""

from typing import Annotated, Any, NotRequired, TypedDict

from cvfp_opt.rerun.replay import Quantity
from cvfp_opt.single.next_token_probe import ProbedFeatures
from cvfp_opt.single.reproduce import Reproduction
from cvfp_opt.store.record.trial_attributes import StoredAudit, StoredIteration, StoredProbe
from cvfp_opt.training.result import Status


class RateJson(TypedDict):
    """The convergence rate at one threshold.

    Attributes:
        threshold: on the mean square of what a context moved.
        absolute: share of tokens that moved less.
        scale_free: share of those that moved less than so many times the mean square of contexts.
    """

    threshold: float
    absolute: float
    scale_free: float


class ThresholdsJson(TypedDict):
    """How a convergence rate depends on its threshold.

    Attributes:
        of: the trial or the folder.
        rates: by threshold, between the last two passes of training.
        downstream: how well contexts predict the next token; only where that was asked for.
    """

    of: str
    rates: list[RateJson]
    downstream: NotRequired[list[Annotated[dict[str, Any], ProbedFeatures]]]


class TrainedJson(TypedDict):
    """One training run.

    Attributes:
        status: how it ended.
        reason: why, in one sentence.
        iterations: what was measured in each pass.
        audit: what the score does not say; null unless the run came to its end.
        optimizer_steps: steps taken.
        diversity_scale: factor on the diversity loss.
        weights_digest: SHA-256 over the final weights, hexadecimal.
        seconds: wall time by phase.
        downstream: the next-token probe of contexts beside the embedding; null unless
            `objective.downstream` asks for it.
        definition: that it was trained by, section by section.
    """

    status: Annotated[str, Status]
    reason: str
    iterations: list[StoredIteration]
    audit: StoredAudit | None
    optimizer_steps: int
    diversity_scale: float
    weights_digest: str
    seconds: dict[str, float]
    downstream: StoredProbe | None
    definition: dict[str, dict[str, Any]]


class ExperimentJson(TypedDict):
    """An experiment of the original report, run again.

    Attributes:
        title: one line.
        tokens: trained on.
        explanation: one sentence.
        variants: the report's words and our figures.
    """

    title: str
    tokens: int
    explanation: str
    variants: list[Annotated[dict[str, Any], Reproduction]]


class DeviationJson(TypedDict):
    """The size of a deviation.

    Attributes:
        absolute: of the difference; null where a value is no number.
        relative: as a share of the recorded value; null of 0, and where one is no number.
    """

    absolute: float | None
    relative: float | None


class ThenNowJson(TypedDict):
    """The differences between two machines, or versions of the code.

    Attributes:
        name: what differs.
        then: when the trial ran; null if it was not recorded.
        now: here; null for none.
    """

    name: str
    then: Any
    now: Any


class ReplayJson(TypedDict):
    """A trial run again from its record, and compared with it.

    Attributes:
        study_name: name of its study.
        trial: its number.
        identical: whether nothing differs.
        iterations: number of passes that were compared.
        compared: number of quantities that were compared.
        first_deviation: the first of the deviations, with its size; null for none.
        deviations: quantities that differ, in the order in which they arise.
        environment: what differs between the machines and the code of the two.
        unrecorded: what is known of now, and was not recorded then.
        seconds: wall time of the repetition.
        weights_digest: of the repetition; empty where the trial was broken off.
        note: what the comparison leaves out; empty for nothing.
    """

    study_name: str
    trial: int
    identical: bool
    iterations: int
    compared: int
    first_deviation: Annotated[dict[str, Any], Quantity, DeviationJson] | None
    deviations: list[Annotated[dict[str, Any], Quantity]]
    environment: list[ThenNowJson]
    unrecorded: list[str]
    seconds: float
    weights_digest: str
    note: str
