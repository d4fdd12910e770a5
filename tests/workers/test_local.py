"""Real worker processes: exact totals, stops, deaths and errors; nothing is left running."""

import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import psutil
import pytest
import torch
from forked import act_in_server
from optuna.trial import TrialState
from processes import Process
from running import (
    SLOW_JOBS,
    TWO_JOBS,
    end_of,
    finished_lines,
    kill_in_trial,
    read_until,
    states,
    trials,
    wait_for_trial,
)
from support import TINY, Outcome, Start

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.file_watch import FileGone
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition
from cvfp_opt.tuning.objective import Objective
from cvfp_opt.tuning.plan import Request, make_plan
from cvfp_opt.tuning.stopping import SearchStopped, StopRequest
from cvfp_opt.workers.local import LocalWorkers, _Worker
from cvfp_opt.workers.messages import Refused
from cvfp_opt.workers.process import ignore_further_sigterm
from cvfp_opt.workers.task import Task

Invoke = Callable[..., Outcome]


def test_two_workers_do_exactly_the_total_and_what_one_would(start: Start) -> None:
    code, out = end_of(start(*TWO_JOBS, "--n-trials", "8", cwd=Path.cwd()))
    assert code == 0, out
    assert "8 trials in all, seed 0, cpu, 2 processes of 1 thread\n" in out
    lines = finished_lines(out)
    assert sorted(int(line.split()[2]) for line in lines) == list(range(8))
    assert [line.split("]")[0] for line in lines][-1] == "[8/8"
    found = trials()
    assert [t.state for t in found] == [TrialState.COMPLETE] * 8
    assert len({t.user_attrs["environment"]["worker"] for t in found}) == 2
    definition = resolve_definition(read_sections("quick"), TINY, where="quick")
    solo = Objective(
        definition=definition, tokens=definition.load_tokens(), device=torch.device("cpu")
    )
    for trial in found:
        params = definition.space.suggest(optuna.trial.FixedTrial(trial.params))  # type: ignore[arg-type]
        digest = trial.user_attrs["environment"]["weights_digest"]
        assert solo(params, trial.number).weights_digest == digest
        assert trial.user_attrs["environment"]["threads"] == 1


def server_of(process: Process) -> psutil.Process:
    """Find the process that its workers are forked from."""
    children = psutil.Process(process.pid).children()
    [server] = [child for child in children if "forkserver" in " ".join(child.cmdline())]
    return server


def workers_of(process: Process) -> list[psutil.Process]:
    return server_of(process).children()


def stop_by_sigint(process: Process) -> None:
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does


def stop_by_sigterm(process: Process) -> None:
    process.terminate()


def stop_by_sigterm_to_all(process: Process) -> None:
    os.killpg(process.pid, signal.SIGTERM)  # as a service manager does


@pytest.mark.processes
def test_stops_give_all_trials_back_and_the_same_command_ends_at_the_total(start: Start) -> None:
    given_back = {}
    for stop, signum in (
        (stop_by_sigint, signal.SIGINT),
        (stop_by_sigterm, signal.SIGTERM),
        (stop_by_sigterm_to_all, signal.SIGTERM),
    ):
        process = start(*SLOW_JOBS, cwd=Path.cwd())
        wait_for_trial(process)
        stop(process)
        code, out = end_of(process)
        assert code == 128 + signum, out
        assert "stopping: giving the running trials back" in out
        assert "; nothing is lost\n" in out
        assert "to go on:" in out
        assert "cvfp-opt run --study-name quick" in out
        assert "worker process" not in out
        assert TrialState.WAITING in states()
        assert TrialState.RUNNING not in states()
        given_back |= {t.number: t.params for t in trials() if t.state is TrialState.WAITING}
    code, out = end_of(start(*SLOW_JOBS, cwd=Path.cwd()))
    assert code == 0, out
    assert states() == [TrialState.COMPLETE] * 5
    assert given_back.items() <= {t.number: t.params for t in trials()}.items()


@pytest.mark.processes
def test_nothing_is_lost_when_the_parent_and_then_a_worker_is_killed(start: Start) -> None:
    process = start(*SLOW_JOBS, cwd=Path.cwd())
    wait_for_trial(process)
    workers = workers_of(process)
    assert len(workers) == 2
    others = [*workers, server_of(process)]
    process.kill()
    assert psutil.wait_procs(others, timeout=60)[1] == []
    assert end_of(process)[0] == -signal.SIGKILL
    assert TrialState.RUNNING not in states()
    assert TrialState.WAITING in states()

    process = start(*SLOW_JOBS, cwd=Path.cwd())
    victim = kill_in_trial(process)
    code, out = end_of(process)
    assert code == 0, out
    told = (
        rf"worker process {victim}, which ran trial \d, was killed by SIGKILL \(exit status -9\)"
    )
    assert re.search(told, out)
    assert "was left by a dead worker: it goes on here" in out
    assert states() == [TrialState.COMPLETE] * 5


# A loss of the user's own is the one place where a test can act within a worker.
LOSS = """
import multiprocessing, os, time
from cvfp_opt.errors import DataError
from cvfp_opt.model.diversity import orthogonality
IN_WORKER = multiprocessing.parent_process() is not None

def loss(contexts, running_mean):
    if IN_WORKER and len(contexts) == 16:  # a minibatch, not a trial of the loss itself
        {act}
    return orthogonality(contexts, running_mean)
"""


def start_with_loss(start: Start, act: str) -> Process:
    Path("mine.py").write_text(LOSS.format(act=act))
    words = ["--set", "diversity.loss=mine:loss", "--max-retries", "100"]
    return start(*TWO_JOBS, *words, cwd=Path.cwd())


def test_an_error_in_a_worker_is_one_line_and_ends_all(start: Start) -> None:
    code, out = end_of(start_with_loss(start, 'raise DataError("the text is gone")'))
    assert code == 1
    assert out.splitlines()[-1] == "Error: the text is gone"
    assert set(states()) == {TrialState.WAITING}


@pytest.mark.processes
def test_workers_that_keep_dying_are_given_up(start: Start) -> None:
    code, out = end_of(start_with_loss(start, "os._exit(7)"))
    assert code == 1
    assert out.count("ended with exit status 7") == 5  # two, and three replacements
    [error] = [line for line in out.splitlines() if line.startswith("Error")]
    assert error.startswith("Error: 50 of 50 trials are left undone: 5 workers died")
    assert set(states()) == {TrialState.WAITING}


def test_a_second_signal_ends_workers_that_do_not_listen(start: Start) -> None:
    process = start_with_loss(start, 'print("deaf", flush=True); time.sleep(1000)')
    read_until(process, "deaf")
    stop_by_sigint(process)
    read_until(process, "again to stop at once")
    stop_by_sigint(process)
    code, out = end_of(process)
    assert code == 130, out
    assert "stopped after 0 of 50 trials; nothing is lost" in out
    assert TrialState.RUNNING not in states()


def test_workers_leave_an_interrupt_to_the_parent_from_their_birth(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    act_in_server(
        """
        def interrupt():
            os.kill(os.getpid(), signal.SIGINT)

        interrupt()
        os.register_at_fork(after_in_child=interrupt)
        print("interrupted", flush=True)
        """,
        monkeypatch,
    )
    code, out = end_of(start(*TWO_JOBS, "--n-trials", "2", cwd=Path.cwd()))
    assert "interrupted" in out
    assert code == 0, out
    assert "worker process" not in out
    assert states() == [TrialState.COMPLETE] * 2


def test_a_search_outlives_the_server_that_its_workers_were_forked_from(start: Start) -> None:
    process = start(*SLOW_JOBS, cwd=Path.cwd())
    wait_for_trial(process)
    server_of(process).kill()
    code, out = end_of(process)
    assert code == 0, out
    assert states() == [TrialState.COMPLETE] * 5


def test_a_worker_heeds_the_first_sigterm_only() -> None:
    with StopRequest(ignore_further_sigterm) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(SearchStopped):
            stop.check()


def test_a_bug_in_a_worker_gives_exit_3_and_a_log_with_its_traceback(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cvfp_opt.workers.session.describe_environment",
        lambda device, threads: {"device": "cpu", "threads": "many"},
    )
    outcome = invoke(*TWO_JOBS)
    assert outcome.code == 3
    assert "this is a bug in cvfp-opt: WorkerError: TypeError: " in outcome.err
    [log] = Path("storage/logs").iterdir()
    assert "in set_threads" in log.read_text()


@pytest.fixture
def num_started(monkeypatch: pytest.MonkeyPatch) -> list[BaseProcess]:
    """The processes that are started from here on."""
    started: list[BaseProcess] = []
    start = BaseProcess.start

    def counted(process: BaseProcess) -> None:
        started.append(process)
        start(process)

    monkeypatch.setattr(BaseProcess, "start", counted)
    return started


def test_no_process_is_started_without_need(
    run_tiny: Invoke, num_started: list[BaseProcess]
) -> None:
    assert "cpu with 1 thread\n" in run_tiny("--n-trials", "1", "--n-jobs", "1").out
    assert "cpu with 1 thread\n" in run_tiny("--n-trials", "2", "--n-jobs", "4").out
    run_tiny("--n-trials", "2", "--n-jobs", "4")
    assert num_started == []
    assert "2 processes of 1 thread\n" in run_tiny("--n-trials", "4", "--n-jobs", "3").out
    assert len(num_started) == 2


class Told:
    """A worker's line, with one message."""

    def __init__(self, message: object) -> None:
        self._message = message

    def recv(self) -> object:
        return self._message


def test_a_worker_that_the_database_refuses_ends_alone() -> None:
    notices: list[str] = []
    observer: Any = SimpleNamespace(notice=notices.append)
    with open_for_search(resolve_location("x.db")) as store:
        plan = make_plan(store.location, Request(definition="quick", settings=TINY))
        study, _ = plan.enter(store, {})
        task = Task(location=store.location, plan=plan, environment={}, total=1)
        workers = LocalWorkers(task, 2, store, study, observer)
        refusal = StorageError("too many connections")
        refused, other = (
            _Worker(cast(Any, SimpleNamespace(pid=pid)), cast(Any, Told(Refused(refusal))))
            for pid in (1, 2)
        )
        workers._workers = [refused, other]
        workers._listen(refused)
        assert notices == ["worker process 1 gives up: too many connections"]
        with pytest.raises(StorageError, match="too many connections"):
            workers._check_refusal()  # a trial is left undone
        study.add_trial(optuna.trial.create_trial(value=0.5))
        workers._check_refusal()  # the other one has done it


def test_of_a_moved_file_the_one_who_knows_where_it_is_has_the_last_word() -> None:
    observer: Any = SimpleNamespace(notice=lambda text: None)
    with suppress(FileGone), open_for_search(resolve_location("x.db")) as store:
        plan = make_plan(store.location, Request(definition="quick", settings=TINY))
        study, _ = plan.enter(store, {})
        task = Task(location=store.location, plan=plan, environment={}, total=1)
        workers = LocalWorkers(task, 2, store, study, observer)
        workers._refusal = StorageError("x.db: disk I/O error")  # of one that was opening it
        Path("x.db").rename("y.db")
        with pytest.raises(FileGone, match=r"was moved to \S*y\.db while it was in use"):
            workers._check_refusal()
