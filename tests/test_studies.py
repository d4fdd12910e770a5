"""Every definition that ships with the package runs three trials at reduced size."""

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from support import TINY_ARGUMENTS, Outcome

from cvfp_opt.tuning.definition_file import builtin_definitions

Invoke = Callable[..., Outcome]

SMALL = [*TINY_ARGUMENTS, "--threads", "1"]
for setting in ("training.num_iterations=5", "search.num_pruner_warmup_steps=2"):
    SMALL += ["--set", setting]


@pytest.fixture
def run_small(invoke: Invoke) -> Callable[..., dict[str, object]]:
    """Run three trials of a definition on a tiny net; its summary."""

    def run(name: str, *words: str) -> dict[str, object]:
        outcome = invoke("run", name, *SMALL, "--n-trials", "3", *words, "--json")
        assert outcome.code == 0, outcome.err
        summary: dict[str, object] = json.loads(outcome.out)
        return summary

    return run


@pytest.mark.parametrize("name", builtin_definitions())
def test_every_definition_runs_three_trials(
    name: str, invoke: Invoke, run_small: Callable[..., dict[str, object]]
) -> None:
    summary = run_small(name)
    counts = summary["counts"]
    assert isinstance(counts, dict)
    assert counts["complete"] >= 1
    assert sum(counts.values()) == 3
    assert "Trial" in str(summary["judgement"])
    for command in ("status", "best", "thresholds"):
        assert invoke(command, "--study-name", name).code == 0
    # the winner's definition runs, and gives the winner's score
    winner = invoke("best", "--toml", "--study-name", name)
    Path("winner.toml").write_text(winner.out)
    assert invoke("train", "winner.toml", "--threads", "1", "--json").code == 0


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_pareto_study_has_two_objectives_and_a_front(
    sampler: str, run_small: Callable[..., dict[str, object]], invoke: Invoke
) -> None:
    run_small("pareto", "--n-trials", "6", "--set", f"search.sampler={sampler}")
    names = optuna.get_all_study_names("sqlite:///storage/cvfp.db")
    assert sorted(names) == ["pareto", "pareto/pareto-audited"]  # it is its own first front
    study = optuna.load_study(study_name="pareto", storage="sqlite:///storage/cvfp.db")
    assert study.metric_names == ["convergence rate", "effective rank"]
    for trial in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)):
        metrics = trial.user_attrs["metrics"]
        assert trial.values == [metrics["convergence_rate"], metrics["effective_rank"]]
    front = ", ".join(
        str(t.number) for t in sorted(study.best_trials, key=lambda t: (-sum(t.values), t.number))
    )
    # equal trials are all on Optuna's front and on ours
    assert f"on the Pareto front: trials {front}\n" in invoke("status").out


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_the_front_of_three_objectives_is_optunas(
    sampler: str, run_small: Callable[..., dict[str, object]], invoke: Invoke
) -> None:
    third = ("--set", "objective.downstream=true", "--set", f"search.sampler={sampler}")
    startup = ("--set", "search.num_startup_trials=4")
    run_small("pareto", "--n-trials", "6", *third, *startup)
    names = optuna.get_all_study_names("sqlite:///storage/cvfp.db")
    assert sorted(names) == ["pareto", "pareto/pareto", "pareto/pareto-audited"]
    study = optuna.load_study(study_name="pareto", storage="sqlite:///storage/cvfp.db")
    best = sorted(study.best_trials, key=lambda t: (-sum(t.values[:2]), t.number))
    front = ", ".join(str(trial.number) for trial in best)
    assert f"three objectives; on the Pareto front: trials {front}\n" in invoke("status").out


def test_an_honest_study_is_scored_on_frozen_reads_of_unseen_text(
    run_small: Callable[..., dict[str, object]], invoke: Invoke
) -> None:
    run_small("honest")
    study = optuna.load_study(study_name="honest", storage="sqlite:///storage/cvfp.db")
    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert complete
    for trial in complete:
        frozen = trial.user_attrs["audit"]["frozen_held_out"]
        assert trial.value == pytest.approx(
            0.5 * frozen["convergence"] + 0.5 * frozen["effective_rank"]
        )
        assert "phase1_convergence_threshold" not in trial.params
        assert trial.intermediate_values == {}
        assert trial.user_attrs["audit"]["baseline"]["score"] != trial.value
    assert "rests on its threshold" not in invoke("status").out
