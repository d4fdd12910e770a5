"""Runs a plan of chaos.workshop in a process of its own, and looks at what it left."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from chaos.workshop import read_ledger
from databases import fresh_database
from optuna.trial import TrialState
from processes import Process, fork_python
from support import REPOSITORY

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_reading
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.store.record.mirrors import MIRRORS, SOURCE_TRIAL


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What a plan printed, what the witness saw, and what the database says."""

    location: Location
    printed: dict[str, Any]
    ledger: list[dict[str, Any]]

    def lines(self, what: str) -> list[dict[str, Any]]:
        """The ledger's lines of one kind."""
        return [line for line in self.ledger if line["what"] == what]

    @contextmanager
    def study(self, name: str = "quick") -> Iterator[optuna.Study]:
        """As a second process sees it."""
        with open_for_reading(self.location) as store:
            yield optuna.load_study(study_name=name, storage=store.storage)

    def check(self, total: int, name: str = "quick") -> None:
        """No finished trial lost, none twice, none running for ever, the total exact."""
        with self.study(name) as study:
            trials = study.trials
        assert [t.number for t in trials] == list(range(total))
        assert {t.state for t in trials} == {TrialState.COMPLETE}
        assert len({t.system_attrs[IDENTITY_KEY]["uuid"] for t in trials}) == total
        ends = {line["number"]: line for line in self.lines("end") if line["study"] == name}
        for trial in trials:  # what the database says is what the objective said last
            assert trial.params == ends[trial.number]["params"]
            digest = trial.user_attrs["environment"]["weights_digest"]
            assert digest == ends[trial.number]["weights"]
        told = Counter(line["number"] for line in self.lines("told") if line["study"] == name)
        assert set(told.values()) <= {1}
        for mirror in MIRRORS:
            with self.study(f"{name}/{mirror.suffix}") as study:
                sources = [t.user_attrs[SOURCE_TRIAL] for t in study.trials]
            assert sorted(sources) == list(range(total))


def start_plan(folder: Path, plan: dict[str, Any]) -> Process:
    """Start ``python -m chaos.workshop`` with a plan; its output goes to files in ``folder``."""
    written = folder / "plan.json"
    written.write_text(json.dumps(plan))
    with (
        open(os.devnull) as null,
        (folder / "out").open("w") as out,
        (folder / "err").open("w") as err,
    ):
        return fork_python(
            *("-m", "chaos.workshop", str(written)),
            cwd=folder,
            environment=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"},
            streams=[null.fileno(), out.fileno(), err.fileno()],
        )


def end_plan(folder: Path, process: Process) -> dict[str, Any]:
    """Wait for a plan's end, and read what came of it."""
    code = process.wait(1200)
    err = (folder / "err").read_text()
    assert code == 0, err
    assert "Traceback" not in err, err
    printed: dict[str, Any] = json.loads((folder / "out").read_text())
    return printed


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Callable[..., Aftermath]]:
    """Run a plan on a database of some kind; see chaos.workshop.PLANS."""

    with ExitStack() as databases:

        def run(plan: str, *, kind: str = "sqlite", total: int = 3, **words: Any) -> Aftermath:
            location = databases.enter_context(fresh_database(kind))
            ledger = tmp_path / "ledger.jsonl"
            asked = {"plan": plan, "url": location.url, "ledger": str(ledger), "total": total}
            process = start_plan(tmp_path, {"instant": True} | asked | words)
            printed = end_plan(tmp_path, process)
            return Aftermath(location=location, printed=printed, ledger=read_ledger(ledger))

        yield run
