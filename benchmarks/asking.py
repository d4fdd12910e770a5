"""How long a large study takes to propose a point, and to be resumed."""

import gc
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import optuna
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from benchmarks.bookkeeping import FileWatch, filled, search
from benchmarks.invented import ENVIRONMENT, fill
from benchmarks.timing import Result, taken_in_turn
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.queue.claims import ClaimedTrial, Claims
from cvfp_opt.store.queue.takeover import fail_trial
from cvfp_opt.store.queue.trial_writer import TrialWriter
from cvfp_opt.store.record.mirrors import sync_mirrors
from cvfp_opt.tuning.optuna_trial import open_trial
from cvfp_opt.tuning.plan import Plan
from cvfp_opt.tuning.sampler_pruner import sampler_of
from cvfp_opt.tuning.stopping import SearchStopped

SIZES = (100, 1000, 10_000)
# A trial that is over in an instant.
TINY = (
    "model.context_size=8",
    "model.embedding_size=8",
    "model.num_layers=1",
    "data.train_tokens=64",
    "training.minibatch_size=8",
    "training.num_iterations=10",
)


def asking(store: Store, plan: Plan, sampler: str, max_trials: int) -> Callable[[], float]:
    """Make a function that claims a trial, proposes its parameters, and returns the seconds."""
    search = replace(plan.definition.search, sampler=sampler, max_sampler_trials=max_trials)
    space = plan.definition.space
    study = optuna.load_study(
        study_name=plan.name,
        storage=store.storage,
        sampler=sampler_of(replace(plan.definition, search=search)),
    )
    claims = Claims(store=store, study=study, seed=search.seed)

    def ask() -> float:
        started = time.perf_counter()
        claimed = claims.claim(sys.maxsize)
        assert isinstance(claimed, ClaimedTrial)
        writer = TrialWriter(claims=claims, claimed=claimed)
        space.suggest(open_trial(study, writer))
        writer.flush()
        spent = time.perf_counter() - started
        writer.finish(TrialState.FAIL, None)  # no sampler looks at it
        return spent

    return ask


def ask(repeats: int, sizes: tuple[int, ...] = SIZES) -> list[Result]:
    """Claim a trial and propose its four parameters, in studies of several sizes."""
    results = []
    with filled(0) as (store, plan):
        study, there = plan.load(store), 0
        for size in sizes:
            fill(store, study, plan.definition, size - there)
            there = size
            ways = {
                "TPE, all trials": asking(store, plan, "tpe", 0),
                "TPE, at most 1000": asking(store, plan, "tpe", 1000),
                "random": asking(store, plan, "random", 0),
            }
            results.append(
                Result(
                    row="ask",
                    title=f"the next trial of {size}: claim and parameters",
                    unit="",
                    variants=taken_in_turn(ways, repeats=4 * repeats),
                )
            )
    return results


def resume(repeats: int, size: int = SIZES[-1]) -> Result:
    """Measure from opening the database to the first trial of a resumed search."""
    with filled(size, *TINY) as (store, plan):
        sync_mirrors(store, plan.load(store))

        def stock() -> float:
            gc.collect()  # as in a process that has just begun
            started = time.perf_counter()
            storage = RDBStorage(store.location.url)
            study = optuna.load_study(
                study_name=plan.name, storage=storage, sampler=TPESampler(seed=0)
            )
            trial = study.ask()
            plan.definition.space.suggest(trial)
            spent = time.perf_counter() - started
            study.tell(trial, state=TrialState.FAIL)
            storage.engine.dispose()
            return spent

        def ours() -> float:
            gc.collect()
            started, watch = time.perf_counter(), FileWatch(only_begin=True)
            with open_for_search(store.location) as own:
                study, _ = plan.enter(own, dict(ENVIRONMENT))
                try:
                    search(own, study, plan, watch, sys.maxsize)
                except SearchStopped:
                    fail_trial(own, study, watch.number, "a benchmark")  # the next one is new
                    return watch.began - started
            raise AssertionError("no trial began")

        variants = taken_in_turn(
            {"Optuna": stock, "cvfp-opt": ours}, repeats=max(1, repeats // 2), warm=False
        )
        whole = command(store, plan.name, "+1")
    with filled(0, *TINY) as (store, plan):
        new = command(store, plan.name, "1")
    return Result(
        row="resume",
        title=f"to the first trial of a study that has {size}",
        unit="",
        variants=variants,
        notes=(
            f"the whole command, one tiny trial and the summary: {whole:.1f} s; in a study that "
            f"has none: {new:.1f} s",
        ),
    )


def command(store: Store, name: str, count: str) -> float:
    """Time ``cvfp-opt run --n-trials COUNT`` in seconds."""
    words = ["run", "--study-name", name, "--n-trials", count, "--n-jobs", "1"]
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "cvfp_opt", *words, "--storage", str(store.location.file)],
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - started
