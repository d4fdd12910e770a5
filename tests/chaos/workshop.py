"""A process that forks workers, which may be killed anywhere.

``python -m chaos.workshop PLAN.json`` runs a plan and prints what came of it as one JSON value.
The witness is a ledger, a file that only grows: the objective itself writes to it what it began
and what came out, and the worker what the study was told.
"""

import json
import os
import random
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
import torch
from support import TINY

from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.store.database import server
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.retry import Patience
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.training.data import Tokens
from cvfp_opt.training.events import Event, IterationFinished, Observer
from cvfp_opt.training.result import IterationMetrics, TrainingResult
from cvfp_opt.training.snapshot import NOTHING, Keeper
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition
from cvfp_opt.tuning.limits import Limits
from cvfp_opt.tuning.objective import Objective, forget
from cvfp_opt.tuning.plan import Plan, Request
from cvfp_opt.workers.task import Task

SETTINGS = [
    *TINY,
    "model.context_size=4",
    "training.num_iterations=3",
    "training.min_converged_ratio=1.0",
    "search.pruner=none",
    "search.sampler=random",
]
LEASE_SECONDS = 30.0


class Ledger:
    """Lines that no crash takes back: each one is a single write to a file that only grows."""

    def __init__(self, path: Path, study: str) -> None:
        self._study = study
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, **line: Any) -> None:
        line |= {"study": self._study, "pid": os.getpid()}
        os.write(self._file, (json.dumps(line) + "\n").encode())


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """All lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@dataclass(frozen=True, kw_only=True)
class Witnessed(Objective):
    """An objective that writes what it does; as it really is, or instantly from a sample."""

    ledger: Ledger
    sample: tuple[TrainingResult, ContextNetwork] | None = None

    def __call__(
        self,
        params: Any,
        number: int,
        observe: Observer = lambda event: None,
        should_prune: Callable[[IterationMetrics], bool] = lambda metrics: False,
        keeper: Keeper = NOTHING,
        seed: int | None = None,
        trained: Callable[[ContextNetwork], None] = forget,
    ) -> TrainingResult:
        self.ledger.write(what="begin", number=number, params=params)
        if self.sample is None:
            result = super().__call__(
                params, number, observe, should_prune, keeper, seed=seed, trained=trained
            )
        else:
            result, network = self.sample
            for metrics in result.iterations:
                observe(IterationFinished(metrics=metrics))
            last = replace(result.iterations[-1], score=1 / (1 + number))
            result = replace(result, iterations=(*result.iterations[:-1], last))
            trained(network)
        digest = result.weights_digest
        self.ledger.write(what="end", number=number, params=params, weights=digest)
        return result


class LedgerObserver:
    """A SearchObserver that writes down what it is told."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def notice(self, text: str) -> None:
        self._ledger.write(what="notice", text=text)

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        pass

    def trial_event(self, number: int, event: Event) -> None:
        pass

    def trial_finished(self, record: TrialRecord, *more: object) -> None:
        self._ledger.write(what="told", number=record.number, state=record.state)

    def trial_dropped(self, number: int) -> None:
        self._ledger.write(what="dropped", number=number)


class NeverStop:
    """A Stop."""

    def check(self) -> None:
        pass


class KillPoint:
    """Kills this process at its n-th write: before a statement, a commit, or a change on disk.

    Args:
        at: which one; 0 for none.
        by: sent in its place; SIGSTOP puts the process to sleep.
    """

    def __init__(self, at: int, by: signal.Signals = signal.SIGKILL) -> None:
        self.at = at
        self._by = by
        self.passed: list[str] = []
        self._counting = True

    def stop(self) -> None:
        """Count no further."""
        self._counting = False

    def watch(self, engine: sqlalchemy.Engine) -> None:
        """Count what is written to a database, and before the answer to each commit."""
        sqlalchemy.event.listen(engine, "before_cursor_execute", self._statement)
        sqlalchemy.event.listen(engine, "commit", lambda connection: self._pass("commit"))

    def watch_disk(self) -> None:
        """Count what is written, renamed and removed by Python itself."""
        sys.addaudithook(self._audit)

    def _statement(self, connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        verb = statement.split(None, 1)[0].upper()
        if verb in ("INSERT", "UPDATE", "DELETE"):
            self._pass(" ".join(statement.split()[:3]))

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and arguments[2] & os.O_ACCMODE:
            self._pass(f"open {Path(arguments[0]).suffix}")
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            self._pass(event)

    def _pass(self, what: str) -> None:
        if not self._counting:
            return
        self.passed.append(what)
        if len(self.passed) == self.at:
            os.kill(os.getpid(), self._by)


class Workshop:
    """Forks workers of one study, and sees to it that all have ended."""

    def __init__(self, url: str, ledger: Path, total: int, *, instant: bool) -> None:
        torch.set_num_threads(1)
        self.location: Location = resolve_location(url)
        self.ledger = ledger
        self.total = total
        self.definition = resolve_definition(read_sections("quick"), SETTINGS, where="quick")
        self.tokens: Tokens = self.definition.load_tokens()
        self.sample = self._sample() if instant else None
        self.plan = self.new_plan("quick")
        self.environment = {"device": "cpu", "threads": 1}

    def _sample(self) -> tuple[TrainingResult, ContextNetwork]:
        networks: list[ContextNetwork] = []
        result = self._objective(None)(self._params(), 0, trained=networks.append)
        return result, networks[0]

    def _params(self) -> dict[str, Any]:
        study = optuna.create_study()
        return self.definition.space.suggest(study.ask())

    def _objective(self, ledger: Ledger | None) -> Objective:
        common = {
            "definition": self.definition,
            "tokens": self.tokens,
            "device": torch.device("cpu"),
        }
        if ledger is None:
            return Objective(**common)  # type: ignore[arg-type]
        return Witnessed(ledger=ledger, sample=self.sample, **common)  # type: ignore[arg-type]

    def new_plan(self, name: str) -> Plan:
        """A plan of a study of that name."""
        request = Request(definition="quick", study_name=name, settings=SETTINGS)
        return Plan(
            name=name,
            definition=self.definition,
            tokens=self.tokens,
            code={},
            request=request,
        )

    def create(self, name: str) -> None:
        """Create the study to work on, in a process of its own: forks inherit no connection."""
        self.plan = self.new_plan(name)

        def work() -> None:
            with open_for_search(self.location) as store:
                self.plan.enter(store, {})

        assert wait_for(fork(work)) == 0

    def search(self, kill: KillPoint | None = None, *, lease: float = LEASE_SECONDS) -> None:
        """What a worker does, in this process."""
        ledger = Ledger(self.ledger, self.plan.name)
        task = Task(
            location=self.location,
            plan=self.plan,
            environment=self.environment,
            total=self.total,
            limits=Limits(
                lease_seconds=lease, patience_seconds=60, max_retries=100, checkpoint_seconds=0
            ),
        )
        patient = Patience(seconds=task.limits.patience_seconds)  # as workers are
        with open_for_search(self.location, patient) as store:
            if kill is not None:
                kill.watch(store.engine)
                kill.watch_disk()
            study = store.patiently(lambda: self.plan.load(store))
            objective = self._objective(ledger)
            task.search(store, study, LedgerObserver(ledger), NeverStop(), objective=objective)
            if kill is not None:
                kill.stop()
                ledger.write(what="points", points=kill.passed)

    def worker(
        self,
        kill: int | None = None,
        *,
        by: signal.Signals = signal.SIGKILL,
        lease: float = LEASE_SECONDS,
    ) -> int:
        """Start one; its pid. With ``kill`` it counts its writes, and dies at that one."""
        point = None if kill is None else KillPoint(kill, by)
        return fork(lambda: self.search(point, lease=lease))


def fork(work: Callable[[], None]) -> int:
    """Run it in a child; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def wait_for(pid: int) -> int:
    """Exit code of a child; -9 if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def all_points(shop: Workshop) -> list[str]:
    """Let a worker search a study of its own, undisturbed; what it writes."""
    shop.create("whole")
    assert wait_for(shop.worker(kill=0)) == 0
    (points,) = (line["points"] for line in read_ledger(shop.ledger) if line["what"] == "points")
    return list(points)


def kill_at_each_point(shop: Workshop, plan: dict[str, Any]) -> dict[str, Any]:
    """A worker dies at its n-th write, for every ``stride``-th n, each time in a study of its own.

    Then another worker does what is left.
    """
    points = all_points(shop)
    studies = {}
    for point in range(1 + plan["offset"], len(points) + 1, plan["stride"]):
        name = f"killed-{point}"
        shop.create(name)
        first, second = wait_for(shop.worker(kill=point)), wait_for(shop.worker())
        studies[name] = {"at": points[point - 1], "first": first, "second": second}
    return {"points": points, "studies": studies}


def kill_at_random(shop: Workshop, plan: dict[str, Any]) -> dict[str, Any]:
    """So many workers, killed now and then and replaced, until all have nothing left to do."""
    chance = random.Random(plan["seed"])
    workers = [shop.worker() for _ in range(plan["workers"])]
    kills, failures = 0, 0
    while workers:
        if kills < plan["kills"]:
            # anywhere in a trial: they take some hundredths of a second
            time.sleep(chance.uniform(0.01, 0.15))
            victim = chance.choice(workers)
            os.kill(victim, signal.SIGKILL)
        else:
            victim = workers[0]
        code = wait_for(victim)
        workers.remove(victim)
        if code == -signal.SIGKILL:
            kills += 1
            workers.append(shop.worker())
        elif code:
            failures += 1
    return {"kills": kills, "failures": failures}


def many(shop: Workshop, plan: dict[str, Any]) -> dict[str, Any]:
    """So many workers until all have nothing left to do."""
    started = time.perf_counter()
    codes = [wait_for(pid) for pid in [shop.worker() for _ in range(plan["workers"])]]
    return {"codes": codes, "seconds": time.perf_counter() - started}


# How many sessions of a server's database are in a transaction, but for the one that asks.
OPEN_TRANSACTIONS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND xact_start IS NOT NULL AND pid <> pg_backend_pid()",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx JOIN "
    "information_schema.processlist ON trx_mysql_thread_id = id WHERE db = database()",
}


def stopped(shop: Workshop, pid: int) -> bool:
    """Stop a worker, unless it is in a transaction: others would wait as long as it slept."""
    os.kill(pid, signal.SIGSTOP)
    if not in_transaction(shop.location):
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def in_trial(shop: Workshop, pid: int) -> bool:
    """Check whether the last thing that a worker wrote down is that it began a trial."""
    lines = [line for line in read_ledger(shop.ledger) if line["pid"] == pid]
    return bool(lines) and lines[-1]["what"] == "begin"


def in_transaction(location: Location) -> bool:
    """Check whether somebody keeps locks on the database."""
    if location.path is None:
        engine = sqlalchemy.create_engine(location.url)
        with closing(engine.connect()) as connection:
            count = connection.exec_driver_sql(OPEN_TRANSACTIONS[location.kind]).scalar()
        engine.dispose()
        return bool(count)
    with closing(sqlite3.connect(location.path, timeout=0.1)) as file:
        try:
            file.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


def stop_past_the_lease(shop: Workshop, plan: dict[str, Any]) -> dict[str, Any]:
    """A worker is stopped in its first trial, another one does the rest, the first one wakes."""
    sleeper = shop.worker(lease=plan["lease"])
    while not (shop.ledger.exists() and read_ledger(shop.ledger)):
        time.sleep(0.01)  # asks again
    while not (stopped(shop, sleeper) and in_trial(shop, sleeper)):
        os.kill(sleeper, signal.SIGCONT)
        assert os.waitpid(sleeper, os.WNOHANG) == (0, 0), "it was never met in a trial"
        time.sleep(0.01)
    other = wait_for(shop.worker(lease=plan["lease"]))
    os.kill(sleeper, signal.SIGCONT)
    return {"other": other, "sleeper": wait_for(sleeper), "pid": sleeper}


def sleep_in_a_transaction(shop: Workshop, plan: dict[str, Any]) -> dict[str, Any]:
    """A worker sleeps before each n-th commit, with its locks; another one does the rest."""
    server.IDLE_SECONDS = plan["idle"]
    points = all_points(shop)
    commits = [number for number, point in enumerate(points, 1) if point == "commit"]
    studies = {}
    for point in commits[:: plan["stride"]]:
        name = f"asleep-{point}"
        shop.create(name)
        sleeper = shop.worker(kill=point, by=signal.SIGSTOP, lease=plan["lease"])
        _, status = os.waitpid(sleeper, os.WUNTRACED)
        if not os.WIFSTOPPED(status):  # it was done before it wrote so often
            studies[name] = {"other": 0, "sleeper": os.waitstatus_to_exitcode(status)}
            continue
        other = wait_for(shop.worker(lease=plan["lease"]))
        os.kill(sleeper, signal.SIGCONT)
        studies[name] = {"other": other, "sleeper": wait_for(sleeper)}
    return {"studies": studies}


def all_plans() -> dict[str, Callable[[Workshop, dict[str, Any]], dict[str, Any]]]:
    """All plans, those of workers that stay too."""
    from chaos.fleet import fleet, shares

    return {**PLANS, "fleet": fleet, "shares": shares}


PLANS: dict[str, Callable[[Workshop, dict[str, Any]], dict[str, Any]]] = {
    "kill_at_each_point": kill_at_each_point,
    "kill_at_random": kill_at_random,
    "many": many,
    "sleep_in_a_transaction": sleep_in_a_transaction,
    "stop_past_the_lease": stop_past_the_lease,
}


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    shop = Workshop(plan["url"], Path(plan["ledger"]), plan["total"], instant=plan["instant"])
    if "studies" not in plan:
        shop.create("quick")
    print(json.dumps(all_plans()[plan["plan"]](shop, plan)))


if __name__ == "__main__":
    main()
