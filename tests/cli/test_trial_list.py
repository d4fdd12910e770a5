"""``trial list``: what it prints on terminals of any width, and to programs."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from known_studies import STUDIES, complete, study
from optuna.distributions import CategoricalDistribution
from optuna.trial import create_trial
from support import Outcome

Invoke = Callable[..., Outcome]

FORMULA = "=1+1"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a study of ours, one of another program, and one with two values."""
    path = tmp_path_factory.mktemp("known") / "known.db"
    url = f"sqlite:///{path}"
    for name in ("small", "foreign", "two objectives"):
        made = optuna.create_study(
            study_name=name,
            storage=url,
            directions=["maximize"] * (2 if name == "two objectives" else 1),
        )
        found = STUDIES[name]()
        if found.record is not None:
            made.set_user_attr("cvfp_opt:study", study().user_attrs["cvfp_opt:study"])
    small = optuna.load_study(study_name="small", storage=url)
    small.add_trials([complete(0.2, 0.2, 0.95), complete(0.4, 0.98, 0.9), complete(0.6, 0.9, 0.6)])
    theirs = optuna.load_study(study_name="foreign", storage=url)
    kinds = CategoricalDistribution(["sgd", FORMULA])
    for value, kind in enumerate(kinds.choices):
        theirs.add_trial(
            create_trial(value=value, params={"kind": kind}, distributions={"kind": kinds})
        )
    two = optuna.load_study(study_name="two objectives", storage=url)
    two.add_trial(create_trial(values=[1.0, 2.0]))
    return path


@pytest.fixture
def known(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of a test look at that database."""
    monkeypatch.setenv("CVFP_OPT_STORAGE", str(database))


def test_a_list_of_a_search(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "3")
    out = invoke("trial", "list", "--sort", "score").out.splitlines()
    assert out[0] == "study quick: 3 trials"
    assert out[1].split()[:5] == ["trial", "state", "score", "untrained", "convergence"]
    assert {line.split()[0] for line in out[2:5]} == {"0", "1", "2"}
    rows = json.loads(invoke("trial", "list", "quick", "--json").out)
    best = json.loads(invoke("best", "--json").out)
    [row] = [one for one in rows if one["trial"] == best["number"]]
    assert int(out[2].split()[0]) == max(rows, key=lambda one: one["score"])["trial"]
    assert row["score"] == best["value"]
    assert row["seconds"] == sum(best["seconds"].values())
    assert row["worker"] == best["environment"]["worker"]
    assert {name: row[name] for name in best["params"]} == best["params"]
    assert row["started"] < row["finished"]


def test_the_runs_of_a_confirmation(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    few = ("--top", "1", "--seeds", "2", "--n-jobs", "1", "--threads", "1")
    assert invoke("confirm", "--study-name", "quick", *few).code == 0
    words = ("trial", "list", "quick/confirm", "--json", "--sort", "seed")
    rows = json.loads(invoke(*words).out)
    assert [row["seed"] for row in rows] == [0, 0, 0, 1, 1, 1]
    assert {row["point"] for row in rows} == {"trial 0", "default point", "untrained net"}
    only = json.loads(invoke(*words, "--where", "point=default point").out)
    assert [row["seed"] for row in only] == [0, 1]


@pytest.mark.usefixtures("known")
def test_what_is_selected_and_sorted(invoke: Invoke) -> None:
    def numbers(*words: str) -> list[int]:
        outcome = invoke("trial", "list", "small", "--json", *words)
        assert outcome.code == 0, outcome.err
        return [row["trial"] for row in json.loads(outcome.out)]

    assert numbers("--sort", "score") == [1, 2, 0]
    assert numbers("--sort", "score", "--limit", "1") == [1]
    assert numbers("--sort", "score", "--reverse") == [0, 2, 1]
    assert numbers("--where", "dist_reg_weight>0.3", "--where", "rank>=90%") == [1]
    assert numbers("--state", "complete", "--state", "pruned") == [0, 1, 2]
    assert numbers("--state", "running") == []


@pytest.mark.usefixtures("known")
def test_the_table_says_what_it_leaves_out(invoke: Invoke) -> None:
    out = invoke("trial", "list", "small", "--where", "score>0.9").out.splitlines()
    assert out[0] == "study small: 1 of 3 trials"
    assert out[2].split()[:6] == ["1", "complete", "0.940", "0.490", "98.0%", "90.0%"]
    said = " ".join(" ".join(out[3:]).split())
    assert said.startswith("no room for frozen_seen, rank_unseen, ")
    assert said.endswith("; --csv has all columns")
    none = invoke("trial", "list", "small", "--state", "fail")
    assert (none.code, none.out) == (0, "study small: 0 of 3 trials\n")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_table_fits_a_log_and_sentences_are_one_line(
    width: int, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvfp_opt.api.display.console.LOG_WIDTH", width)
    for name in ("small", "foreign", "two objectives"):
        title, *lines = invoke("trial", "list", name).out.splitlines()
        assert title.startswith(f"study {name}: ")
        table = [
            line for line in lines if line.split()[0] in ("trial", "number") or line[0] == " "
        ]
        assert len(table) > 1
        assert all(len(line) <= width for line in table)
        others = [line for line in lines if line not in table]
        assert all(
            line.startswith(("no room for ", "made by another program: ")) for line in others
        ), others


@pytest.mark.usefixtures("known")
def test_programs_get_all_columns_and_digits(invoke: Invoke) -> None:
    rows = json.loads(invoke("trial", "list", "small", "--json").out)
    read = list(csv.DictReader(io.StringIO(invoke("trial", "list", "small", "--csv").out)))
    assert [list(row) for row in rows] == [list(row) for row in read]
    for row, line in zip(rows, read, strict=True):
        assert float(line["phase1_learning_rate"]) == row["phase1_learning_rate"]
        assert line["host"] == (row["host"] or "")
    assert rows[0]["dist_reg_weight"] == 0.1 + 0.8 * 0.2


@pytest.mark.usefixtures("known")
def test_another_programs_study(invoke: Invoke) -> None:
    out = invoke("trial", "list", "foreign", "--where", "kind!=sgd").out
    assert "made by another program" in out
    assert out.splitlines()[2].split()[:4] == ["trial", "state", "value", "kind"]
    assert "'=1+1" in invoke("trial", "list", "foreign", "--csv").out
    assert "values_1" in invoke("trial", "list", "two objectives").out


REFUSED = [
    (["--sort", "scor"], 1, "sort: there is no column 'scor'; did you mean 'score'?"),
    (["--where", "scor>1"], 1, "there is no column 'scor'; did you mean 'score'?"),
    (["--where", "good"], 1, "a column, one of < <= > >= = == !=, and a value are required"),
    (["--where", "score>good"], 1, "a number is required after >, got 'good'"),
    (["--state", "completed"], 1, "did you mean 'complete'?"),
    (["--limit", "0"], 2, "--limit"),
    (["--csv", "--json"], 2, "--csv and --json exclude each other"),
    (["--study-name", "small"], 2, "the study is named twice"),
]


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(("words", "code", "message"), REFUSED)
def test_what_cannot_be_meant_is_one_message(
    words: list[str], code: int, message: str, invoke: Invoke
) -> None:
    outcome = invoke("trial", "list", "small", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err


def test_nothing_is_created_by_asking(invoke: Invoke) -> None:
    outcome = invoke("trial", "list")
    assert outcome.code == 1
    assert "there is no study database" in outcome.err
    assert list(Path.cwd().iterdir()) == []
