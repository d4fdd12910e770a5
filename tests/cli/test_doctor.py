"""``study doctor`` as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from doctoring import Site, fill, write_old
from planting import plant_dead_lease, plant_no_copy, plant_truncation, plant_zombie, set_value
from support import REPOSITORY, Outcome

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.doctor.checks import CHECKS

Invoke = Callable[..., Outcome]


@pytest.fixture
def site() -> Site:
    """A healthy database where commands look for one."""
    location = Location.of_file(Path("storage/cvfp.db"), default=True)
    fill(location)
    return Site(location)


def test_a_search_leaves_nothing_to_find(run_tiny: Invoke, invoke: Invoke) -> None:
    """Each kind of objective, with trials that are pruned: nothing is accused."""
    run_tiny("--n-trials", "10", "--set", "search.pruner=median")
    for name, *settings in (
        ("pareto", "objective.kind=pareto", "search.pruner=none"),
        ("validation", "objective.split=validation"),
        (
            "frozen",
            "objective.convergence=frozen",
            "objective.threshold=0.01",
            "objective.split=held_out",
            "search.pruner=none",
        ),
    ):
        words = [word for setting in settings for word in ("--set", setting)]
        run_tiny("--n-trials", "2", "--study-name", name, *words)
    outcome = invoke("study", "doctor")
    assert outcome.out == f"nothing found: {len(CHECKS)} checks over 4 studies, 16 trials\n"
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize("form", sorted((REPOSITORY / "tests/fixtures").glob("format-*")))
def test_nothing_is_wrong_with_what_old_versions_wrote(form: Path, invoke: Invoke) -> None:
    Path("old.db").write_bytes((form / "study.db").read_bytes())
    invoke("study", "doctor", "--storage", "old.db", "--repair")  # one has a dead worker's trial
    outcome = invoke("study", "doctor", "--storage", "old.db")
    assert (outcome.code, outcome.out.partition(":")[0]) == (0, "nothing found")


def test_what_is_found_is_one_line_each_and_an_exit_code(site: Site, invoke: Invoke) -> None:
    plant_dead_lease(site)
    set_value(0, 0.95)(site)
    write_old(Path("storage/unfinished/a.safetensors"), b"1234")
    outcome = invoke("study", "doctor")
    assert (outcome.code, outcome.err) == (1, "")
    dead, score, note, closing, advice = outcome.out.splitlines()
    assert dead.startswith("study s, trial 4: running in the database only (process ")
    assert dead.endswith("); --repair hands over to the next worker")
    assert score.endswith("type `cvfp-opt trial enqueue --retry 0 --study-name s`")
    assert note.startswith("note: ")
    assert closing == f"2 findings: {len(CHECKS)} checks over 1 study, 5 trials"
    assert advice == "to mend 1 of them, type `cvfp-opt study doctor --repair`"


def test_repair_says_what_it_did_and_what_is_left(site: Site, invoke: Invoke) -> None:
    plant_dead_lease(site)
    set_value(0, 0.95)(site)
    outcome = invoke("study", "doctor", "--repair")
    assert outcome.code == 1
    found, done = (part.splitlines() for part in outcome.out.split("\n\n"))
    assert found[0].startswith("study s, trial 4: running")
    mended, left, closing = done
    assert mended == "mended: study s, trial 4: waiting for the next worker"
    assert left.startswith("study s, trial 0: value, and score")
    assert closing.startswith("1 finding: ")
    set_value(0, 0.625)(site)
    assert invoke("study", "doctor", "--repair").code == 0


def test_json_is_all_of_standard_output(site: Site, invoke: Invoke) -> None:
    plant_dead_lease(site)
    report = json.loads(invoke("study", "doctor", "--json").out)
    [found] = report["findings"]
    assert found["check"] == "dead-leases"
    assert found["where"] == "study s, trial 4"
    assert found["repairable"]
    assert report["checks"] == list(CHECKS)
    assert (report["studies"], report["own_studies"], report["trials"]) == (1, 1, 5)
    repaired = invoke("study", "doctor", "--repair", "--json")
    assert repaired.code == 0
    report = json.loads(repaired.out)
    assert report["findings"] == []
    assert report["mended"] == ["mended: study s, trial 4: waiting for the next worker"]


def test_what_could_not_be_looked_at_is_said(site: Site, invoke: Invoke) -> None:
    plant_truncation(site)
    outcome = invoke("study", "doctor")
    assert outcome.code == 1
    assert "malformed" in outcome.out
    assert "not made, for trials cannot be read: records, numbering, births" in outcome.out


def test_options_are_repeated_in_what_to_type(invoke: Invoke) -> None:
    location = Location.of_file(Path("my.db"))
    fill(location, "two words")
    site = Site(location, "two words")
    plant_zombie(site)
    plant_no_copy(site)
    outcome = invoke("study", "doctor", "--storage", "my.db", "--study-name", "two words")
    assert "`cvfp-opt trial fail 4 --study-name 'two words' --storage my.db`" in outcome.out
    typed = "cvfp-opt study doctor --storage my.db --study-name 'two words' --repair"
    assert outcome.out.splitlines()[-1] == f"to mend 1 of them, type `{typed}`"


def test_other_programs_studies_are_said_to_be_theirs(invoke: Invoke) -> None:
    import optuna

    study = optuna.create_study(study_name="theirs", storage="sqlite:///x.db")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    outcome = invoke("study", "doctor", "--storage", "x.db")
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        f"nothing found: {len(CHECKS)} checks over 1 study, 2 trials",
        "no study here is one of cvfp-opt: there was little to check",
    ]


def test_a_missing_database_is_refused_and_not_made(invoke: Invoke) -> None:
    outcome = invoke("study", "doctor", "--repair")
    assert (outcome.code, outcome.out) == (1, "")
    assert "there is no study database" in outcome.err
    assert not Path("storage").exists()


def test_every_check_is_explained() -> None:
    text = (REPOSITORY / "docs/doctor.md").read_text()
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| `")]
    assert rows == [f"`{name}`" for name in CHECKS]
