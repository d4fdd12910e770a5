"""Trials of different studies that are the same."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna.distributions import json_to_distribution

from cvfp_opt.store.record.identity import TrialIdentity
from cvfp_opt.store.transfer.dump import StudyDump, TrialDump

# Attributes in which two runs of one trial may differ although they came to the same.
_OF_THE_RUN = ("seconds", "environment")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A trial of one of the studies to merge.

    Attributes:
        source: place of its study among them.
        trial: itself.
        identity: its identity; None for one that has never run.
        draws: seed and number, from which all follows that is random in it.
    """

    source: int
    trial: TrialDump
    identity: TrialIdentity | None
    draws: tuple[int, int]

    @property
    def finished(self) -> bool:
        """Check whether the trial has ended."""
        return self.trial.state.is_finished()

    @cached_property
    def point(self) -> dict[str, Any]:
        """The parameters that are known."""
        suggested = {
            param.name: json_to_distribution(param.distribution).to_external_repr(param.value)
            for param in self.trial.params
        }
        return {**(self.trial.system_attr("fixed_params") or {}), **suggested}

    @cached_property
    def weights_digest(self) -> str | None:
        """SHA-256 of the trained weights; None if there are none."""
        return (self.trial.user_attr("environment") or {}).get("weights_digest")

    def has_content_of(self, other: "Candidate") -> bool:
        """Check whether both came to the same, whenever and wherever they ran."""
        return self._content() == other._content()

    def _content(self) -> tuple[Any, ...]:
        trial = self.trial
        kept = {key: text for key, text in trial.user_attrs.items() if key not in _OF_THE_RUN}
        values = repr((trial.values, trial.intermediate))  # as text: a NaN is not equal to itself
        return trial.state, values, json.dumps(self.point), kept, self.weights_digest

    def is_twin_of(self, other: "Candidate") -> bool:
        """Check whether both are one trial with two identities: same draws, same parameters.

        Where one of them has not ended, what is known of its parameters has to agree: to run it
        would repeat the other.
        """
        if self.draws != other.draws:
            return False
        if self.finished and other.finished:
            return self._outcome() == other._outcome()
        return _agree(self.point, other.point)

    def _outcome(self) -> tuple[Any, ...]:
        trial = self.trial
        metrics = trial.user_attrs.get("metrics")
        values = repr(trial.values)
        return trial.state, values, json.dumps(self.point), metrics, self.weights_digest


def _agree(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def candidates(study: StudyDump, source: int) -> Iterator[Candidate]:
    """List the trials of a study of this program, by number."""
    assert study.record is not None, study.name
    for trial in study.trials:
        identity = study.identity(trial)
        draws = (identity.seed, identity.number) if identity else (study.record.seed, trial.number)
        yield Candidate(source=source, trial=trial, identity=identity, draws=draws)
