"""A network that is handed on, of a trial or a single run, with all that its model card shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cvfp_opt.store.record.records import TrialRecord


@dataclass(frozen=True, kw_only=True)
class PublishedTrial:
    """A trial whose network is handed on, with all that its model card shows.

    Attributes:
        study: name; "" of a run without a study.
        trial: with the figures of the weights that are handed on.
        recorded_score: of the trial in the study's database.
        searched: the definition with the ranges that were searched.
        definition: that the network was trained by; searches nothing.
        notices: what to know before believing a figure, a sentence each.
        identity: see store.record.identity; a run without a study has seed and number.
        sources: what text ("data") and embeddings ("embedding") came from.
        data_digest: SHA-256 of the tokens.
        num_parameters: of the network.
        folder: name of the checkpoint's.
        difference: why the weights are not the trial's own; "" if they are, to the bit.
        trials: of the study, per state.
    """

    study: str
    trial: TrialRecord
    recorded_score: float | None
    searched: Mapping[str, Any]
    definition: dict[str, Any]
    notices: tuple[str, ...] = ()
    identity: dict[str, Any]
    sources: dict[str, dict[str, str]]
    data_digest: str
    num_parameters: int
    folder: str
    difference: str = ""
    trials: Mapping[str, int] = field(default_factory=dict)
