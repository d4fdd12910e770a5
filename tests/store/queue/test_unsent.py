"""An unsent result is written to its own trial, and to no other one."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from claiming import take
from doctoring import NO_PROCESS, RECORD, fill, report_run
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import update

from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.database.tables import LEASES
from cvfp_opt.store.doctor.examination import Patient, examine, mend
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.takeover import fail_trial
from cvfp_opt.store.queue.trial_writer import TrialWriter
from cvfp_opt.store.queue.unsent import keep_unsent, send_unsent
from cvfp_opt.store.record.studies import create_study


@pytest.fixture
def filled(location: Location) -> Location:
    fill(location)
    return location


@pytest.fixture
def file() -> Location:
    location = resolve_location("x.db")
    fill(location)
    return location


def claims_of(store: Store, name: str = "s") -> Claims:
    """A worker of its own, in this process."""
    study = optuna.load_study(study_name=name, storage=store.storage)
    return Claims(store=store, study=study, seed=7, identity=RECORD.identity)


def trial_of(store: Store, number: int, name: str = "s") -> FrozenTrial:
    study = optuna.load_study(study_name=name, storage=store.storage)
    [trial] = [t for t in study.get_trials(deepcopy=False) if t.number == number]
    return trial


def keep(writer: TrialWriter) -> Path:
    """The result of a trial whose database has gone away."""
    report_run(writer)
    writer.pending.params.clear()  # they were written when it began
    writer.pending.system_attrs["artifacts:curves"] = "{}"
    return keep_unsent(writer, TrialState.COMPLETE, [0.625], ["artifacts:checkpoint"])


def kept_of_a_run(location: Location) -> Path:
    """Of the first trial that a worker finds, which is the one that waits."""
    with open_for_search(location) as store:
        writer = take(claims_of(store))
        writer.pending.system_attrs["artifacts:checkpoint"] = "{}"
        writer.flush()
        writer.pending.clear()
        return keep(writer)


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def without(path: Path, *keys: str) -> None:
    """As versions wrote it that did not know of the keys."""
    value = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in value.items() if k not in keys}))


def send(location: Location) -> list[str]:
    with open_for_search(location) as store:
        return list(send_unsent(claims_of(store)))


def test_a_result_is_written_with_all_that_belongs_to_it(filled: Location) -> None:
    path = kept_of_a_run(filled)
    assert send(filled) == ["trial 4: kept result written to the database"]
    assert not path.exists()
    with open_for_search(filled) as store:
        trial = trial_of(store, 4)
    assert (trial.state, trial.values) == (TrialState.COMPLETE, [0.625])
    assert {k for k in trial.system_attrs if k.startswith("artifacts:")} == {"artifacts:curves"}


OTHERS: dict[str, dict[str, Any]] = {
    "birth": {"birth": {"uuid": "c" * 32, "seed": 7, "number": 4}},
    "number": {"number": 5},
    "id": {"trial_id": 999_999},
    "epoch": {"epoch": 2},
    "worker": {"worker": "d" * 32},
}
WHY = dict.fromkeys(("birth", "number", "id"), "not in this database") | {
    "epoch": "taken from the worker",
    "worker": "another worker runs the trial",
}


def test_what_is_of_another_trial_or_worker_stays(filled: Location) -> None:
    whole = kept_of_a_run(filled)
    paths = {what: whole.with_name(f"{what}.json") for what in OTHERS}
    for what, path in paths.items():
        shutil.copy(whole, path)
        change(path, **OTHERS[what])
    whole.unlink()
    said = send(filled)
    for what, path in paths.items():
        [line] = [line for line in said if str(path) in line]
        assert WHY[what] in line
        assert line.endswith(f"type `rm {path}`")
    report = examine(Patient(location=filled))
    for what, path in paths.items():
        [finding] = [f for f in report.faults if f.where == str(path)]
        assert WHY[what] in finding.line
        assert finding.repair is None
    mend(Patient(location=filled), report, print)
    assert all(path.exists() for path in paths.values())
    with open_for_search(filled) as store:
        assert trial_of(store, 4).state is TrialState.RUNNING
        assert trial_of(store, 4).value is None


def test_a_result_whose_answer_was_lost_is_there_already(file: Location) -> None:
    with open_for_search(file) as store:
        writer = take(claims_of(store))
        path = keep(writer)
        writer.finish(TrialState.COMPLETE, [0.625])
        said = list(send_unsent(claims_of(store)))
    assert said == ["trial 4: kept result was in the database already"]
    assert not path.exists()


def test_a_result_of_a_trial_that_ended_otherwise_stays(file: Location) -> None:
    path = kept_of_a_run(file)
    with open_for_search(file) as store:
        assert fail_trial(store, claims_of(store).study, 4, "looked lost")
    [line] = send(file)
    assert "has ended otherwise" in line
    assert path.exists()


def test_results_of_one_trial_by_two_workers_are_two_files(file: Location) -> None:
    with open_for_search(file) as store:
        writer = take(claims_of(store))
        paths = {keep(writer), keep(TrialWriter(claims=claims_of(store), claimed=writer.claimed))}
    assert len(paths) == 2


@pytest.fixture
def backup(file: Location) -> Callable[[], None]:
    """Of the file as it is now; the function restores it."""
    shutil.copy("x.db", "backup.db")

    def restore() -> None:
        shutil.copy("backup.db", "x.db")

    return restore


def test_a_restored_backup_gives_ids_again_but_no_results(
    file: Location, backup: Callable[[], None]
) -> None:
    with open_for_search(file) as store:
        take(claims_of(store)).finish(TrialState.COMPLETE, [0.1])
        former = take(claims_of(store))
        path = keep(former)
    backup()
    with open_for_search(file) as store:
        take(claims_of(store)).finish(TrialState.COMPLETE, [0.2])
        writer = take(claims_of(store))
        assert (writer.claimed.trial_id, writer.claimed.epoch) == (former.claimed.trial_id, 1)
        [line] = send_unsent(claims_of(store))
        assert "not in this database" in line
        writer.finish(TrialState.COMPLETE, [0.3])
        assert trial_of(store, 5).values == [0.3]
    assert path.exists()


def test_a_worker_of_before_a_backup_writes_to_no_trial_of_after_it(
    file: Location, backup: Callable[[], None]
) -> None:
    """The lease has the same epoch, and is another worker's."""
    with open_for_search(file) as store:
        former = take(claims_of(store))
    backup()
    with open_for_search(file) as store:
        writer = take(claims_of(store))
        assert (writer.claimed.trial_id, writer.claimed.epoch) == (
            former.claimed.trial_id,
            former.claimed.epoch,
        )
        path = keep(former)
        [line] = send_unsent(claims_of(store))
        assert "another worker runs the trial" in line
        assert path.exists()
        writer.finish(TrialState.COMPLETE, [0.3])


def test_of_two_copies_of_a_file_the_one_where_it_ran_gets_the_result(file: Location) -> None:
    path = kept_of_a_run(file)
    shutil.copy("x.db", "copy.db")
    [line] = send(resolve_location("copy.db"))
    assert f"it is of {file.where}, of which this database is a copy" in line
    assert path.exists()
    assert send(file) == ["trial 4: kept result written to the database"]


def test_a_file_that_was_moved_gets_the_result_where_it_is_now(file: Location) -> None:
    path = kept_of_a_run(file)
    Path("x.db").rename("y.db")
    fill(file)  # another one lies there now
    assert send(resolve_location("y.db")) == ["trial 4: kept result written to the database"]
    assert not path.exists()


def test_another_study_has_the_same_trial_ids(file: Location) -> None:
    path = kept_of_a_run(file)
    other = resolve_location("other.db")
    with open_for_search(other) as store:
        study = create_study(store, "s", RECORD)
        writers = [take(Claims(store=store, study=study, seed=7)) for _ in range(6)]
        [line] = send_unsent(claims_of(store))
        assert f"it is of a trial of {file.where} that is not in this database" in line
        for writer in writers:
            writer.finish(TrialState.COMPLETE, [0.1])
    assert path.exists()


@pytest.mark.parametrize("pid", [1, NO_PROCESS])
def test_a_result_without_a_worker_goes_to_a_lease_that_nobody_keeps(
    pid: int, file: Location
) -> None:
    path = kept_of_a_run(file)
    without(path, "worker", "database", "system_attrs", "forget")
    with open_for_search(file) as store, store.engine.begin() as connection:
        started = psutil.Process(pid).create_time() if pid == 1 else 0.0
        changes = {"pid": pid, "started": started}
        connection.execute(update(LEASES).values(**changes))
    [line] = send(file)
    assert path.exists() == (pid == 1)
    assert ("a worker still runs the trial" in line) == (pid == 1)


def test_a_result_of_a_study_that_is_gone_is_a_note(file: Location) -> None:
    path = kept_of_a_run(file)
    change(path, study="e" * 32)
    assert send(file) == []
    [found] = [f for _, f in examine(Patient(location=file)).findings if f.where == str(path)]
    assert found.harmless
    assert f"if it was deleted, type `rm {path}`" in found.line


NO_RESULTS = (
    *("", "[]", "7", "[" * 100_000, '{"format": 1}'),
    *('{"birth": {}}', '{"study": 5}', '{"forget": [1]}', '{"format": 9}', '{"planet": "earth"}'),
    *(
        '{"state": "X"}',
        '{"state": "RUNNING"}',
        '{"user_attrs": [1]}',
        '{"intermediate": {"a": 1}}',
    ),
    *('{"values": null}', '{"values": ["x"]}', '{"values": 7}', '{"epoch": null}'),
    *('{"trial_id": "4"}', '{"trial_id": 1e999}', f'{{"trial_id": {2**70}}}'),
)


def test_files_that_are_no_results_are_named_and_left(file: Location) -> None:
    whole = kept_of_a_run(file)
    value = json.loads(whole.read_text())
    whole.unlink()
    for index, text in enumerate(NO_RESULTS):
        more = text if index < 5 else json.dumps(value | json.loads(text))
        whole.with_name(f"{index}.json").write_text(more)
    os.mkfifo(whole.with_name("pipe.json"))
    whole.with_name("folder.json").mkdir()
    said = send(file)
    assert len(said) == len(NO_RESULTS) + 2
    assert sum(": not an unsent result, left alone: " in line for line in said) == len(NO_RESULTS)
    assert ["a folder" in said[-2], "a named pipe" in said[-1]] == [True, True]
    faults = [f for f in examine(Patient(location=file)).faults if "unsent" in f.where]
    assert len(faults) == len(said)
    assert all("no result that can be read" in found.what for found in faults)
