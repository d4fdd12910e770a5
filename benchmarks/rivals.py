"""A search of ours beside what one would use instead: the original's way, and a plain script."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import torch

from benchmarks import plain_script
from benchmarks.timing import Result, Variant
from cvfp_opt import Workers, define
from cvfp_opt import search as search_study
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition
from cvfp_opt.tuning.objective import Objective
from cvfp_opt.tuning.stock_objective import StockObjective

# The same threshold for all: one that a search may choose would be part of its score.
THRESHOLD = 0.5
TRIALS, TOKENS, WIDTH = 10, 1600, 256


def rivals(
    repeats: int, *, trials: int = TRIALS, tokens: int = TOKENS, width: int = WIDTH
) -> Result:
    """Time searches of so many trials, one process and thread each; ``repeats`` is one.

    Args:
        trials: of each search.
        tokens: of the training text.
        width: D and E.
    """
    settings = (
        f"data.train_tokens={tokens}",
        f"model.context_size={width}",
        f"model.embedding_size={width}",
        f"objective.threshold={THRESHOLD}",
        f"space.phase1_convergence_threshold={THRESHOLD}",
        f"training.minibatch_size={min(256, tokens)}",
    )
    recommended = resolve_definition(read_sections("recommended"), settings, where="recommended")
    original = resolve_definition(read_sections("seed"), settings, where="seed")
    ways: dict[str, Callable[[], float]] = {
        "the original's way: online, autograd": lambda: _originals(original, trials),
        "a plain script: batch, stock TPE": lambda: _plain(recommended, trials),
        "cvfp-opt run": lambda: _ours(settings, trials),
    }
    seconds, notes = {}, []
    for name, run in ways.items():
        started = time.perf_counter()
        score = run()
        seconds[name] = time.perf_counter() - started
        notes.append(f"{name}: best score {score:.3f}")
    first = next(iter(seconds.values()))
    return Result(
        row="rivals",
        title=f"a search of {trials} trials: {tokens} tokens, width {width}",
        unit="",
        variants=[
            Variant(name=name, seconds=[spent], ratios=[first / spent])
            for name, spent in seconds.items()
        ],
        notes=(f"convergence at {THRESHOLD} for all; one process, one thread", *notes),
    )


@contextmanager
def _without_kernels() -> Iterator[None]:
    """Let plain torch compute, as the original does."""
    before = os.environ.get("NUMBA_DISABLE_JIT")
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    try:
        yield
    finally:
        del os.environ["NUMBA_DISABLE_JIT"]
        if before is not None:
            os.environ["NUMBA_DISABLE_JIT"] = before


def _originals(definition: StudyDefinition, trials: int) -> float:
    """Search by stock Optuna with the original program's algorithm, in its own arithmetic."""
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.NopPruner(),
    )
    with _without_kernels():
        study.optimize(StockObjective(definition=definition, threads=1), n_trials=trials)
    return _best([t.value for t in study.trials])


def _plain(definition: StudyDefinition, trials: int) -> float:
    """Search by the plain script, on the text and embeddings of our own trial 0."""
    objective = Objective(
        definition=definition, tokens=definition.load_tokens(), device=torch.device("cpu")
    )
    text = objective.embeddings(0, seed=0)[objective.tokens.train]
    torch.set_num_threads(1)
    return plain_script.search(
        text,
        context=definition.model.context_size,
        layers=definition.model.num_layers,
        iterations=definition.training.num_iterations,
        epochs=definition.training.num_epochs,
        batch=definition.training.minibatch_size,
        threshold=THRESHOLD,
        trials=trials,
        seed=0,
    )


def _ours(settings: tuple[str, ...], trials: int) -> float:
    """Run the recommended search, as a user types it, with one worker."""
    pairs = (setting.split("=") for setting in settings)
    plan = define("recommended").set({key: json.loads(value) for key, value in pairs})
    with tempfile.TemporaryDirectory() as folder:
        study = search_study(
            plan,
            n_trials=trials,
            storage=Path(folder) / "study.db",
            workers=Workers(n_jobs=1, threads=1),
            progress=False,
        )
        best = study.best
        return _best([None if best is None else best.score])


def _best(scores: list[float | None]) -> float:
    """Return the best of the scores there are; NaN if there are none."""
    return max((score for score in scores if score is not None), default=float("nan"))
