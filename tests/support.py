"""Names that tests import: small settings, outcomes, processes."""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from processes import Process, fork_python

REPOSITORY = Path(__file__).parent.parent

# A net so small that a trial takes a few hundredths of a second.
TINY = [
    "model.context_size=8",
    "model.embedding_size=6",
    "model.num_layers=1",
    "training.num_iterations=4",
    "training.minibatch_size=16",
    "data.train_tokens=64",
]
TINY_ARGUMENTS = [word for setting in TINY for word in ("--set", setting)]


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


def load_script(path: str) -> ModuleType:
    """Import a script of the repository that belongs to no package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, REPOSITORY / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start_cvfp_opt(*words: str, cwd: Path) -> Process:
    """Start ``cvfp-opt`` as a process of its own, its output in ``.stdout``."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return fork_python("-m", "cvfp_opt", *words, cwd=cwd, environment=environment)


Start = Callable[..., Process]
