"""Examinations: all databases, without a trace, other programs, repairs in rounds."""

import hashlib
import math
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from claiming import take
from doctoring import RECORD, WAITING, Site, fill, report_run
from optuna.trial import TrialState
from planting import (
    plant_copy_of_failed,
    plant_dead_lease,
    plant_gap,
    plant_log,
    plant_no_birth,
    plant_no_copy,
    plant_twin_number,
    set_audit,
    set_value,
)
from sqlalchemy import insert, text, update

from cvfp_opt.errors import StorageError, StudyError
from cvfp_opt.model import audit as model_audit
from cvfp_opt.model.config import combined_score
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.tables import HEARTBEATS, LEASES, STUDIES, TRIALS, VALUES
from cvfp_opt.store.doctor import scores
from cvfp_opt.store.doctor.checks import CHECKS, Check
from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.examination import Patient, Report, examine, mend
from cvfp_opt.store.doctor.finding import Finding
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.confirmation_runs import enter_confirmation
from cvfp_opt.store.record.confirmation import read_runs
from cvfp_opt.store.record.mirrors import left_out, sync_mirrors
from cvfp_opt.store.record.records import CONFIRMS, MIRROR_OF
from cvfp_opt.store.record.studies import create_study, study_names


def names(report: Report) -> list[str]:
    return [name for name, _ in report.findings]


def test_all_that_databases_are_asked_of_each_of_them(location: Location) -> None:
    fill(location)
    site = Site(location)
    assert site.examine().findings == ()
    site.run(WAITING, machine="another boot/pid:[1]", host="elsewhere")
    one_host = location.kind == "sqlite"  # restarted, or copied from another
    assert names(site.examine()) == (["dead-leases"] if one_host else [])
    site.execute(update(LEASES).values(expires=LEASES.c.expires - 3600))
    [finding] = site.examine().faults
    assert "on elsewhere has not renewed its lease, which ended 35" in finding.cause
    plant_no_birth(site)
    plant_gap(site)
    plant_copy_of_failed(site)
    orphan = LEASES.c.trial_id == site.trial_id(2)
    site.execute(update(LEASES).where(orphan).values(trial_id=999))
    set_value(1, 0.95)(site)
    expected = ["numbering", "births", "orphan-leases", "dead-leases", "scores", "mirrors"]
    report = site.examine()
    assert names(report) == expected
    assert names(site.mend(report)) == ["scores"]
    assert len(site.told) == 5
    assert site.state(WAITING) is TrialState.WAITING
    with site.store() as (_, study):
        assert [trial.number for trial in study.trials] == [0, 1, 2, 3, 4]
        assert study.trials[3].user_attrs["status"] == "lost"
    site.execute(text("UPDATE alembic_version SET version_num = 'v9.9.9.a'"))
    report = site.examine()
    assert names(report) == ["schema"]
    assert "dead-leases" in report.not_made


def content(folder: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of all files below a folder."""
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("plant", [plant_dead_lease, plant_log])
def test_an_examination_leaves_no_trace(plant: object, site: Site, isolated_folder: Path) -> None:
    assert callable(plant)
    plant(site)
    before = content(isolated_folder)
    assert site.examine().findings
    after = content(isolated_folder)
    if plant is plant_log:  # what readers share; there already where a process was killed
        after = {path: seen for path, seen in after.items() if not path.endswith("-shm")}
    assert after == before


def test_a_read_only_file_is_examined_and_not_mended(site: Site, isolated_folder: Path) -> None:
    plant_dead_lease(site)
    site.location.file.chmod(0o400)
    isolated_folder.chmod(0o500)
    try:
        report = site.examine()
        assert names(report) == ["dead-leases"]
        told: list[str] = []
        assert names(mend(site.patient, report, told.append)) == ["dead-leases"]
    finally:
        isolated_folder.chmod(0o700)
    [line] = told
    assert line.startswith("not mended: ")
    assert "read-only" in line


def test_a_live_search_is_not_accused(site: Site) -> None:
    with site.store() as (store, study):
        claims = Claims(store=store, study=study, seed=7)
        for _ in range(2):
            writer = take(claims)
            report_run(writer)
            writer.flush()
        writer.finish(TrialState.COMPLETE, [0.625])  # and is not copied to the mirrors yet
        assert site.examine().findings == ()
    assert site.state(WAITING) is TrialState.RUNNING


@pytest.fixture
def late_fault(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Somebody writes to the database as the first examination of it ends."""
    planted = []

    def find(context: Context) -> list[Finding]:
        if not planted:
            planted.append(True)
            set_value(0, 0.95)(site)
        return []

    monkeypatch.setitem(CHECKS, "unfinished-runs", Check(find=find))  # type: ignore[arg-type]
    return site


def test_what_is_read_without_locks_is_read_again_if_somebody_wrote(late_fault: Site) -> None:
    assert names(late_fault.examine()) == ["scores"]


def test_trials_that_shared_a_number_are_all_seen_afterwards(site: Site) -> None:
    plant_twin_number(site)
    trial = TRIALS.c.trial_id == site.trial_id(2)
    site.execute(update(TRIALS).where(trial).values(number=1))
    report = site.examine()
    assert names(report) == ["numbering", "numbering", "mirrors", "mirrors"]
    assert site.mend().findings == ()
    with site.store() as (_, study):
        trials = study.trials
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4, 5]
    assert [trial.state.name for trial in trials] == [
        "COMPLETE",
        "COMPLETE",
        "FAIL",
        "PRUNED",
        "COMPLETE",
        "WAITING",
    ]


def test_one_study_can_be_looked_at_alone(site: Site) -> None:
    fill(site.location, "other")
    plant_no_copy(site)
    other = Site(site.location, "other")
    set_value(0, 0.95)(other)
    assert names(site.examine()) == ["scores", "mirrors"]
    report = examine(replace(site.patient, study="other"))
    assert names(report) == ["scores"]
    assert (report.num_studies, report.num_trials) == (1, 5)
    with pytest.raises(StudyError, match="there is no study 'othr'; did you mean 'other'"):
        examine(replace(site.patient, study="othr"))


def test_a_program_that_beats_is_no_zombie(site: Site) -> None:
    site.run(WAITING, lease=None)
    now = datetime.now(UTC).replace(tzinfo=None)
    beat = {"trial_id": site.trial_id(WAITING), "heartbeat": now}
    site.execute(insert(HEARTBEATS).values(beat))
    assert site.examine().findings == ()
    site.execute(update(HEARTBEATS).values(heartbeat=now - timedelta(hours=1)))
    assert names(site.examine()) == ["zombies"]


def test_another_programs_database_has_nothing_to_mend(isolated_folder: Path) -> None:
    study = optuna.create_study(storage="sqlite:///theirs.db", directions=["minimize"] * 2)
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 0.5), n_trials=3)
    patient = Patient(location=resolve_location("theirs.db"))
    before = content(isolated_folder)
    report = examine(patient)
    assert report.findings == ()
    assert (report.num_studies, report.num_ours, report.num_trials) == (1, 0, 3)
    assert content(isolated_folder) == before


def test_what_is_no_study_database_is_refused(isolated_folder: Path) -> None:
    for name, message in (("missing.db", "there is no study database"), ("x.txt", "an SQLite")):
        Path("x.txt").write_text("something else altogether")
        with pytest.raises(StorageError, match=message):
            examine(Patient(location=resolve_location(name)))
    engine = sqlalchemy.create_engine("sqlite:///notes.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE notes (x)")
    engine.dispose()
    with pytest.raises(StorageError, match="belongs to another program"):
        examine(Patient(location=resolve_location("notes.db")))


@pytest.mark.parametrize(
    ("objective", "values"),
    [
        ({"split": "validation"}, [0.625]),
        ({"convergence": "frozen", "threshold": 0.1, "split": "held_out"}, [0.6875]),
        ({"convergence": "frozen", "threshold": 0.01, "split": "train"}, [0.375]),
        ({"threshold": 0.2}, [0.625]),
    ],
)
def test_values_are_judged_by_the_studys_own_objective(
    objective: dict[str, object], values: list[float], site: Site
) -> None:
    record = asdict(RECORD)
    record["definition"]["objective"] |= objective
    site.set_record(record)
    frozen = objective.get("convergence") == "frozen"
    for number in range(3) if frozen else ():
        strict = objective["threshold"] == 0.01
        rate, rank = (0.25, 0.5) if strict else (0.875, 0.5)
        scored = {"convergence_rate": rate, "effective_rank": rank, "score": (rate + rank) / 2}
        site.set_attribute(number, "scored", scored)
        set_value(number, values[0])(site)
        # the threshold of training is fixed then, too
        metrics = site.attribute(number, "metrics")
        passes = site.attribute(number, "iterations")
        level = 0.25 if objective["threshold"] == 0.1 else 0.025
        metrics["convergence_rate"] = passes[-1]["convergence_rate"] = level
        site.set_attribute(number, "metrics", metrics)
        site.set_attribute(number, "iterations", passes)
    found = set(names(site.examine()))
    assert found == ({"mirrors"} if frozen else set())
    site.mend()
    set_value(0, 0.99)(site)
    assert names(site.examine()) == ["scores"]


def test_two_objectives_are_two_values(site: Site) -> None:
    record = asdict(RECORD)
    record["definition"]["objective"]["kind"] = "pareto"
    site.set_record(record)
    for number in range(3):
        set_value(number, 0.5)(site)
        row = {"trial_id": site.trial_id(number), "objective": 1, "value": 0.75}
        site.execute(insert(VALUES).values(row | {"value_type": "FINITE"}))
    assert site.examine().findings == ()
    set_value(0, 0.5625)(site)
    lines = [finding.line for finding in site.examine().faults]
    assert "first value, and convergence rate: 0.5625, not 0.5" in lines[0]
    assert "second value, and effective rank: 0.5625, not 0.75" in lines[1]


def test_a_third_objective_is_a_third_value(site: Site) -> None:
    record = asdict(RECORD)
    record["definition"]["objective"] |= {"kind": "pareto", "downstream": True}
    site.set_record(record)
    perplexity = {"train_perplexity": 20.0, "held_out_perplexity": 50.0}
    for number in range(3):
        set_value(number, 0.5)(site)
        site.set_attribute(number, "downstream", perplexity)
        for place, value in ((1, 0.75), (2, -math.log(50.0))):
            row = {"trial_id": site.trial_id(number), "objective": place, "value": value}
            site.execute(insert(VALUES).values(row | {"value_type": "FINITE"}))
    assert site.examine().findings == ()
    site.set_attribute(0, "downstream", perplexity | {"held_out_perplexity": 49.0})
    [line] = [one.line for one in site.examine().faults]
    assert "third value, and minus the logarithm of the perplexity: -3.91" in line


def test_within_the_resolution_of_the_quantiles_nothing_contradicts(site: Site) -> None:
    for error, expected in ((1 / 64, []), (1 / 64 + 1 / 3200, ["residuals"])):
        set_audit(absolute_convergence=0.25 + error)(site)
        assert names(site.examine()) == expected


def test_figures_that_are_no_numbers_are_no_bug(site: Site) -> None:
    site.set_attribute(0, "audit", audit_of_nonsense())
    site.set_attribute(1, "scored", {"score": "high"})
    site.set_attribute(2, "metrics", [1, 2, 3])
    assert set(names(site.examine())) <= {"audits", "mirrors", "records", "residuals", "scores"}


def audit_of_nonsense() -> dict[str, object]:
    return {"residual_quantiles": ["low", None, math.nan], "frozen_held_out": 3, "mean_square": ""}


def test_constants_and_formula_are_those_of_the_model() -> None:
    assert scores.REFERENCE_THRESHOLD == model_audit.REFERENCE_THRESHOLD
    assert scores.STRICT_THRESHOLD == model_audit.STRICT_THRESHOLD
    trial_score = combined_score(0.875, 0.5, convergence_weight=0.25)
    assert trial_score == pytest.approx(0.25 * 0.875 + 0.75 * 0.5)


def plant_somebodys_study(site: Site, name: str) -> None:
    """In the place of a mirror, a study with trials of its own."""
    with site.store() as (store, _):
        optuna.delete_study(study_name=name, storage=store.storage)
        mine = optuna.create_study(study_name=name, storage=store.storage, direction="minimize")
        for value in range(3):
            mine.add_trial(optuna.trial.create_trial(value=float(value)))


def test_a_study_that_only_has_a_mirrors_name_is_noted_and_left_alone(site: Site) -> None:
    plant_somebodys_study(site, "s/pareto")
    report = site.examine()
    [(name, note)] = report.findings
    assert (name, note.harmless, note.repair) == ("mirrors", True, None)
    assert note.line.startswith("note: study s: no Pareto front: study s/pareto is another one's")
    assert site.mend(report).faults == []
    with site.store() as (store, _):
        mine = optuna.load_study(study_name="s/pareto", storage=store.storage)
        assert ([t.value for t in mine.trials], mine.user_attrs) == ([0.0, 1.0, 2.0], {})


@pytest.mark.parametrize("source", ["s", "gone"])
def test_a_study_that_was_taken_for_a_mirror_gets_its_own_back(site: Site, source: str) -> None:
    """Older versions took any study of the name for the mirror, and filled it."""
    name = f"{source}/pareto"
    with site.store() as (store, _):
        if source == "gone":
            optuna.create_study(study_name=name, storage=store.storage)
    plant_somebodys_study(site, name)
    with site.store() as (store, _):
        mine = optuna.load_study(study_name=name, storage=store.storage)
        mine.set_user_attr(MIRROR_OF, source)
    [fault] = site.examine().faults
    assert "a mirror with 3 trials of its own" in fault.line
    assert "deletes nothing" in fault.line
    assert site.mend().faults == []
    with site.store() as (store, _):
        mine = optuna.load_study(study_name=name, storage=store.storage)
        assert ([t.value for t in mine.trials], mine.user_attrs) == ([0.0, 1.0, 2.0], {})
        assert study_names(store) == ["s", name]


def test_the_mirrors_of_a_study_that_was_made_anew_are_told_from_its_own(site: Site) -> None:
    with site.store() as (store, _):
        optuna.delete_study(study_name="s", storage=store.storage)
        create_study(store, "s", replace(RECORD, uuid="b" * 32))
    faults = [one for one in site.examine().faults if "of a study that is gone" in one.what]
    assert [fault.where for fault in faults] == ["study s/pareto", "study s/pareto-audited"]
    assert site.mend().faults == []
    with site.store() as (store, study):
        sync_mirrors(store, study)
        assert left_out(store, study) == []


def test_a_repair_touches_nothing_that_came_in_the_place_of_what_was_found(site: Site) -> None:
    """SQLite gives the number of a deleted study to the next one."""
    with site.store() as (store, _):
        mirror = optuna.create_study(study_name="gone/pareto", storage=store.storage)
        mirror.set_user_attr(MIRROR_OF, "gone")
    report = site.examine()
    assert len(report.repairable) == 1
    with site.store() as (store, _):
        optuna.delete_study(study_name="gone/pareto", storage=store.storage)
        mine = optuna.create_study(study_name="mine", storage=store.storage)
        assert mine._study_id == mirror._study_id
        mine.add_trial(optuna.trial.create_trial(value=1.0))
    site.mend(report)
    assert "not mended: study 'gone/pareto' has changed meanwhile" in site.told[0]
    with site.store() as (store, _):
        assert len(optuna.load_study(study_name="mine", storage=store.storage).trials) == 1


def test_what_another_program_wrote_for_a_link_is_no_bug(site: Site) -> None:
    with site.store() as (store, _):
        for key in (MIRROR_OF, CONFIRMS):
            study = optuna.create_study(study_name=f"odd {key}", storage=store.storage)
            study.set_user_attr(key, {"name": ["s"]})
    [fault] = site.examine().faults
    assert "mirror" in fault.line
    assert site.mend().faults == []


def test_a_confirmation_follows_a_study_that_another_program_renamed(site: Site) -> None:
    with site.store() as (store, _):
        made = enter_confirmation(store, "s", RECORD.identity, replace(RECORD, uuid="c" * 32))
        made.add_trial(optuna.trial.create_trial(value=1.0))
    site.execute(update(STUDIES).where(STUDIES.c.study_name == "s").values(study_name="t"))
    [fault] = [one for one in site.examine().faults if "confirmation" in one.what]
    assert fault.line.startswith(
        "study s/confirm: a confirmation with 1 run of study s, which is called t now (another"
    )
    left = site.mend()
    assert [one for one in left.faults if "confirm" in one.line or "mirror" in one.line] == []
    site.study = "t"
    with site.store() as (store, study):
        runs = read_runs(study, RECORD)
        assert runs is not None
        assert (runs.study, len(runs.trials)) == ("t/confirm", 1)
