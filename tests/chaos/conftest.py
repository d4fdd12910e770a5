"""Runs a plan of chaos.workshop in a process of its own, and looks at what it left."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from databases import fresh_database
from optuna.trial import TrialState
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


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Callable[..., Aftermath]]:
    """Run a plan on a database of some kind; see chaos.workshop.PLANS."""

    with ExitStack() as databases:

        def run(plan: str, *, kind: str = "sqlite", total: int = 3, **words: Any) -> Aftermath:
            location = databases.enter_context(fresh_database(kind))
            ledger = tmp_path / "ledger.jsonl"
            words = {"instant": True} | words
            asked = {"plan": plan, "url": location.url, "ledger": str(ledger), "total": total}
            (tmp_path / "plan.json").write_text(json.dumps(asked | words))
            done = subprocess.run(
                [sys.executable, "-m", "chaos.workshop", str(tmp_path / "plan.json")],
                env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"},
                capture_output=True,
                text=True,
                timeout=3600,
            )
            assert done.returncode == 0, done.stderr
            assert "Traceback" not in done.stderr, done.stderr
            lines = [json.loads(line) for line in ledger.read_text().splitlines()]
            return Aftermath(location=location, printed=json.loads(done.stdout), ledger=lines)

        yield run
