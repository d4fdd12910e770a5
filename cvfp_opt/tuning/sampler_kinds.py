"""The samplers that a definition may name."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)

from cvfp_opt.escaping import listed
from cvfp_opt.tuning.cmaes_sampler import CmaEsSampler
from cvfp_opt.tuning.exhaustive_samplers import BruteForceSampler, QmcSampler
from cvfp_opt.tuning.space import FloatRange, IntRange, SearchSpace

# Each proposal of "brute_force" puts them in order.
MOST_POINTS = 10_000


@dataclass(frozen=True, kw_only=True)
class SamplerRequest:
    """The arguments that a sampler for one proposal is made from.

    Attributes:
        seed: of the proposal.
        study_seed: of the study; the same for all its proposals.
        num_startup_trials: random points before the sampler begins.
        space: distributions of what is searched, by name.
    """

    seed: int
    study_seed: int
    num_startup_trials: int
    space: Mapping[str, BaseDistribution]


def tpe(request: SamplerRequest, **settings: Any) -> BaseSampler:
    """Make Optuna's tree-structured Parzen estimator; multivariate, as Optuna's default."""
    startup = request.num_startup_trials
    return TPESampler(seed=request.seed, n_startup_trials=startup, **settings)


def gp(request: SamplerRequest, **settings: Any) -> BaseSampler:
    """Make Optuna's Gaussian process: fewer trials for more time, seconds a proposal."""
    startup = request.num_startup_trials
    return GPSampler(seed=request.seed, n_startup_trials=startup, **settings)


def cmaes(request: SamplerRequest, **settings: Any) -> BaseSampler:
    """Make a CMA-ES, for one objective over two numbers at least."""
    return CmaEsSampler(request.seed, request.num_startup_trials, request.space, **settings)


def nsga2(request: SamplerRequest, **settings: Any) -> BaseSampler:
    """Make an NSGA-II, for several objectives; a generation has search.num_startup_trials."""
    population = max(2, request.num_startup_trials)
    return NSGAIISampler(seed=request.seed, population_size=population, **settings)


def nsga3(request: SamplerRequest, **settings: Any) -> BaseSampler:
    """Make an NSGA-III, which spreads over the front by reference points; see "nsga2"."""
    population = max(2, request.num_startup_trials)
    return NSGAIIISampler(seed=request.seed, population_size=population, **settings)


def qmc(request: SamplerRequest, **settings: Any) -> BaseSampler:
    """Make a quasi-random sequence, more even than random points; it learns nothing."""
    return QmcSampler(request.study_seed, request.space, **settings)


def random(request: SamplerRequest) -> BaseSampler:
    """Make a sampler of independent uniform points."""
    return RandomSampler(seed=request.seed)


def brute_force(request: SamplerRequest) -> BaseSampler:
    """Make a sampler of every point once, for spaces of whole numbers and words."""
    return BruteForceSampler(request.study_seed, request.space)


def _anything(space: SearchSpace, num_objectives: int) -> str:
    return ""


def _numbers(space: SearchSpace, num_objectives: int) -> str:
    numbers = [n for n, one in space.searched.items() if isinstance(one, FloatRange | IntRange)]
    words = [n for n in space.searched if n not in numbers]
    if num_objectives > 1:
        return 'one objective is required, got objective.kind = "pareto"; "nsga2" takes several'
    if words:
        return (
            f"numbers alone are required, and {listed(words)} has words to choose from; "
            '"tpe" takes both'
        )
    if len(numbers) < 2:
        return f"two searched numbers are required, got {len(numbers)}"
    return ""


def _countable(space: SearchSpace, num_objectives: int) -> str:
    ranges = [n for n, one in space.searched.items() if isinstance(one, FloatRange)]
    if ranges:
        return (
            f"whole numbers and words alone are required, and {listed(ranges)} may be any number "
            f'of a range; fix it with --set space.{ranges[0]}=VALUE, or take "qmc"'
        )
    count = math.prod(
        one.high - one.low + 1 if isinstance(one, IntRange) else len(one)
        for one in space.searched.values()
        if isinstance(one, IntRange | tuple)
    )
    return (
        "" if count <= MOST_POINTS else f"at most {MOST_POINTS} points are possible, got {count}"
    )


@dataclass(frozen=True, kw_only=True)
class SamplerKind:
    """A kind of sampler.

    Attributes:
        make: makes a fresh sampler, from a request and settings.
        takes: whose keyword arguments the settings are.
        owned: keys of the definition that some of these are given by.
        limited: whether the trials that it looks at can be limited, see LimitedHistory.
        alike: whether these need as many constraints each, see LimitedHistory.
        package: that it needs from the extra "samplers"; "" for none.
        tried: whether making one shows what is wrong with a setting, and takes no time.
        refuses: (space, number of objectives) -> why it cannot search that; "" if it can.
    """

    make: Callable[..., BaseSampler]
    takes: Callable[..., object]
    owned: Mapping[str, str]
    limited: bool = False
    alike: bool = False
    package: str = ""
    tried: bool = True
    refuses: Callable[[SearchSpace, int], str] = _anything


_SEED = {"seed": "search.seed"}
_FIXED = {"study_seed": "search.seed"}
_STARTUP = _SEED | {"n_startup_trials": "search.num_startup_trials"}
_GENERATIONS = _SEED | {"population_size": "search.num_startup_trials"}
SAMPLERS: Mapping[str, SamplerKind] = {
    "tpe": SamplerKind(make=tpe, takes=TPESampler, owned=_STARTUP, limited=True),
    # its constructor imports torch
    "gp": SamplerKind(
        make=gp,
        takes=GPSampler,
        owned=_STARTUP,
        limited=True,
        alike=True,
        package="scipy",
        tried=False,
    ),
    "cmaes": SamplerKind(
        make=cmaes,
        takes=CmaEsSampler,
        owned=_STARTUP | {"num_startup_trials": "search.num_startup_trials"},
        package="cmaes",
        refuses=_numbers,
    ),
    "nsga2": SamplerKind(make=nsga2, takes=NSGAIISampler, owned=_GENERATIONS),
    "nsga3": SamplerKind(make=nsga3, takes=NSGAIIISampler, owned=_GENERATIONS),
    "qmc": SamplerKind(make=qmc, takes=QmcSampler, owned=_FIXED, package="scipy"),
    "random": SamplerKind(make=random, takes=RandomSampler, owned=_SEED),
    "brute_force": SamplerKind(
        make=brute_force, takes=BruteForceSampler, owned=_FIXED, refuses=_countable
    ),
}
# Samplers of Optuna's that are none of a definition, with the reason.
NOT_SAMPLERS: Mapping[str, str] = {
    "grid": 'numbers of a range have no grid; "brute_force" tries every point of whole numbers '
    'and words, "qmc" spreads over ranges',
}
