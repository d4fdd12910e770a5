"""Plans with many studies and workers that stay, which are killed, drained, stopped and paused."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest import mock

from chaos.workshop import Ledger, LedgerObserver, Workshop, fork, wait_for

from cvfp_opt.api.wishes import new_entry
from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.storage import Store, open_for_editing, open_for_search
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.overview import Stage, read_queue
from cvfp_opt.store.queue.workers import Wanted, WorkerState, read_workers, want
from cvfp_opt.store.record.studies import load_study
from cvfp_opt.tuning.environment import describe_environment
from cvfp_opt.tuning.limits import Limits
from cvfp_opt.tuning.objective import Objective
from cvfp_opt.tuning.stopping import SearchStopped, StopRequest
from cvfp_opt.workers import staying, telling
from cvfp_opt.workers.health import Pulse
from cvfp_opt.workers.staying import Staying
from cvfp_opt.workers.task import Task
from cvfp_opt.workers.terms import Terms


class FleetObserver(LedgerObserver):
    """Writes down for each study what its worker is told."""

    def __init__(self, shop: Workshop) -> None:
        super().__init__(Ledger(shop.ledger, ""))
        self._shop = shop

    def serving(self, task: Task) -> None:
        self._ledger = Ledger(self._shop.ledger, task.plan.name)

    def resting(self, reason: str) -> None:
        pass


def submit_all(shop: Workshop, studies: dict[str, dict[str, Any]]) -> None:
    """Create the studies in a process of its own: forks inherit no connection."""

    def work() -> None:
        with open_for_search(shop.location) as store:
            for name, wishes in studies.items():
                shop.new_plan(name).enter(store, {}, new_entry(wishes))

    assert wait_for(fork(work)) == 0


def stay(shop: Workshop, version: str = "") -> int:
    """Start a worker that stays, maybe of another version; its pid."""

    def objective(task: Task) -> Objective:
        return shop._objective(Ledger(shop.ledger, task.plan.name))

    def environment(*words: Any) -> Any:
        found = describe_environment(*words)
        return {**found, "versions": {**found["versions"], "cvfp-opt": version}}

    def work() -> None:
        limits = Limits(
            lease_seconds=30.0, patience_seconds=60, max_retries=100, checkpoint_seconds=0
        )
        terms = Terms(location=shop.location, device="cpu", mixed=True, limits=limits)
        with (
            mock.patch.object(Task, "objective", objective),
            mock.patch.object(staying, "IDLE_SECONDS", (0.05, 0.2)),
            mock.patch.object(staying, "CHOICE_SECONDS", 0.05),
            mock.patch.object(telling, "BEAT_SECONDS", 0.2),
            mock.patch.object(
                staying, "describe_environment", environment if version else describe_environment
            ),
            StopRequest(lambda: None) as stop,
            suppress(SearchStopped),
        ):
            Staying(terms, FleetObserver(shop), stop, Pulse(60.0)).run()

    return fork(work)


def look(shop: Workshop, act: Callable[[Store], Any]) -> Any:
    """Look at the database or change it, and leave no connection open."""
    with open_for_editing(shop.location) as store:
        return act(store)


def all_done(shop: Workshop) -> bool:
    found = look(shop, read_queue)
    return all(study.stage is Stage.DONE for study in found)


def disturb(shop: Workshop, chance: random.Random, workers: list[int], names: list[str]) -> str:
    """Do one of the things that happen to a service; which."""
    what = chance.choice(["kill", "kill", "stop", "drain", "order", "pause"])
    if what == "kill":
        os.kill(chance.choice(workers), signal.SIGKILL)
    elif what == "stop":
        os.kill(chance.choice(workers), signal.SIGTERM)
    elif what in ("drain", "order"):
        wanted = Wanted.DRAIN if what == "drain" else Wanted.STOP

        def act(store: Store) -> None:
            known = [one for one in read_workers(store) if one.state is not WorkerState.GONE]
            if known:
                with suppress(StudyError):  # it left meanwhile
                    want(store, chance.choice(known).worker, wanted, within=0.5)

        look(shop, act)
    else:

        def act(store: Store) -> None:
            study = load_study(store, chance.choice(names))
            try:
                control.pause(store, study, now=True)
            except StudyError:  # it is done
                return
            control.resume(store, study)

        look(shop, act)
    return what


def fleet(shop: Workshop, plan: dict[str, Any]) -> dict[str, Any]:
    """Workers that stay finish many studies, whatever is done to them; each one is replaced."""
    studies = {
        f"s{n}": {"total": shop.total, "weight": 1.0 + n % 3} for n in range(plan["studies"])
    }
    submit_all(shop, studies)
    chance = random.Random(plan["seed"])
    versions = ["", "9.9"]
    workers = [stay(shop, versions[n % 2]) for n in range(plan["workers"])]
    done: dict[str, int] = {}
    failures: list[int] = []
    while not all_done(shop):
        if sum(done.values()) < plan["disturbances"]:
            time.sleep(chance.uniform(0.02, 0.2))
            what = disturb(shop, chance, workers, list(studies))
            done[what] = done.get(what, 0) + 1
        failures += replace_ended(shop, workers)
        time.sleep(0.02)
    while look(shop, unsettled):
        failures += replace_ended(shop, workers)
        time.sleep(0.05)
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    failures += [code for code in map(wait_for, workers) if code not in (0, -signal.SIGKILL)]
    names = [worker.state for worker in look(shop, read_workers)]
    return {"done": done, "failures": failures, "left": [n for n in names if n != "gone"]}


def replace_ended(shop: Workshop, workers: list[int]) -> list[int]:
    """Start a worker for each that has ended; give the exit codes that should not have been."""
    failures = []
    for pid in list(workers):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            workers.remove(pid)
            workers.append(stay(shop))
            code = os.waitstatus_to_exitcode(status)
            failures += [] if code in (0, -signal.SIGKILL) else [code]
    return failures


def unsettled(store: Store) -> bool:
    """Check whether what dead workers left is still to be looked after."""
    return any(one.study_id is not None for one in read_workers(store))


def shares(shop: Workshop, plan: dict[str, Any]) -> dict[str, Any]:
    """Workers that stay share themselves by weight; how many trials of each study they began."""
    weights = {name: float(weight) for name, weight in plan["studies"].items()}
    submit_all(shop, {n: {"total": shop.total, "weight": w} for n, w in weights.items()})
    workers = [stay(shop) for _ in range(plan["workers"])]
    started: dict[str, int] = {}
    while sum(started.values()) < plan["trials"]:
        time.sleep(0.1)
        started = {study.name: study.started for study in look(shop, read_queue)}
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    return {"started": started, "codes": [wait_for(pid) for pid in workers]}
