"""The commands as a user types them: what they print, and how they end."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from support import TINY_ARGUMENTS, Outcome

from cvfp_opt.cli import cli

Invoke = Callable[..., Outcome]


def test_a_run_prints_one_line_per_trial_then_tables_and_a_judgement(run_tiny: Invoke) -> None:
    out = run_tiny("--n-trials", "4").out
    lines = out.splitlines()
    assert lines[0].startswith("new study quick in sqlite:///storage/cvfp.db: 4 trials in all")
    assert [line.split("]")[0] for line in lines if line.startswith("[")] == [
        f"[{i}/4" for i in (1, 2, 3, 4)
    ]
    assert "The best 4" in out
    assert "Their audit" in out
    assert "the untrained net (" in out
    assert "agree between two frozen reads" in out
    assert "cvfp-opt dashboard --study-name quick\n" in out
    assert "mean nothing for the standard size" in out


def test_the_seeds_own_algorithm_says_when_nothing_was_trained(invoke: Invoke) -> None:
    words = [*TINY_ARGUMENTS, "--set", "search.pruner=none", "--n-trials", "2"]
    outcome = invoke("run", "seed", *words, "--set", "space.dist_reg_weight=0.9")
    assert outcome.code == 0
    lines = [line for line in outcome.out.splitlines() if line.startswith("[")]
    assert all("0 optimizer steps: this is the untrained network" in line for line in lines)
    assert "0 optimizer steps: this is the untrained network; its final net" in " ".join(
        outcome.out.split()
    )


def test_adding_trials_counts_from_what_is_there(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    out = invoke("run", "--study-name", "quick", "--n-trials", "+3").out
    assert out.startswith(
        "going on with study quick in sqlite:///storage/cvfp.db: 5 trials in all"
    )
    assert json.loads(invoke("status", "--json").out)["counts"]["complete"] == 5


def test_fewer_trials_than_there_are_start_none_and_say_so(run_tiny: Invoke) -> None:
    run_tiny("--n-trials", "2")
    out = run_tiny("--n-trials", "1").out
    done = "2 trials done, more than the 1 asked for"
    assert out.startswith(f"study quick in sqlite:///storage/cvfp.db: {done}, seed 0")
    assert "study quick: 2 of 2: 2 complete" in out


def test_json_of_run_is_all_of_standard_output(run_tiny: Invoke) -> None:
    outcome = run_tiny("--n-trials", "1", "--json")
    report = json.loads(outcome.out)
    assert report["counts"]["complete"] == 1
    assert report["judgement"].startswith("Trial 0 scores")
    assert "[1/1] trial 0" in outcome.err


def test_status_shows_counts_and_shares_of_time(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    out = invoke("status").out
    assert "trials: 2 of 2: 2 complete" in out
    for phase in ("pass", "training", "rank", "audit", "bookkeeping"):
        assert f"{phase} " in out.split("time: ")[1]


def test_best_shows_parameters_metrics_and_audit(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    out = invoke("best").out
    for word in ("dist_reg_weight", "convergence rate", "held-out text", "Lyapunov", "untrained"):
        assert word in out
    report = json.loads(invoke("best", "--json").out)
    assert len(report["audit"]["residual_quantiles"]) >= 33


def test_the_winner_as_a_definition_runs(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "3")
    best = json.loads(invoke("best", "--json").out)
    Path("winner.toml").write_text(invoke("best", "--toml").out)
    assert tomllib.loads(Path("winner.toml").read_text())["space"] == best["params"]
    assert invoke("run", "winner.toml", "--n-trials", "2").code == 0
    report = json.loads(invoke("best", "--study-name", "winner", "--json").out)
    assert report["params"] == {}


def test_several_studies_are_told_apart(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    run_tiny("--n-trials", "1", "--study-name", "other")
    out = invoke("list").out
    assert "pareto" not in out
    assert [row["name"] for row in json.loads(invoke("list", "--json").out)] == ["quick", "other"]
    ambiguous = invoke("status")
    assert ambiguous.code == 1
    assert "add --study-name with one of quick, other" in ambiguous.err


def test_the_environment_names_the_storage_and_the_option_wins(
    run_tiny: Invoke, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVFP_OPT_STORAGE", "from-environment.db")
    run_tiny("--n-trials", "1")
    run_tiny("--n-trials", "1", "--storage", "from-option.db")
    assert Path("from-environment.db").is_file()
    assert Path("from-option.db").is_file()
    assert not Path("storage").exists()


def test_a_timeout_starts_no_further_trial(run_tiny: Invoke) -> None:
    assert "no trials" in run_tiny("--timeout", "0").out


def commands_of(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    """Every command and group there is, as it is typed."""
    for name, command in group.commands.items():
        yield (*before, name)
        if isinstance(command, click.Group):
            yield from commands_of(command, *before, name)


@pytest.mark.parametrize("words", sorted(commands_of(cli)), ids=" ".join)
def test_every_help_ends_with_an_example(words: tuple[str, ...], invoke: Invoke) -> None:
    out = invoke(*words, "--help").out
    last_paragraph = out.rstrip().split("\n\n")[-1].strip()
    assert last_paragraph.startswith(f"Example: cvfp-opt {words[0]}") or words[-1] == "list"
    assert last_paragraph.startswith("Example: cvfp-opt ")
    assert words[-1] in last_paragraph


@pytest.mark.parametrize(
    "words", [[], ["run"], ["status"], ["study", "delete"], ["trial", "enqueue"]]
)
def test_help_imports_neither_torch_nor_optuna(words: list[str]) -> None:
    code = (
        "import sys; from cvfp_opt.cli import cli\n"
        f"cli.main({[*words, '--help']}, standalone_mode=False)\n"
        "assert not {'torch', 'optuna'} & set(sys.modules), 'slow imports'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


SLOW = ("torch", "numba", "scipy", "plotly", "jinja2", "alembic", "boto3", "optuna_dashboard")
ANSWERED_AT_ONCE = [
    ["list"],
    ["status", "--study-name", "tiny"],
    ["best", "--study-name", "tiny"],
    ["study", "show", "tiny"],
    ["trial", "list", "tiny", "--sort", "score"],
    ["run", "qick"],
    ["run", "quick", "--set", "training.batchsize=3"],
    ["train", "qick"],
]


def test_what_is_looked_at_or_mistyped_imports_nothing_slow(run_tiny: Invoke) -> None:
    run_tiny("--n-trials", "1", "--study-name", "tiny")
    code = f"""
import sys
from cvfp_opt.cli import cli
from cvfp_opt.errors import DefinitionError

for words in {ANSWERED_AT_ONCE}:
    try:
        cli.main(words, standalone_mode=False)
    except DefinitionError:
        pass
    found = [name for name in {SLOW} if name in sys.modules]
    assert not found, (words, found)
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


BAD_INPUT = [
    (["run", "recomended"], 1, "did you mean 'recommended'"),
    (["run", "--n-trials", "none"], 2, "50 (the study's total) or +10"),
    (["run", "--n-trials", "0"], 2, "50 (the study's total) or +10"),
    (["run", "--timeout", "-1"], 2, "--timeout"),
    (["run", "--device", "tpu"], 1, "--device: one of auto, cpu, cuda is required, got 'tpu'"),
    (["run", "--threads", "0"], 1, "--threads: at least 1 is required, got 0"),
    (["run", "--n-jobs", "0"], 1, "--n-jobs: at least 1 is required, got 0"),
    (["run", "--set", "training"], 1, "section.key=value is required"),
    (["run", "--set", "training.epochs=1"], 1, "training.epochs: unknown key; did you mean"),
    (["run", "--data", "missing.txt"], 1, "no such file or folder"),
    (["run", "--data", "empty.txt"], 1, "text is required, but there is none"),
    (["run", "--data", "short.txt"], 1, "7680 tokens are required"),
    (["run", "--data", "latin1.txt"], 1, "the byte at offset 4 is not; convert it"),
    (["run", "--seed", "-1"], 1, "search.seed: a whole number from 0"),
    (["run", "--storage", "redis://x/y"], 1, "a path, sqlite:///PATH, postgresql"),
    (["run", "--storage", "missing/x.db"], 1, "mkdir -p"),
    (["run", "--storage", "short.txt"], 1, "an SQLite file is required"),
    (["status"], 1, "there is no study database; type `cvfp-opt run`"),
    (["status", "--storage", "short.txt"], 1, "an SQLite file is required"),
    (["best", "--json", "--toml"], 2, "exclude each other"),
    (["list"], 1, "there is no study database"),
    (["rum"], 2, "No such command 'rum'"),
]


@pytest.mark.parametrize(("words", "code", "message"), BAD_INPUT)
def test_bad_input_is_one_clear_message_and_nothing_is_written(
    words: list[str], code: int, message: str, invoke: Invoke, tmp_path: Path
) -> None:
    Path("empty.txt").write_text(" \n")
    Path("short.txt").write_text("too short a text to train on")
    Path("latin1.txt").write_bytes(b"cafe\xe9 au lait")
    before = sorted(p.name for p in tmp_path.iterdir())
    outcome = invoke(*words)
    assert outcome.code == code
    assert message in outcome.err
    assert outcome.out == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_an_unknown_study_lists_those_there_are(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    outcome = invoke("best", "--study-name", "quik")
    assert outcome.code == 1
    assert "there is no study 'quik'; did you mean 'quick'?" in outcome.err


def test_best_without_a_complete_trial_says_what_to_type(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--timeout", "0")
    outcome = invoke("best")
    assert outcome.code == 1
    assert "at least one complete trial is required" in outcome.err


def test_another_programs_study_is_shown_as_far_as_it_goes(invoke: Invoke) -> None:
    import optuna

    study = optuna.create_study(study_name="theirs", storage="sqlite:///x.db")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert "theirs (another program's)" in invoke("list", "--storage", "x.db").out
    assert "made by another program" in invoke("status", "--storage", "x.db").out
    assert invoke("best", "--storage", "x.db").code == 0
    refused = invoke(
        "run", "quick", *TINY_ARGUMENTS, "--study-name", "theirs", "--storage", "x.db"
    )
    assert refused.code == 1
    assert "was made by another program" in refused.err


def test_a_bug_gives_exit_3_and_a_log(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(storage: str | None) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("cvfp_opt.store.database.location.resolve_location", broken)
    outcome = invoke("list")
    assert outcome.code == 3
    assert "this is a bug in cvfp-opt: ZeroDivisionError: oops" in outcome.err
    [log] = Path("storage/logs").iterdir()
    assert str(log) in outcome.err
    assert "Traceback" in log.read_text()
