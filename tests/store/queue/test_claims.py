"""Claims: each trial to one worker, those of dead workers taken over, totals exact."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

import optuna
import psutil
import pytest
import sqlalchemy
from claiming import Workers, take
from dumps import record
from optuna.trial import TrialState, create_trial

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import LEASES
from cvfp_opt.store.queue.claims import MAX_RETRIES, ClaimedTrial, NoTrial
from cvfp_opt.store.queue.enqueued import enqueue_points
from cvfp_opt.store.queue.leases import FORMER_LEASE, LeaseLost, Worker, read_leases
from cvfp_opt.store.queue.takeover import fail_trial
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.tuning.optuna_trial import open_trial

DEAD = {"pid": 2**22 + 1}  # beyond what Linux counts to
# On another machine pids say nothing: only the lease counts.
ELSEWHERE = {"machine": "another boot/pid:[1]", "host": "elsewhere"}


def states(study: optuna.Study) -> list[TrialState]:
    return [trial.state for trial in study.trials]


def move_clock(store: Store, trial_id: int, seconds: float) -> None:
    """As if so many seconds had passed since the lease was renewed."""
    with store.engine.begin() as connection:
        connection.execute(
            sqlalchemy.update(LEASES)
            .where(LEASES.c.trial_id == trial_id)
            .values(expires=LEASES.c.expires - seconds)
        )


def test_totals_are_exact_however_many_ask(workers: Workers, study: optuna.Study) -> None:
    many = [workers.add() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: many[n % 4].claim(7), range(20)))
    claimed = [one for one in found if isinstance(one, ClaimedTrial)]
    assert sorted(one.number for one in claimed) == list(range(7))
    assert states(study) == [TrialState.RUNNING] * 7
    assert {one for one in found if isinstance(one, NoTrial)} == {NoTrial.WAIT}


def test_the_last_one_to_run_a_trial_need_not_wait(workers: Workers) -> None:
    one, other = workers.add(), workers.add()
    take(one, 1)
    assert one.claim(1) is NoTrial.DONE  # what it runs itself is no reason to wait
    assert other.claim(1) is NoTrial.WAIT


def test_a_trial_is_born_with_an_identity_that_it_keeps(
    workers: Workers, study: optuna.Study
) -> None:
    writer = take(workers.add())
    written = study.trials[0].system_attrs[IDENTITY_KEY]
    assert written == writer.claimed.identity.to_dict()
    assert (writer.claimed.identity.seed, writer.claimed.identity.number) == (7, 0)
    writer.give_back()
    assert take(workers.add()).claimed.identity.to_dict() == written


def test_an_enqueued_trial_gets_one_too_and_comes_before_new_ones(
    workers: Workers, study: optuna.Study
) -> None:
    study.enqueue_trial({"x": 0.25})
    writer = take(workers.add())
    trial = open_trial(study, writer)
    assert trial.suggest_float("x", 0, 1) == 0.25
    assert IDENTITY_KEY in study.trials[0].system_attrs


def test_an_answer_that_was_lost_costs_no_trial(workers: Workers, study: optuna.Study) -> None:
    worker = workers.add()
    writer = take(worker)
    worker.claimed.clear()  # as if the claim had been written, but no answer had come
    assert take(worker).claimed.trial_id == writer.claimed.trial_id
    assert len(study.trials) == 1


@pytest.mark.parametrize("who", [DEAD, ELSEWHERE], ids=["dead", "expired"])
def test_the_trial_of_a_dead_worker_is_taken_over_as_if_it_had_not_run(
    who: dict[str, object], workers: Workers, study: optuna.Study, store: Store
) -> None:
    if who is ELSEWHERE and store.kind.one_host:
        who = {}  # a live process that is asleep
    writer = take(workers.add(**who))
    trial = open_trial(study, writer)
    x = trial.suggest_float("x", 0, 1)
    trial.report(0.5, 0)
    trial.set_user_attr("status", "half done")
    writer.flush()
    other = workers.add()
    if who is not DEAD:
        assert take(other).claimed.number == 1  # not yet
        move_clock(store, writer.claimed.trial_id, 61.0)
    taken = take(other)
    assert (taken.claimed.number, taken.claimed.epoch, taken.claimed.attempts) == (0, 2, 1)
    assert workers.notices == ["trial 0 was left by a dead worker: it goes on here"]
    seen = study.trials[0]
    assert (seen.params, seen.user_attrs, seen.intermediate_values) == ({"x": x}, {}, {})
    with pytest.raises(LeaseLost):
        writer.finish(TrialState.COMPLETE, [1.0])
    taken.finish(TrialState.COMPLETE, [0.75])
    assert study.trials[0].value == 0.75


def test_a_trial_that_kills_its_workers_is_given_up(workers: Workers, study: optuna.Study) -> None:
    for _ in range(MAX_RETRIES + 1):
        assert take(workers.add(**DEAD)).claimed.number == 0
    assert take(workers.add(), 5).claimed.number == 1
    lost = study.trials[0]
    assert lost.state is TrialState.FAIL
    assert lost.user_attrs == {"status": "lost", "reason": "4 workers died while they ran it"}
    assert workers.notices[-1] == "trial 0 is given up: 4 workers died while they ran it"


def test_giving_back_is_no_death(workers: Workers, study: optuna.Study) -> None:
    worker = workers.add()
    for epoch in range(1, 2 * MAX_RETRIES + 2, 2):
        writer = take(worker)
        assert (writer.claimed.number, writer.claimed.epoch, writer.claimed.attempts) == (
            0,
            epoch,
            0,
        )
        assert writer.give_back()
    assert states(study) == [TrialState.WAITING]
    assert study.trials[0].datetime_start is None


def test_one_who_runs_nothing_can_release_what_the_dead_left(
    workers: Workers, study: optuna.Study
) -> None:
    take(workers.add())
    take(workers.add(**DEAD))
    assert workers.add().release_dead() == [1]
    assert states(study) == [TrialState.RUNNING, TrialState.WAITING]
    assert take(workers.add()).claimed.attempts == 1


def test_other_programs_trials_are_left_alone_but_count(
    workers: Workers, study: optuna.Study
) -> None:
    study.ask()
    assert take(workers.add(), 2).claimed.number == 1
    assert workers.add().claim(2) is NoTrial.WAIT
    take(workers.add(), 3).finish(TrialState.COMPLETE, [1.0])
    assert states(study)[0] is TrialState.RUNNING


def test_a_trial_told_by_another_program_is_not_overwritten(
    workers: Workers, study: optuna.Study
) -> None:
    writer = take(workers.add())
    study.tell(0, 5.0)
    with pytest.raises(LeaseLost):
        writer.finish(TrialState.COMPLETE, [1.0])
    assert study.trials[0].value == 5.0


def test_a_trial_failed_by_hand_is_refused_to_its_worker(
    workers: Workers, study: optuna.Study, store: Store
) -> None:
    writer = take(workers.add())
    assert fail_trial(store, study, 0, "looked wrong")
    assert not fail_trial(store, study, 0, "twice")
    assert not fail_trial(store, study, 9, "is not there")
    with pytest.raises(LeaseLost):
        writer.renew()
    assert study.trials[0].user_attrs == {"status": "failed by hand", "reason": "looked wrong"}


def test_a_lease_of_format_1_is_judged_by_its_process(
    workers: Workers, study: optuna.Study
) -> None:
    me = Worker.of_this_process()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    alive = {"worker": "w", "host": me.host, "pid": me.pid, "started": me.started}
    for lease in (alive, alive | {"pid": dead.pid}, alive | {"host": "elsewhere"}):
        attrs = {FORMER_LEASE: lease}
        study.add_trial(create_trial(state=TrialState.RUNNING, system_attrs=attrs))
    worker = workers.add()
    assert [take(worker).claimed.number for _ in range(3)] == [1, 2, 3]


def test_a_clock_that_was_set_back_keeps_a_dead_workers_trial_for_one_lease_only(
    workers: Workers, store: Store
) -> None:
    who = {} if store.kind.one_host else ELSEWHERE
    writer = take(workers.add(**who))
    move_clock(store, writer.claimed.trial_id, -3600.0)
    assert workers.add().claim(1) is NoTrial.WAIT
    move_clock(store, writer.claimed.trial_id, 61.0)
    assert take(workers.add(), 1).claimed.number == 0


def test_a_renewed_lease_is_by_the_databases_clock(workers: Workers, store: Store) -> None:
    writer = take(workers.add(seconds=30.0))
    with store.engine.connect() as connection:
        now = connection.scalars(sqlalchemy.select(store.now())).one()
        leases = read_leases(connection, study_id_of(writer.claims.study))
        lease = leases[writer.claimed.trial_id]
    assert abs(now - datetime.now().timestamp()) < 5.0  # one machine: the same clock
    assert 0 <= lease.expires - now <= 30.0
    assert not lease.is_dead(now, one_host=store.kind.one_host)


def test_a_process_that_ended_is_gone_even_if_nobody_asked_how() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    me = Worker.of_this_process()
    started = psutil.Process(process.pid).create_time()
    child = Worker(worker="w", host=me.host, machine=me.machine, pid=process.pid, started=started)
    assert not child.has_ended()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
    assert child.has_ended()
    process.communicate()


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
def test_times_are_what_the_clock_on_the_wall_says(workers: Workers, study: optuna.Study) -> None:
    take(workers.add()).finish(TrialState.COMPLETE, [0.5])
    [trial] = study.trials
    for said in (trial.datetime_start, trial.datetime_complete):
        assert said is not None
        assert abs((said - datetime.now()).total_seconds()) < 60.0


def test_a_holder_that_ends_its_trial_while_it_is_being_taken_over_wins(
    workers: Workers, study: optuna.Study, store: Store
) -> None:
    if store.kind.one_host:
        pytest.skip("an SQLite file has one writer at a time")
    writer = take(workers.add(**ELSEWHERE))
    move_clock(store, writer.claimed.trial_id, 61.0)
    claiming, ended = threading.get_ident(), threading.Event()

    def end_it(connection: object, cursor: object, statement: str, *more: object) -> None:
        taking = statement.startswith("UPDATE cvfp_opt_leases")
        if taking and threading.get_ident() == claiming and not ended.is_set():
            ended.set()
            with ThreadPoolExecutor(1) as pool:
                pool.submit(writer.finish, TrialState.COMPLETE, [0.5]).result()

    sqlalchemy.event.listen(store.engine, "before_cursor_execute", end_it)
    assert take(workers.add()).claimed.number == 1
    assert (study.trials[0].state, study.trials[0].value) == (TrialState.COMPLETE, 0.5)
    assert workers.notices == []


@pytest.mark.parametrize("location", ["sqlite"], indirect=True)  # servers give no number twice
def test_a_study_that_has_the_number_of_a_deleted_one_is_another_ones(
    store: Store, study: optuna.Study
) -> None:
    record(uuid="former").write(study)
    worker = replace(Workers(store, study).add(), identity="former")
    writer = take(worker)
    writer.give_back()
    record(uuid="later").write(study)  # as SQLite gives it the number
    for act in (lambda: worker.claim(100), worker.release_dead):
        with pytest.raises(StudyError, match="somebody has deleted it"):
            act()
    assert states(study) == [TrialState.WAITING]


def test_an_enqueued_trial_has_no_lease_of_a_deleted_one(
    workers: Workers, store: Store, study: optuna.Study
) -> None:
    writer = take(workers.add(**DEAD))
    with store.engine.begin() as connection:  # as Optuna leaves it when it deletes a trial
        connection.execute(
            sqlalchemy.update(LEASES).values(trial_id=writer.claimed.trial_id + 1, attempts=3)
        )
    enqueue_points(store, study, [{}], seed=7)
    assert take(workers.add()).claimed.attempts == 0
