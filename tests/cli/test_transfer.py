"""Export, import, copy and merge as a user types them."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import optuna
import pytest
from support import REPOSITORY, Outcome

from cvfp_opt.cli.transfer import copy_study, export_study, import_study, merge_studies
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.record.records import trial_records

Invoke = Callable[..., Outcome]
COMMANDS = (export_study, import_study, copy_study, merge_studies)


@pytest.fixture
def go_on(invoke: Invoke) -> Invoke:
    """``cvfp-opt run``, with one thread and process, in the words that other commands print."""

    def run(*words: str) -> Outcome:
        outcome = invoke("run", *words, "--threads", "1", "--n-jobs", "1")
        assert outcome.code == 0, outcome.err
        return outcome

    return run


def results(name: str, storage: str) -> dict[int, tuple[Any, ...]]:
    """What the trials of a study came to, by number."""
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{storage}")
    return {
        t.number: (t.state, t.value, t.params, t.environment["weights_digest"])
        for t in trial_records(study)
    }


def test_an_imported_study_goes_on_with_exactly_what_is_missing(
    run_tiny: Invoke, invoke: Invoke, go_on: Invoke
) -> None:
    run_tiny("--n-jobs", "1", "--n-trials", "5")
    exported = invoke("study", "export", "quick", "-o", "quick.cvfp.zip")
    assert exported.code == 0, exported.err
    # curves of at least the first trial, and the best networks
    found = re.search(r"is in quick.cvfp.zip: 5 trials, (\d+) artifacts, ", exported.out)
    assert found
    assert int(found[1]) >= 5
    run_tiny("--n-jobs", "1", "--n-trials", "7")
    imported = invoke("study", "import", "quick.cvfp.zip", "--storage", "lab.db")
    assert imported.out.splitlines() == [
        "study 'quick' is in sqlite:///lab.db: 5 trials",
        "to go on with it:  cvfp-opt run --study-name quick --storage lab.db",
    ]
    out = go_on("--study-name", "quick", "--storage", "lab.db", "--n-trials", "7").out
    assert [line.split("]")[0] for line in out.splitlines() if line.startswith("[")] == [
        "[6/7",
        "[7/7",
    ]
    assert results("quick", "lab.db") == results("quick", "storage/cvfp.db")


@pytest.mark.parametrize("empty_location", ["postgresql"], indirect=True)
def test_a_study_copied_to_a_server_goes_on_there_and_comes_back(
    run_tiny: Invoke, invoke: Invoke, go_on: Invoke, empty_location: Location
) -> None:
    location = empty_location
    run_tiny("--n-trials", "2")
    copied = invoke("study", "copy", "quick", "--to", location.url, "--study-name", "there")
    assert copied.code == 0, copied.err
    go_on("--study-name", "there", "--storage", location.url, "--n-trials", "3")
    words = ("there", "--storage", location.url, "--to", "back.db", "--json")
    report = json.loads(invoke("study", "copy", *words).out)
    assert report == {
        "study_name": "there",
        "storage": "sqlite:///back.db",
        "trials": 3,
        "confirmation": None,
        "given_back": [],
        "missing_artifacts": [],
    }
    before = results("quick", "storage/cvfp.db")
    after = results("there", "back.db")
    assert {number: after[number] for number in before} == before


def test_studies_searched_apart_are_merged_and_go_on_without_repeating(
    run_tiny: Invoke, invoke: Invoke, go_on: Invoke
) -> None:
    run_tiny("--n-trials", "2")
    invoke("study", "copy", "quick", "--to", "laptop.db")
    go_on("--study-name", "quick", "--storage", "laptop.db", "--n-trials", "3")
    run_tiny("--n-trials", "2", "--study-name", "other", "--seed", "1")
    merged = invoke("study", "merge", "quick", "laptop.db#quick", "other", "-o", "joined")
    assert merged.code == 0, merged.err
    assert merged.out.splitlines() == [
        "trial 2 of sqlite:///laptop.db#quick is trial 2 now",
        "trials 0-1 of sqlite:///laptop.db#quick: there already, as trials 0-1",
        "trials 0-1 of other are trials 3-4 now",
        "study 'joined' is in sqlite:///storage/cvfp.db: 5 trials",
        "to go on with it:  cvfp-opt run --study-name joined",
    ]
    go_on("--study-name", "joined", "--n-trials", "8")
    points = [params for _, _, params, _ in results("joined", "storage/cvfp.db").values()]
    assert len({tuple(point.items()) for point in points}) == 8
    assert json.loads(invoke("status", "--study-name", "joined", "--json").out)["counts"] == {
        "complete": 8,
        "pruned": 0,
        "fail": 0,
        "running": 0,
        "waiting": 0,
    }


def test_studies_that_differ_are_not_merged(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    run_tiny("--n-trials", "1", "--study-name", "shorter", "--set", "training.num_epochs=1")
    run_tiny("--n-trials", "1", "--study-name", "short", "--set", "data.train_tokens=72")
    refused = invoke("study", "merge", "quick", "shorter", "-o", "joined")
    assert refused.code == 1
    assert "shorter cannot be merged with quick, only their seeds may differ" in refused.err
    assert "training.num_epochs: 1, the first has 2" in refused.err
    assert "digest of the text" in invoke("study", "merge", "quick", "short", "-o", "j").err
    assert "joined" not in invoke("list").out


def test_a_merge_tells_all_its_numbers_as_json(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    run_tiny("--n-trials", "1", "--study-name", "other", "--seed", "1")
    report = json.loads(invoke("study", "merge", "quick", "other", "-o", "joined", "--json").out)
    assert report["sources"] == [
        {"study": "quick", "added": {"0": 0}, "known": {}},
        {"study": "other", "added": {"0": 1}, "known": {}},
    ]
    assert (report["trials"], report["conflicts"]) == (2, [])


def test_a_damaged_parameter_is_the_database_s_fault(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    with closing(sqlite3.connect(Path("storage") / "cvfp.db")) as connection, connection:
        connection.execute("UPDATE trial_params SET distribution_json = 'x'")
    outcome = invoke("study", "export", "quick", "-o", "q.zip")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1), outcome.err
    assert "damaged: study quick" in outcome.err
    assert not Path("q.zip").exists()


def test_an_export_tells_its_manifest_as_json(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    report = json.loads(invoke("study", "export", "quick", "-o", "q.zip", "--json").out)
    assert report["size"] == Path("q.zip").stat().st_size
    assert report["manifest"]["counts"]["trials"] == {"COMPLETE": 1}
    assert report["manifest"]["source"] == "sqlite:///storage/cvfp.db"


ARCHIVES = sorted((REPOSITORY / "tests" / "fixtures").glob("archive-*.cvfp.zip"))


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
def test_an_export_of_every_format_is_imported_and_goes_on(
    path: Path, invoke: Invoke, go_on: Invoke
) -> None:
    assert invoke("study", "import", str(path), "--storage", "x.db").code == 0
    assert "trial 2: score 0.695" in invoke("best", "--storage", "x.db").out
    assert [file.name for file in Path("artifacts").iterdir()] == ["beef-curves"]
    go_on("--study-name", "quick", "--storage", "x.db", "--n-trials", "4")
    assert len(results("quick", "x.db")) == 4


def test_a_study_of_the_first_format_moves_and_goes_on(invoke: Invoke, go_on: Invoke) -> None:
    shutil.copy(REPOSITORY / "tests" / "fixtures" / "format-1" / "study.db", "old.db")
    copied = invoke("study", "copy", "quick", "--storage", "old.db", "--to", "new.db")
    assert copied.code == 0, copied.err
    go_on("--study-name", "quick", "--storage", "new.db", "--n-trials", "4")
    merged = invoke(
        "study", "merge", "old.db#quick", "new.db#quick", "-o", "joined", "--storage", "x.db"
    )
    assert "trial 3 of sqlite:///new.db#quick is trial 3 now" in merged.out
    assert "conflict" not in merged.out


BAD_INPUT = [
    (["export", "quick"], 2, "Missing option '-o'"),
    (["export", "quick", "-o", "x.cvfp"], 1, "a name that ends in .zip is required"),
    (["export", "quick", "-o", "x.zip"], 1, "there is no study database"),
    (["export", "quick", "-o", "a/x.zip"], 1, "mkdir -p"),
    (["import", "missing.zip"], 1, "missing.zip: there is no such file"),
    (["import", "text.zip"], 1, "an export of cvfp-opt is required"),
    (["import", "."], 1, ".: a file is required, this is a folder"),
    (["copy", "quick"], 2, "Missing option '--to'"),
    (["copy", "quick", "--to", "redis://x"], 1, "got one of 'redis'"),
    (["merge", "quick", "-o", "j"], 2, "two or more studies are required, got 'quick' alone"),
    (["merge", "a.zip", "b.zip", "-o", "j"], 1, "a.zip: there is no such file"),
]


@pytest.mark.parametrize(("words", "code", "message"), BAD_INPUT)
def test_bad_input_is_one_clear_message_and_nothing_is_written(
    words: list[str], code: int, message: str, invoke: Invoke, tmp_path: Path
) -> None:
    Path("text.zip").write_text("just some text")
    before = sorted(tmp_path.rglob("*"))
    outcome = invoke("study", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_help_ends_with_an_example(command: click.Command, invoke: Invoke) -> None:
    out = invoke("study", str(command.name), "--help").out
    last_paragraph = out.rstrip().split("\n\n")[-1]
    assert last_paragraph.strip().startswith(f"Example: cvfp-opt study {command.name}")


def test_moving_a_study_imports_no_torch(run_tiny: Invoke) -> None:
    run_tiny("--n-trials", "1")
    code = (
        "import sys; from cvfp_opt.cli import transfer\n"
        "transfer.export_study.main(['quick', '-o', 'q.zip'], standalone_mode=False)\n"
        "transfer.import_study.main(['q.zip', '--storage', 'x.db'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
