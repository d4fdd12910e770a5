"""A network and the run that trained it, as they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cvfp_opt.report.judgement import judge_trial
from cvfp_opt.report.words import number
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import untrained_score


@dataclass(frozen=True, kw_only=True)
class NetworkRecord:
    """A network without its weights.

    Attributes:
        trial: the run that trained it, or the trial that it is of.
        definition: that it was trained by, section by section.
        origin: study and trial that it is of, in words; "" if none.
        num_parameters: of the network.
        num_tokens: that it has embeddings of.
        revision: of its repository on the hub; "" of a folder.
    """

    trial: TrialRecord
    definition: Mapping[str, Mapping[str, Any]]
    origin: str
    num_parameters: int
    num_tokens: int
    revision: str = ""

    @property
    def title(self) -> str:
        """What it is."""
        return f"Network of {self.origin}" if self.origin else "Network"

    @property
    def sizes(self) -> str:
        """Its sizes, in words."""
        model = self.definition["model"]
        layers = model["num_layers"]
        return (
            f"contexts of D = {model['context_size']}, embeddings of E = "
            f"{model['embedding_size']} for {self.num_tokens} tokens, "
            f"{layers} layer{'s' if layers != 1 else ''}, {self.num_parameters} parameters"
            + (f"; revision {self.revision}" if self.revision else "")
        )

    @property
    def score(self) -> str:
        """Its score beside the untrained net's, in words; "" if it has none."""
        if self.trial.value is None:
            return ""
        return (
            f"score {number(self.trial.value)} (untrained {number(untrained_score(self.trial))})"
        )

    @property
    def judgement(self) -> str:
        """The judgement of its audit, a sentence."""
        definition = dict(self.definition) if self.trial.audit else {}
        return judge_trial(self.trial, definition, subject="It")
