"""Four workers, with and without a dashboard that is being looked at."""

import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.timing import Result, Variant

WORKERS, NUM_TRIALS = 4, 24
# As often as an open page asks at most.
POLL_SECONDS = 2.0
COMMAND = [sys.executable, "-m", "cvfp_opt"]


def dashboard(repeats: int) -> Result:
    """Time the quick search by four workers; the start of the dashboard is not counted."""
    answers: list[float] = []
    seconds: dict[str, list[float]] = {"nobody looks": [], "the dashboard is open": []}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(max(2, repeats)):
            for place, spent in enumerate(seconds.values()):
                path = Path(folder) / f"{repeat}-{place}.db"
                _run(path, 1)  # so that there is something to open
                with _watching(path, answers) if place else nullcontext():
                    started = time.perf_counter()
                    _run(path, NUM_TRIALS)
                    spent.append((time.perf_counter() - started) / NUM_TRIALS)
    alone = seconds["nobody looks"]
    variants = [
        Variant(
            name=name,
            seconds=spent,
            ratios=[old / new for old, new in zip(alone, spent, strict=True)],
        )
        for name, spent in seconds.items()
    ]
    slowest = max(answers, default=float("nan"))
    return Result(
        row="dashboard",
        title=f"quick search, {NUM_TRIALS} trials, {WORKERS} workers",
        unit="trial",
        variants=variants,
        notes=(f"{len(answers)} answers, the slowest after {slowest:.2f} s; none was an error",),
    )


def _run(path: Path, count: int) -> None:
    words = ["run", "quick", "--n-trials", str(count), "--storage", str(path)]
    jobs = ["--n-jobs", str(WORKERS)] if count > 1 else []
    done = subprocess.run([*COMMAND, *words, *jobs], capture_output=True, text=True, check=True)
    assert "locked" not in done.stdout + done.stderr


@contextmanager
def _watching(path: Path, answers: list[float]) -> Iterator[None]:
    """Run a dashboard, and a client that has its page open."""
    words = ["dashboard", "--storage", str(path), "--port", "0"]
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.search(r"http://[^/]+", process.stdout.readline())
    assert found
    over = threading.Event()

    def poll() -> None:
        while not over.wait(POLL_SECONDS):
            started = time.perf_counter()
            for study in (1, 2):
                with urllib.request.urlopen(f"{found[0]}/api/studies/{study}") as answer:
                    answer.read()
            answers.append(time.perf_counter() - started)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        process.terminate()
        process.communicate()
