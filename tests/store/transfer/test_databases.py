"""Into a database and out again: what comes out is what went in, or nothing went in."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import optuna
import pytest
import sqlalchemy
from claiming import Workers, take
from dumps import NAMES, PLAIN_NAMES, own_study, own_trial, record, studies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from cvfp_opt.errors import StorageError, StudyError
from cvfp_opt.store.database import study_rows
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.database.tables import DIRECTIONS, STUDIES
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.transfer import to_database as writing
from cvfp_opt.store.transfer.dump import Dump, StudyDump
from cvfp_opt.store.transfer.from_database import read_dump
from cvfp_opt.store.transfer.to_database import write_dump


@pytest.fixture
def file() -> Iterator[Store]:
    """An empty SQLite file, where it does not matter what kind of database it is."""
    with open_for_search(resolve_location("file.db")) as opened:
        yield opened


def whole_seconds(study: StudyDump) -> StudyDump:
    """As MariaDB keeps it."""
    trials = [
        replace(t, **{k: v and v.replace(microsecond=0) for k, v in times.items()})
        for t in study.trials
        for times in [{"started": t.started, "completed": t.completed}]
    ]
    return replace(study, trials=tuple(trials))


@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_study_passes_through_any_database(
    store: Store, file: Store, data: st.DataObject
) -> None:
    server = store.location.kind == "mysql"
    study = data.draw(studies(PLAIN_NAMES if server else NAMES))
    study = replace(study, name=f"{study.name}{uuid.uuid4().hex}")
    there, back = (whole_seconds(study) if server else study), Dump(study=study)
    for database in (store, file):
        write_dump(database, back)
        back = read_dump(database, study.name)
        assert repr(back) == repr(Dump(study=there))


def test_optuna_reads_what_was_written(store: Store) -> None:
    dump = own_study(
        own_trial(0, x=0.5),
        own_trial(1, x=None, state=TrialState.WAITING, system_attrs={"fixed_params": {"x": 0.75}}),
        own_trial(2, state=TrialState.FAIL),
    )
    write_dump(store, dump)
    study = optuna.load_study(study_name="s", storage=store.storage)
    assert [t.number for t in study.trials] == [0, 1, 2]
    assert study.best_trial.params == {"x": 0.5}
    assert study.best_trial.user_attrs["metrics"] == {"residual": 0.5}
    assert StudyRecord.of(study) == record()
    mirror = optuna.load_study(study_name="s/pareto", storage=store.storage)
    assert [t.values for t in mirror.trials] == [[0.5, 0.5]]
    writer = take(Workers(store, study).add())
    assert (writer.claimed.number, writer.claimed.identity.uuid) == (1, "1" * 32)


def test_a_running_trial_waits_in_the_dump_with_its_parameters(
    store: Store, study: optuna.Study, workers: Workers
) -> None:
    writer = take(workers.add())
    distribution = optuna.distributions.FloatDistribution(0, 1)
    writer.pending.params["x"] = 0.25, distribution
    writer.pending.intermediate[0] = 0.5
    writer.pending.user_attrs["iterations"] = [{"residual": 1.0}]
    writer.flush()
    dump = read_dump(store, "s")
    [trial] = dump.study.trials
    assert (dump.given_back, trial.state, trial.started) == ((0,), TrialState.WAITING, None)
    assert [(p.name, p.value) for p in trial.params] == [("x", 0.25)]
    assert (trial.intermediate, trial.user_attrs) == ({}, {})
    identity = dump.study.identity(trial)
    assert identity is not None
    assert identity.uuid == writer.claimed.identity.uuid


def test_a_lease_of_the_first_format_stays_behind(file: Store) -> None:
    study = optuna.create_study(study_name="s", storage=file.storage)
    trial = study.ask()
    file.storage.set_trial_system_attr(trial._trial_id, "cvfp_opt:lease", {"pid": 1})
    [trial_dump] = read_dump(file, "s").study.trials
    assert trial_dump.system_attrs == {}


def test_what_is_there_already_is_refused_with_what_to_type(file: Store) -> None:
    dump = own_study(own_trial(0))
    write_dump(file, dump)
    with pytest.raises(StudyError, match=r"has this study already, as 's'.*study merge s "):
        write_dump(file, dump.renamed("t"))
    another = own_study(of=record(uuid="b" * 32))
    with pytest.raises(StudyError, match="another study named 's'; add --study-name"):
        write_dump(file, another)
    for name in ("", " ", "t/pareto"):
        with pytest.raises(StudyError, match="is required, got"):
            write_dump(file, another.renamed(name))
    optuna.create_study(study_name="t/pareto", storage=file.storage)
    with pytest.raises(StudyError, match="another study named 't/pareto'"):
        write_dump(file, another.renamed("t"))


def names(store: Store) -> list[str]:
    """Of all studies, mirrors too."""
    return [study.study_name for study in store.storage.get_all_studies()]


def rows(store: Store) -> int:
    """Of all tables that an import writes to."""
    with store.engine.connect() as connection:
        return sum(
            connection.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)) or 0
            for table in (*writing._PARTS, writing.TRIALS, STUDIES, DIRECTIONS)
        )


def test_a_failure_at_any_point_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = own_study(own_trial(0), own_trial(1))
    insert, calls = writing.insert_rows, 0

    def failing(left: int) -> Callable[..., None]:
        def run(*arguments: Any) -> None:
            nonlocal left
            left -= 1
            insert(*arguments)
            if left < 0:
                raise StorageError("the disk is full")

        return run

    for calls in range(1000):
        broken = failing(calls)
        for module in (study_rows, writing):
            monkeypatch.setattr(module, "insert_rows", broken)
        try:
            write_dump(store, dump)
        except StorageError:
            assert (names(store), rows(store)) == ([], 0)
        else:
            break
    assert calls == 2 * 9  # inserts of the study and of its mirror
    assert read_dump(store, "s") == dump


def test_a_database_that_does_not_give_back_what_it_got_keeps_nothing(
    file: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(writing._PARTS, writing.VALUES, lambda trial: iter(()))
    with pytest.raises(StorageError, match="does not give back what was written"):
        write_dump(file, own_study(own_trial(0)))
    assert rows(file) == 0


def test_only_studies_that_are_there_can_be_read(file: Store) -> None:
    write_dump(file, own_study(own_trial(0), name="quick"))
    with pytest.raises(StudyError, match=r"no study 'quik'; did you mean 'quick'"):
        read_dump(file, "quik")
    with pytest.raises(StudyError, match=r"is a mirror of 'quick'.*name 'quick'"):
        read_dump(file, "quick/pareto")
    optuna.create_study(study_name="empty", storage=file.storage)
    assert read_dump(file, "empty").study.trials == ()


def test_trials_with_a_gap_are_refused(file: Store) -> None:
    write_dump(file, own_study(own_trial(0), own_trial(1)))
    with file.engine.begin() as connection:
        connection.execute(
            sqlalchemy.update(writing.TRIALS).values(number=writing.TRIALS.c.number + 1)
        )
    with pytest.raises(
        StudyError, match="numbered from 0 without gaps are required, got number 1"
    ):
        read_dump(file, "s")
