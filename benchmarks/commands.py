"""The processor time of commands that look at a database, or refuse a mistyped definition."""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.invented import ENVIRONMENT, fill
from benchmarks.timing import Result, taken_in_turn
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.tuning.plan import Request, make_plan

SIZES = (1, 3000)
NUM_TRIALS = 4
# What no command that knows a study can do without.
LEAST = ["-c", "import optuna.storages, sqlalchemy.orm"]
COMMANDS = (
    ["list"],
    ["study", "list"],
    ["status", "--study-name", "study 0"],
    ["best", "--study-name", "study 0"],
    ["run", "qick"],
    ["run", "quick", "--set", "training.batchsize=3"],
)


def commands(repeats: int, sizes: tuple[int, ...] = SIZES) -> list[Result]:
    """Run commands on databases with one study and with many."""
    results = []
    for size in sizes:
        with _database(size) as path:
            ways: dict[str, Callable[[], float]] = {
                "Optuna and SQLAlchemy imported": partial(_spent, LEAST)
            }
            for words in COMMANDS:
                command = ["-m", "cvfp_opt", *words, "--storage", str(path)]
                ways[" ".join(words)] = partial(_spent, command)
            results.append(
                Result(
                    row="commands",
                    title=f"commands, {size} studies of {NUM_TRIALS} trials",
                    unit="",
                    variants=taken_in_turn(ways, repeats=repeats),
                    notes=("processor time, user and system together",),
                )
            )
    return results


@contextmanager
def _database(size: int) -> Iterator[Path]:
    """Make a database with so many studies."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.db"
        location = Location.of_file(path)
        plan = make_plan(location, Request(definition="recommended"))
        with open_for_search(location) as store:
            for number in range(size):
                own = replace(plan, name=f"study {number}")
                study, _ = own.enter(store, dict(ENVIRONMENT))
                fill(store, study, own.definition, NUM_TRIALS)
        yield path


def _spent(words: list[str]) -> float:
    """Run Python to its end, and return its processor seconds; it may refuse."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
