"""Every command with odd paths under odd terminals: never a bug, a hang or half a file.

What is random follows from a seed, so that a case that failed can be run again.
"""

import os
import random
import shutil
import socket
import stat
from pathlib import Path

import pytest
from support import TINY_ARGUMENTS
from terminals import Case, Terminals

FIXED = {
    "dist_reg_weight": 0.8,
    "phase1_learning_rate": 0.002,
    "phase1_convergence_threshold": 0.5,
    "layernorm_mix": 1,
}
QUICK = ["quick", *TINY_ARGUMENTS, "--threads", "1"]
TRAIN = ["train", *QUICK]
for name, value in FIXED.items():
    TRAIN += ["--set", f"space.{name}={value}"]
RUN = ["run", *QUICK, "--n-trials", "1"]

# A % stands for the odd path: none by which something outside of the folder could be written.
COMMANDS = (
    ["list", "--storage", "%"],
    ["list", "--storage", "sqlite:///%", "--json"],
    ["status", "--storage", "%"],
    ["best", "--json", "--storage", "%"],
    ["compare", "a", "b", "--storage", "%"],
    ["trial", "show", "0", "--storage", "%"],
    ["trial", "enqueue", "--from-study", "quick", "--from-storage", "%"],
    ["trial", "enqueue", "--set", "%=%"],
    ["trial", "fail", "0", "--storage", "%"],
    ["study", "show", "quick", "--storage", "%"],
    ["study", "doctor", "--storage", "%"],
    ["study", "doctor", "--artifacts", "%"],
    ["study", "doctor", "--repair", "--storage", "%"],
    ["study", "export", "quick", "-o", "%.zip"],
    ["study", "export", "quick", "-o", "%"],
    ["study", "import", "%"],
    ["study", "import", "%.zip"],
    ["study", "copy", "quick", "--to", "%"],
    ["study", "copy", "quick", "--to", "copy.db", "--to-artifacts", "%"],
    ["study", "merge", "quick", "%.zip", "--into", "both"],
    ["study", "merge", "quick", "%#quick", "--into", "both"],
    ["study", "rename", "quick", "other", "--storage", "%"],
    ["study", "delete", "quick", "--yes", "--storage", "%"],
    ["study", "publish", "quick", "%"],
    ["best", "--save", "%"],
    ["report", "-o", "%"],
    ["report", "-o", "page.html", "--data", "%"],
    ["plot", "--kind", "history", "-o", "%.html"],
    ["plot", "--kind", "pareto"],
    ["thresholds", "%"],
    ["verify", "quick", "%"],
    ["train", "%"],
    [*TRAIN, "--save", "%"],
    [*TRAIN, "--data", "%"],
    [*TRAIN, "--set", "data.path=%"],
    [*TRAIN, "--set", "%"],
    ["run", "%", *QUICK[1:], "--n-trials", "1", "--storage", "new.db"],
    [*RUN, "--storage", "%"],
    [*RUN, "--storage", "new.db", "--data", "%"],
    [*RUN, "--storage", "new.db", "--artifacts", "%"],
    [*RUN, "--storage", "new.db", "--study-name", "%"],
    [*RUN, "--storage", "new.db", "--set", "embedding.source=gpt2", "--set", "embedding.path=%"],
)
PATHS = (
    "pipe",
    "folder",
    "socket",
    "dangling",
    "loop",
    "zero",
    "full",
    "null",
    "empty",
    "noise",
    "words.txt",
    "words.txt/below",
    "none/below",
    "x" * 255,
    "x" * 300,
    "/".join(["deep"] * 1500),
    "/proc/self/mem",
    "/proc/none",
    ".",
    "",
    " ",
    "-",
    "~",
    "*",
    "[x]",
    "a\nb",
    "naïve 研😀",
    "x%41?y#z",
    "\x1b[2J",
    "caf\udce9",
)
STREAMS = ("file", "file", "file", "closed", "full", "pipe")
ENCODINGS = ("utf-8", "utf-8", "ascii", "latin-1")


def _prepare(folder: Path) -> None:
    """What the first of PATHS name."""
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path may not be long
        bound.bind("socket")
        os.chdir(here)
    for name, target in (
        ("dangling", "nowhere/at/all"),
        ("loop", "loop"),
        ("zero", "/dev/zero"),
        ("full", "/dev/full"),
        ("null", "/dev/null"),
    ):
        (folder / name).symlink_to(target)
    (folder / "empty").touch()
    (folder / "noise").write_bytes(random.Random(0).randbytes(5000))
    (folder / "words.txt").write_text("words " * 500)


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Terminals:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "storage").mkdir()
    _prepare(folder)
    found = Terminals(folder)
    assert found.run(Case(words=RUN)).code == 0
    shutil.copytree(folder / "storage", folder / "kept")
    return found


def _kinds(folder: Path) -> dict[str, int]:
    return {name: stat.S_IFMT((folder / name).lstat().st_mode) for name in PATHS[:11]}


def _check(console: Terminals, seed: int) -> None:
    """Run one random case."""
    choose = random.Random(seed)
    path = choose.choice(PATHS)
    case = Case(
        words=[word.replace("%", path) for word in choose.choice(COMMANDS)],
        out=choose.choice(STREAMS),
        err=choose.choice(STREAMS),
        encoding=choose.choice(ENCODINGS),
    )
    before = _kinds(console.folder)
    ended = console.run(case)
    about = f"seed {seed}: {case}\n{ended.text}"
    assert ended.code in (0, 1, 2, 130), about
    assert "Traceback" not in ended.text, about
    if ended.code in (1, 2) and case.err == "file" and case.out == "file":
        assert ended.text.strip(), about
    # what lay there still does: nothing is a file that was none, nothing half written is left
    assert _kinds(console.folder) == before, about
    left = [*console.folder.rglob(".cvfp-opt-*"), *console.folder.rglob("*.tmp")]
    assert left == [], about
    for made in set(os.listdir(console.folder)) - {*before, "storage", "kept"}:
        one = console.folder / made
        shutil.rmtree(one) if one.is_dir() else one.unlink()
    shutil.rmtree(console.folder / "storage")
    shutil.copytree(console.folder / "kept", console.folder / "storage")


def test_some_odd_paths(console: Terminals) -> None:
    for seed in range(15):
        _check(console, seed)


@pytest.mark.processes
def test_more_odd_paths(console: Terminals) -> None:
    for seed in range(15, 40):
        _check(console, seed)


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(1, 11))
def test_a_thousand_odd_paths(console: Terminals, hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        _check(console, seed)
