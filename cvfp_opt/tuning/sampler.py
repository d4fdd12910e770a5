"""Proposing points, so that a stopped and resumed study proposes the same ones."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.store.database.optuna_private import contains
from cvfp_opt.store.record.records import FIXED_PARAMS
from cvfp_opt.training.seeds import Purpose, derive_seed
from cvfp_opt.tuning.limited_history import LimitedHistory

# System attribute of a trial that Optuna's callback for dead workers enqueued again.
_RETRIED = "failed_trial"


@dataclass(frozen=True, kw_only=True)
class _Proposal:
    """The means by which one trial is proposed.

    Attributes:
        sampler: its own.
        history: what the sampler sees of the study.
        point: parameters that are given, whatever the sampler would propose.
    """

    sampler: BaseSampler
    history: LimitedHistory
    point: Mapping[str, Any]


class PerTrialSampler(BaseSampler):
    """A fresh inner sampler for each trial, seeded from (study seed, trial number).

    Optuna does not store a sampler's state: with one seed for the study, a resumed search
    repeats its start-up points and two workers propose the same. This way the proposal for
    trial n depends on the study's record alone.

    The first trials take the first points in turn. Whose turn it is follows from the record, too:
    trials that somebody enqueued with a point of their own, or enqueued again, take none away.

    Args:
        make: makes a sampler from a seed.
        study_seed: of the study.
        max_trials, alike: what it sees of the study, see LimitedHistory.
        first_points: parameters that the first trials take, by name; others are proposed.
    """

    def __init__(
        self,
        make: Callable[[int], BaseSampler],
        study_seed: int,
        *,
        max_trials: int | None = None,
        alike: bool = False,
        first_points: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._make = make
        self._study_seed = study_seed
        self._max_trials = max_trials
        self._alike = alike
        self._first_points = first_points
        # by trial: several may run in one process
        self._proposals: dict[int, _Proposal] = {}

    def _proposal(self, study: optuna.Study, trial: FrozenTrial) -> _Proposal:
        if trial.number not in self._proposals:
            seed = derive_seed(self._study_seed, trial.number, Purpose.PROPOSAL) % 2**32
            history = LimitedHistory(self._max_trials, alike=self._alike)
            self._proposals[trial.number] = _Proposal(
                sampler=self._make(seed), history=history, point=self._point(study, trial, history)
            )
        return self._proposals[trial.number]

    def _point(
        self, study: optuna.Study, trial: FrozenTrial, history: LimitedHistory
    ) -> Mapping[str, Any]:
        """Give the first point whose turn it is; empty if the sampler proposes all."""
        if not self._first_points or _is_enqueued(trial):
            return {}
        before = (one for one in history.trials(study)[: trial.number] if not _is_enqueued(one))
        # no more of them are looked at than decide it: a study may have thousands
        turn = sum(1 for _ in itertools.islice(before, len(self._first_points)))
        return self._first_points[turn] if turn < len(self._first_points) else {}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        proposal = self._proposal(study, trial)
        return proposal.sampler.infer_relative_search_space(proposal.history.kinds(study), trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        proposal = self._proposal(study, trial)
        seen = proposal.history.view(study)
        # asked in any case: it may note down with the trial to which generation it belongs
        proposed = proposal.sampler.sample_relative(seen, trial, search_space)
        return {name: value for name, value in proposed.items() if name not in proposal.point}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        proposal = self._proposal(study, trial)
        given = proposal.point.get(param_name)
        if given is not None and contains(param_distribution, given):
            return given
        seen = proposal.history.view(study)
        return proposal.sampler.sample_independent(seen, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._proposals.pop(trial.number, None)  # the same number may run again in this process
        self._proposal(study, trial).sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._proposal(study, trial).sampler.after_trial(study, trial, state, values)
        self._proposals.pop(trial.number, None)


def _is_enqueued(trial: FrozenTrial) -> bool:
    """Check whether somebody chose the trial's parameters, or some of them."""
    return bool(trial.system_attrs.get(FIXED_PARAMS)) or _RETRIED in trial.system_attrs
