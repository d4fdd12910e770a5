"""Searches side by side: ours, other samplers and pruners, and Optuna's own as they come."""

import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmarks.timing import Result, Variant
from cvfp_opt import Plan, Workers, define
from cvfp_opt import search as search_study
from cvfp_opt.store.database.constraints import is_feasible
from cvfp_opt.tuning.stock_objective import StockObjective

TRIALS, TOKENS, WIDTH = 30, 1600, 128

# What is changed in `recommended`. All but the first begin with random points.
_NO_POINT: dict[str, Any] = {"search.first_points": []}
OURS: Mapping[str, dict[str, Any]] = {
    "recommended": {},
    "tpe, asha": _NO_POINT,
    **{
        f"{sampler}, asha": _NO_POINT | {"search.sampler": sampler}
        for sampler in ("gp", "cmaes", "qmc", "random")
    },
    "tpe, none": _NO_POINT | {"search.pruner": "none"},
    "random, none": _NO_POINT | {"search.sampler": "random", "search.pruner": "none"},
}
STOCK: Mapping[str, Callable[[int], tuple[Any, Any]]] = {
    "Optuna's TPE and median": lambda seed: (
        optuna.samplers.TPESampler(seed=seed),
        optuna.pruners.MedianPruner(),
    ),
    "Optuna's GP and hyperband": lambda seed: (
        optuna.samplers.GPSampler(seed=seed),
        optuna.pruners.HyperbandPruner(),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Search:
    """What came of one search.

    Attributes:
        seconds: from its first trial's beginning to its last one's end.
        bests: seconds from its beginning, and the best score so far that no audit speaks against;
            an entry for each time that it rose.
    """

    seconds: float
    bests: list[tuple[float, float]]

    def after(self, seconds: float) -> float | None:
        """Return the best score so far; None where there was none."""
        return max((score for when, score in self.bests if when <= seconds), default=None)


def searches(
    repeats: int, *, trials: int = TRIALS, tokens: int = TOKENS, width: int = WIDTH
) -> Result:
    """Run each search with study seeds 1 to ``repeats``, in turn, one process and thread each.

    Args:
        trials: of each search.
        tokens: of the training text.
        width: D and E.
    """
    plan = define("recommended").set(
        {
            "data.train_tokens": tokens,
            "model.context_size": width,
            "model.embedding_size": width,
            "training.minibatch_size": min(64, tokens),
        }
    )
    ways: dict[str, Callable[[int], Search]] = {
        name: lambda seed, changed=changed: _ours(plan.set(changed), trials, seed)
        for name, changed in OURS.items()
    } | {
        name: lambda seed, make=make: _stock(plan, make, trials, seed)
        for name, make in STOCK.items()
    }
    found: dict[str, list[Search]] = {name: [] for name in ways}
    for seed in range(1, repeats + 1):
        for name, run in ways.items():
            found[name].append(run(seed))
    firsts = next(iter(found.values()))
    return Result(
        row="searches",
        title=f"searches of {trials} trials: {tokens} tokens, width {width}, seeds 1 to {repeats}",
        unit="",
        variants=[
            Variant(
                name=name,
                seconds=[one.seconds for one in runs],
                ratios=[a.seconds / b.seconds for a, b in zip(firsts, runs, strict=True)],
            )
            for name, runs in found.items()
        ],
        notes=(
            "best score that no audit speaks against, mean over seeds (lowest); one thread each:",
            *(_note(name, runs, firsts) for name, runs in found.items()),
        ),
    )


def _note(name: str, runs: list[Search], firsts: list[Search]) -> str:
    """Say what a search had found: in half of the first one's time, in all of it, in its own."""
    limits = {
        "half of the first's time": [one.seconds / 2 for one in firsts],
        "all of it": [one.seconds for one in firsts],
        "its own end": [one.seconds for one in runs],
    }
    parts = [
        f"{_mean([one.after(limit) for one, limit in zip(runs, at, strict=True)])} after {words}"
        for words, at in limits.items()
    ]
    return f"{name}: {', '.join(parts)}"


def _mean(scores: list[float | None]) -> str:
    """Write mean and lowest; how many seeds had one, where some had none."""
    had = [score for score in scores if score is not None]
    if not had:
        return "none"
    few = "" if len(had) == len(scores) else f", {len(had)} of {len(scores)} seeds"
    return f"{statistics.mean(had):.3f} ({min(had):.3f}{few})"


def _ours(plan: Plan, trials: int, seed: int) -> Search:
    """Run a search as a user types it, with one worker."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder) / "study.db"
        study = search_study(
            plan.set({"search.seed": seed}),
            n_trials=trials,
            storage=storage,
            workers=Workers(n_jobs=1, threads=1),
            progress=False,
        )
        stored = optuna.load_study(study_name=study.name, storage=f"sqlite:///{storage}")
        return _search(stored.trials)


def _stock(plan: Plan, make: Callable[[int], tuple[Any, Any]], trials: int, seed: int) -> Search:
    """Search by stock Optuna, with its own sampler and pruner, on the same objective."""
    definition = plan.set({"search.seed": seed}).definition
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        sampler, pruner = make(seed)
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        study.optimize(StockObjective(definition=definition, threads=1), n_trials=trials)
    finally:
        optuna.logging.set_verbosity(before)
    return _search(study.trials)


def _search(trials: list[FrozenTrial]) -> Search:
    """Read the times and scores of trials that have ended."""
    ended = sorted(
        (trial.datetime_complete, trial) for trial in trials if trial.datetime_complete is not None
    )
    begin = min(trial.datetime_start for _, trial in ended if trial.datetime_start is not None)
    bests: list[tuple[float, float]] = []
    for when, trial in ended:
        wins = trial.state is TrialState.COMPLETE and is_feasible(trial.constraints)
        if wins and (not bests or trial.value > bests[-1][1]):
            bests.append(((when - begin).total_seconds(), trial.value))
    return Search(seconds=(ended[-1][0] - begin).total_seconds(), bests=bests)
