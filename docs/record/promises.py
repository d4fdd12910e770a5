"""Compare what ASHA would have pruned by, on trials that nothing pruned.

    python docs/record/promises.py --tokens 1600 --width 128 --trials 100 --seed 11

Random points of ``recommended`` are trained to their end, on a network of another size. Then they
are searched again a few hundred times in random orders, each trial ending where the pruner would
have ended it: what the best of them scores that no audit speaks against, and what they cost, in
whole trials. The same command goes on where it was stopped, and only compares what it has.
"""

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from scipy.stats import spearmanr

from cvfp_opt import define
from cvfp_opt.store.database.constraints import is_feasible
from cvfp_opt.training.config import ObjectiveConfig
from cvfp_opt.tuning.stock_objective import StockObjective

Row = dict[str, Any]
Promise = Callable[[dict[str, Any]], float]

RUNGS = (2, 4, 8)
STARTUP_TRIALS = 5
AUDIT = 1.0  # what an audit costs, in iterations
OBJECTIVE = ObjectiveConfig(feasible="audit")


def by_residual(figures: dict[str, Any]) -> float:
    """Rate a trial after an iteration by its rank and what its residual lacks to settling."""
    return OBJECTIVE.promise(
        figures["residual"], figures["effective_rank"], 0.1, comes_to_rest=True
    )


def by_exponent(figures: dict[str, Any]) -> float:
    """Rate it by its rank and how fast its network parts."""
    return OBJECTIVE.promise(
        figures["residual"],
        figures["effective_rank"],
        0.1,
        comes_to_rest=True,
        exponent=figures["lyapunov_exponent"],
    )


PROMISES: dict[str, Promise] = {"residual": by_residual, "exponent": by_exponent}


def train(tokens: int, width: int, trials: int, file: Path, seed: int = 1) -> list[Row]:
    """Train random points, keeping each in the file; return those that came to their end."""
    rows: list[Row] = json.loads(file.read_text()) if file.exists() else []
    plan = define("recommended").set(
        {
            "data.train_tokens": tokens,
            "model.context_size": width,
            "model.embedding_size": width,
            "training.minibatch_size": max(64, tokens // 25),
            "search.first_points": [],
            "search.min_untrained_rank": 0.0,
            "search.seed": seed + len(rows),
        }
    )
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=seed + len(rows)),
        pruner=optuna.pruners.NopPruner(),
    )

    def keep(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        ended = trial.state is optuna.trial.TrialState.COMPLETE
        wins = ended and is_feasible(trial.constraints)
        rows.append(
            {
                "value": trial.value if wins else 0.0,
                "iterations": trial.user_attrs["iterations"] if ended else [],
                "exponent": trial.user_attrs["audit"]["lyapunov_exponent"] if ended else None,
            }
        )
        file.write_text(json.dumps(rows))

    if len(rows) < trials:
        objective = StockObjective(definition=plan.definition, threads=1)
        study.optimize(objective, n_trials=trials - len(rows), callbacks=[keep])
    return [row for row in rows if row["iterations"]]


def search(rows: list[Row], promise: Promise, factor: float | None) -> tuple[float, float]:
    """Search trials in their order; return the best value and the cost, in whole trials."""
    known: dict[int, list[float]] = {rung: [] for rung in RUNGS}
    best = cost = 0.0
    whole = len(rows[0]["iterations"]) + AUDIT
    for row in rows:
        for rung in RUNGS if factor else ():
            ours = promise(row["iterations"][rung])
            others = known[rung]
            behind = len(others) >= STARTUP_TRIALS and ours < np.quantile(
                others, 1.0 - 1.0 / (factor or 1.0)
            )
            others.append(ours)
            if behind:
                cost += (rung + 1) / whole
                break
        else:
            cost += 1.0
            best = max(best, row["value"])
    return best, cost


def compare(rows: list[Row], orders: int = 300) -> None:
    """Print what each promise finds and costs, with half of the trials in random orders."""
    can_win = [row["value"] for row in rows if row["value"]]
    print(f"{len(rows)} trials, {len(can_win)} of which can win, the best {max(can_win):.3f}")
    ends = [row["exponent"] for row in rows]
    for rung in RUNGS:
        early = [row["iterations"][rung]["lyapunov_exponent"] for row in rows]
        print(f"exponent after {rung} iterations and at the end: {spearmanr(early, ends)[0]:.2f}")
    rng = random.Random(0)
    samples = [rng.sample(rows, len(rows) // 2) for _ in range(orders)]
    ways: list[tuple[str, Promise, float | None]] = [("no pruner", by_residual, None)]
    ways += [(f"{name}, {f:g}", p, f) for f in (3.0, 2.0, 1.5) for name, p in PROMISES.items()]
    for name, promise, factor in ways:
        best, cost = np.mean([search(sample, promise, factor) for sample in samples], axis=0)
        print(f"{name:<14}  best {best:.4f}  cost {cost:.1f} of {len(rows) // 2}")


def main() -> None:
    """Train what is missing, then compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1600)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", type=Path, default=Path("rows.json"))
    words = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    compare(train(words.tokens, words.width, words.trials, words.file, words.seed))


if __name__ == "__main__":
    main()
