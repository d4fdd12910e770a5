"""A whole trial, and a whole search."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from benchmarks.setting import NUM_TOKENS
from benchmarks.timing import Result, Variant, in_turn
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition
from cvfp_opt.tuning.objective import Objective

# As it was before segments and bfloat16: what `standard` still does.
EXACT = (
    "training.precision=float32",
    "training.training_pass=exact",
    "training.measuring_pass=sequential",
)
FAST = (
    "training.precision=bfloat16",
    "training.training_pass=segments",
    "training.measuring_pass=repaired",
)
SAMPLED = (*FAST[:2], "training.measuring_pass=sampled")
# so strict that all iterations are read
WHOLE = ("training.min_converged_ratio=1.0", "space.phase1_convergence_threshold=0.001")


def definition(*settings: str) -> StudyDefinition:
    """Take the standard definition, changed."""
    return resolve_definition(read_sections("standard"), settings, where="standard")


def trial(repeats: int, tokens: int = NUM_TOKENS) -> Result:
    """Compare ten iterations at the standard point, as exact as can be and as fast as can be."""
    settings = {
        "exact passes, float32": EXACT,
        "exact passes, bfloat16": (FAST[0], *EXACT[1:]),
        "repaired passes, bfloat16": (FAST[0], EXACT[1], FAST[2]),
        "segments and repaired passes, bfloat16": FAST,
        "the same, the untrained network sampled": SAMPLED,
    }
    return _trials(settings, repeats, tokens)


def untrained(repeats: int, tokens: int = NUM_TOKENS) -> Result:
    """Compare a trial whose untrained network is read token by token, and one that samples it."""
    settings = {"repaired": FAST, "sampled": SAMPLED}
    return _trials(settings, repeats, tokens)


def _trials(settings: Mapping[str, tuple[str, ...]], repeats: int, tokens: int) -> Result:

    def one(chosen: tuple[str, ...]):
        found = definition(*chosen, *WHOLE, f"data.train_tokens={tokens}")
        objective = Objective(
            definition=found, tokens=found.load_tokens(), device=torch.device("cpu")
        )
        return lambda: objective({}, 0), 1

    variants = in_turn(
        {name: one(chosen) for name, chosen in settings.items()},
        repeats=max(1, repeats // 2),
        warm=False,
    )
    return Result(
        row="trial",
        title=f"a whole trial: {tokens} tokens, 10 iterations, audit",
        unit="",
        variants=variants,
    )


NUM_TRIALS, NUM_OLD_TRIALS = 50, 6


def search(repeats: int) -> Result:
    """Time the recommended search of 50 trials; the old way is estimated from six of them."""

    def run(count: int, settings: tuple[str, ...]) -> float:
        with tempfile.TemporaryDirectory() as folder:
            words = ["--n-trials", str(count), "--storage", str(Path(folder) / "study.db")]
            for setting in settings:
                words += ["--set", setting]
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "cvfp_opt", "run", *words], check=True)
            return time.perf_counter() - started

    old = run(NUM_OLD_TRIALS, (*EXACT, "search.pruner=none")) / NUM_OLD_TRIALS * NUM_TRIALS
    new = run(NUM_TRIALS, ())
    variants = [
        Variant(name="exact passes, float32 (estimated)", seconds=[old], ratios=[1.0]),
        Variant(name="recommended", seconds=[new], ratios=[old / new]),
    ]
    return Result(
        row="search",
        title="a whole search of 50 trials",
        unit="",
        variants=variants,
        notes=(f"the old time is estimated from its first {NUM_OLD_TRIALS} trials",),
    )
