"""A healthy study database to plant faults in."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from claiming import take
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from sqlalchemy import Connection, Executable, delete, insert, select, update
from sqlalchemy.pool import NullPool

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.database.tables import (
    LEASES,
    STUDIES,
    STUDY_USER_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIAL_PARTS,
    TRIALS,
    USER_ATTRIBUTES,
)
from cvfp_opt.store.doctor.examination import Patient, Report, examine, mend
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.leases import Worker
from cvfp_opt.store.queue.trial_writer import TrialWriter
from cvfp_opt.store.record.mirrors import sync_mirrors
from cvfp_opt.store.record.records import STUDY, StudyRecord
from cvfp_opt.store.record.studies import create_study

# Beyond what Linux counts to.
NO_PROCESS = 2**22 + 1
OLD = time.time() - 100_000

RECORD = StudyRecord(
    definition={
        "objective": {
            "kind": "score",
            "convergence": "training",
            "convergence_weight": 0.5,
            "effective_rank_weight": 0.5,
            "threshold": "trial",
            "split": "train",
        },
        "space": {"phase1_convergence_threshold": {"low": 0.05, "high": 0.5, "log": False}},
        "data": {"train_tokens": 6400},
        "search": {"seed": 7},
    },
    definition_digest="0" * 64,
    data_digest="1" * 64,
    created=1.0,
    environment={},
    uuid="a" * 32,
)

# Complete, complete, complete, pruned, waiting.
WAITING, PRUNED = 4, 3


def iterations() -> list[dict[str, Any]]:
    """Two passes; the last one scores 0.625."""
    return [
        {
            f"{split}{name}": value
            for split in ("", "validation_")
            for name, value in (
                ("convergence_rate", rate),
                ("effective_rank", 0.75),
                ("score", rate / 2 + 0.375),
            )
        }
        | {"iteration": number}
        for number, rate in enumerate((0.0, 0.5))
    ]


def audit() -> dict[str, Any]:
    """Residuals from 0 to 0.4, evenly spread; contexts of mean square 2."""
    frozen = {
        "convergence": 0.875,
        "convergence_strict": 0.25,
        "absolute_convergence": 0.75,
        "effective_rank": 0.5,
    }
    baseline = dict.fromkeys(
        ("convergence_rate", "effective_rank", "score", "validation_effective_rank"), 0.25
    )
    return {
        "absolute_convergence": 0.25,
        "scale_free_convergence": 0.5,
        "residual_quantiles": [0.4 * level / 64 for level in range(65)],
        "mean_square": 2.0,
        "context_norm": 1.0,
        "lyapunov_exponent": -0.5,
        "global_attractor": False,
        "near_zero": False,
        "identity_map": False,
        "baseline": baseline,
        "frozen_train": frozen,
        "frozen_validation": frozen,
        "frozen_held_out": frozen,
    }


def report_run(writer: TrialWriter, *, pruned: bool = False) -> None:
    """What a run has to say; a pruned one ends after the first pass."""
    passes = iterations()[: 1 if pruned else 2]
    distribution = FloatDistribution(0.05, 0.5)
    writer.pending.params["phase1_convergence_threshold"] = (0.2, distribution)
    writer.pending.intermediate |= {step: one["score"] for step, one in enumerate(passes)}
    scored = {key: passes[-1][key] for key in ("convergence_rate", "effective_rank", "score")}
    writer.pending.user_attrs |= {
        "status": "pruned" if pruned else "finished",
        "reason": "",
        "scored": {} if pruned else scored,
        "metrics": passes[-1],
        "iterations": passes,
        "audit": {} if pruned else audit(),
        "environment": {"versions": {}},
    }


def fill(location: Location, name: str = "s") -> None:
    """A study with its mirrors in which nothing is wrong."""
    with open_for_search(location) as store:
        study = create_study(store, name, RECORD)
        claims = Claims(store=store, study=study, seed=7)
        for _ in range(3):
            writer = take(claims)
            report_run(writer)
            writer.finish(TrialState.COMPLETE, [0.625])
        writer = take(claims)
        report_run(writer, pruned=True)
        writer.finish(TrialState.PRUNED, [0.375])
        take(claims).give_back()
        sync_mirrors(store, study)


class Site:
    """The database of ``fill``, to be changed as nobody should."""

    def __init__(self, location: Location, study: str = "s") -> None:
        self.location = location
        self.patient = Patient(location=location)
        self.study = study
        self.told: list[str] = []
        self._engine = sqlalchemy.create_engine(location.url, poolclass=NullPool)

    def examine(self) -> Report:
        """All checks."""
        return examine(self.patient)

    def mend(self, report: Report | None = None) -> Report:
        """All repairs of what was found; what is left."""
        return mend(self.patient, report or self.examine(), self.told.append)

    @contextmanager
    def store(self) -> Iterator[tuple[Store, optuna.Study]]:
        """Open, as this program would."""
        with open_for_search(self.location) as store:
            yield store, optuna.load_study(study_name=self.study, storage=store.storage)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A transaction, as any other program would."""
        with self._engine.begin() as connection:
            yield connection

    def execute(self, *statements: Executable) -> None:
        """In one transaction."""
        with self.connection() as connection:
            for statement in statements:
                connection.execute(statement)

    def study_id(self, name: str = "") -> int:
        """Of the study, or a mirror of it: ``/pareto``."""
        with self.connection() as connection:
            query = select(STUDIES.c.study_id).where(STUDIES.c.study_name == self.study + name)
            return int(connection.scalars(query).one())

    def trial_id(self, number: int, mirror: str = "") -> int:
        """Of a trial."""
        same = (TRIALS.c.study_id == self.study_id(mirror), TRIALS.c.number == number)
        with self.connection() as connection:
            return int(connection.scalars(select(TRIALS.c.trial_id).where(*same)).one())

    def state(self, number: int) -> TrialState:
        """Of a trial."""
        same = TRIALS.c.trial_id == self.trial_id(number)
        with self.connection() as connection:
            found = connection.scalars(select(TRIALS.c.state).where(same)).one()
        assert isinstance(found, TrialState)
        return found

    def attribute(self, number: int, key: str) -> Any:
        """A user attribute of a trial."""
        same = (USER_ATTRIBUTES.c.trial_id == self.trial_id(number), USER_ATTRIBUTES.c.key == key)
        with self.connection() as connection:
            query = select(USER_ATTRIBUTES.c.value_json).where(*same)
            return json.loads(str(connection.scalars(query).one()))

    def set_attribute(self, number: int, key: str, value: Any) -> None:
        """Change or add a user attribute of a trial."""
        trial_id, columns = self.trial_id(number), USER_ATTRIBUTES.c
        row = {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        same = (columns.trial_id == trial_id, columns.key == key)
        self.execute(delete(USER_ATTRIBUTES).where(*same), insert(USER_ATTRIBUTES).values(row))

    def system_attribute(self, number: int, key: str) -> Any:
        """A system attribute of a trial; None if it has none."""
        columns = SYSTEM_ATTRIBUTES.c
        same = (columns.trial_id == self.trial_id(number), columns.key == key)
        with self.connection() as connection:
            found = connection.scalar(select(columns.value_json).where(*same))
        return None if found is None else json.loads(found)

    def set_system_attribute(self, number: int, key: str, value: Any) -> None:
        """Change or add a system attribute of a trial; None takes it away."""
        trial_id, columns = self.trial_id(number), SYSTEM_ATTRIBUTES.c
        row = {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        new = [] if value is None else [insert(SYSTEM_ATTRIBUTES).values(row)]
        same = (columns.trial_id == trial_id, columns.key == key)
        self.execute(delete(SYSTEM_ATTRIBUTES).where(*same), *new)

    def set_record(self, value: Any) -> None:
        """Change the study's record."""
        same = (
            STUDY_USER_ATTRIBUTES.c.study_id == self.study_id(),
            STUDY_USER_ATTRIBUTES.c.key == STUDY,
        )
        self.execute(
            update(STUDY_USER_ATTRIBUTES).where(*same).values(value_json=json.dumps(value))
        )

    def run(self, number: int, **changes: Any) -> None:
        """Let a trial run, held by this process; ``changes`` to its lease, none if empty."""
        trial_id = self.trial_id(number)
        started = update(TRIALS).where(TRIALS.c.trial_id == trial_id)
        self.execute(
            started.values(state=TrialState.RUNNING), delete(LEASES).where(_lease_of(trial_id))
        )
        me = vars(Worker.of_this_process())
        lease = {"epoch": 1, "expires": time.time() + 60.0, "seconds": 60.0, "attempts": 0}
        if changes != {"lease": None}:
            self.execute(insert(LEASES).values({"trial_id": trial_id, **me, **lease, **changes}))

    def holder(self, number: int) -> str:
        """Who holds a trial; "" for nobody."""
        query = select(LEASES.c.worker).where(_lease_of(self.trial_id(number)))
        with self.connection() as connection:
            return connection.scalar(query) or ""

    def delete_trial(self, trial_id: int) -> None:
        """With all its rows, and its lease."""
        for table in (*TRIAL_PARTS, TRIALS):
            self.execute(delete(table).where(table.c.trial_id == trial_id))
        self.execute(delete(LEASES).where(_lease_of(trial_id)))

    def delete_copies(self, number: int) -> None:
        """Of a trial, from both mirrors."""
        for mirror in ("/pareto", "/pareto-audited"):
            self.delete_trial(self.trial_id(number, mirror))

    def uuid(self, number: int) -> str:
        """Identity of a trial."""
        return str(self.system_attribute(number, "cvfp_opt:birth")["uuid"])


def _lease_of(trial_id: int) -> Any:
    return LEASES.c.trial_id == trial_id


def write_old(path: Path, content: bytes = b"") -> Path:
    """A file to which nobody has written for long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (OLD, OLD))
    return path
