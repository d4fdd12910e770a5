"""The objective in studies that stock Optuna runs: the same trials as in a search of ours."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import FrozenTrial, TrialState
from searching import make_search
from stock import optimized, stock_study, tiny
from support import Outcome

from cvfp_opt.errors import DataError, DeviceError, StudyError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.record.decisions import decisive, doubts
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.store.record.records import STUDY, StudyRecord
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.objective import Objective
from cvfp_opt.tuning.stock_objective import StockObjective

Invoke = Callable[..., Outcome]
PRUNING = (
    "search.pruner=asha",
    "search.num_pruner_startup_trials=1",
    "search.num_pruner_warmup_steps=1",
    "training.num_iterations=6",
)


def figures(trial: FrozenTrial) -> dict[str, Any]:
    """What does not depend on when and where a trial ran."""
    attributes = trial.user_attrs
    identity = trial.system_attrs[IDENTITY_KEY]
    return {
        "state": trial.state,
        "values": trial.values,
        "params": trial.params,
        "reported": trial.intermediate_values,
        "weights": attributes["environment"]["weights_digest"],
        "steps": attributes["environment"]["optimizer_steps"],
        "audit": {k: v for k, v in attributes["audit"].items() if k != "seconds"},
        "seeds": (identity["seed"], identity["number"]),
        **{key: attributes[key] for key in ("status", "reason", "scored", "metrics")},
        "iterations": attributes["iterations"],
    }


def test_it_runs_the_trials_of_a_search_of_ours_to_the_last_bit() -> None:
    with open_for_search(resolve_location("x.db")) as store:
        search = make_search(store, *PRUNING)
        search.run(8)
        ours = [figures(trial) for trial in search.study.trials]
    theirs = [figures(trial) for trial in optimized(8, *PRUNING).trials]
    assert theirs == ours
    assert {one["state"] for one in ours} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_a_trial_has_the_attributes_that_run_records(run_tiny: Invoke) -> None:
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    ours = optuna.load_study(study_name="quick", storage="sqlite:///storage/cvfp.db").trials[0]
    [theirs] = optimized(1).trials
    assert theirs.user_attrs.keys() == ours.user_attrs.keys()
    for key in ("environment", "seconds"):
        assert theirs.user_attrs[key].keys() == ours.user_attrs[key].keys()


@pytest.mark.parametrize(
    ("name", "options", "required"),
    [
        ("quick", {"direction": "minimize"}, 'one objective, .*create_study.direction="maximize"'),
        ("quick", {"direction": None, "directions": ["maximize"] * 2}, "one objective, maximized"),
        ("pareto", {"directions": ["maximize", "minimize"]}, "two objectives, maximized"),
        ("pareto", {"directions": None, "direction": "maximize"}, r"directions=\[\"maximize\""),
    ],
)
def test_a_study_of_other_directions_is_refused(
    name: str, options: dict[str, Any], required: str
) -> None:
    definition = tiny(name=name)
    made = {key: value for key, value in options.items() if value}
    study = optuna.create_study(**made)
    with pytest.raises(StudyError, match=required):
        StockObjective(definition=definition).check(study)
    with pytest.raises(StudyError, match=required):
        study.optimize(StockObjective(definition=definition), n_trials=1)
    assert STUDY not in study.user_attrs


def test_a_third_objective_is_minus_the_logarithm_of_the_perplexity() -> None:
    study = optimized(2, "objective.downstream=true", name="pareto")
    for trial in study.trials:
        scored, probed = trial.user_attrs["scored"], trial.user_attrs["downstream"]
        third = -math.log(probed["held_out_perplexity"])
        assert trial.values == [scored["convergence_rate"], scored["effective_rank"], third]
    assert study.metric_names == ["convergence rate", "effective rank", "minus log perplexity"]
    assert {trial.number for trial in study.best_trials} <= {0, 1}


def test_of_three_objectives_a_diverged_trial_has_no_value() -> None:
    point = "space.phase1_learning_rate=1e38"
    definition = tiny("objective.downstream=true", point, name="pareto")
    study, objective = stock_study(definition), StockObjective(definition=definition)
    given = objective(study.ask())
    assert isinstance(given, tuple)
    assert [math.isnan(value) for value in given] == [True] * 3
    study.optimize(objective, n_trials=1)
    trial = study.trials[1]
    assert (trial.state, trial.values) == (TrialState.FAIL, None)
    assert trial.user_attrs["status"] == "diverged"
    assert "downstream" not in trial.user_attrs


def test_three_objectives_take_a_study_of_three_directions() -> None:
    definition = tiny("objective.downstream=true", name="pareto")
    three = r'three objectives, maximized, .*directions=\["maximize", "maximize", "maximize"\]'
    study = optuna.create_study(directions=["maximize"] * 2)
    with pytest.raises(StudyError, match=three):
        StockObjective(definition=definition).check(study)
    with pytest.raises(StudyError, match="two objectives, maximized"):
        StockObjective(definition=tiny(name="pareto")).check(stock_study(definition))


def test_two_objectives_are_told_as_two_values() -> None:
    study = optimized(2, name="pareto")
    for trial in study.trials:
        scored = trial.user_attrs["scored"]
        assert trial.values == [scored["convergence_rate"], scored["effective_rank"]]
        assert trial.intermediate_values == {}
    assert study.metric_names == ["convergence rate", "effective rank"]


class PruneAt(optuna.pruners.BasePruner):
    """A pruner of the user's."""

    def __init__(self, step: int) -> None:
        self.asked: list[int] = []
        self._step = step

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        assert trial.last_step is not None
        self.asked.append(trial.last_step)
        return trial.last_step == self._step


def test_the_studys_own_pruner_decides_once_something_was_trained() -> None:
    pruner = PruneAt(2)
    study = optimized(1, "space.phase1_convergence_threshold=0.0001", pruner=pruner)
    [trial] = study.trials
    assert pruner.asked == [1, 2]
    assert (trial.state, trial.user_attrs["status"]) == (TrialState.PRUNED, "pruned")
    assert trial.value == trial.intermediate_values[2]
    assert trial.constraints == {}


@pytest.mark.parametrize(("pruner", "state"), [("asha", "PRUNED"), ("none", "COMPLETE")])
def test_a_hopeless_rank_ends_a_trial_unless_nothing_is_to_be_pruned(
    pruner: str, state: str
) -> None:
    study = optimized(1, "search.min_untrained_rank=0.99", f"search.pruner={pruner}")
    assert [trial.state.name for trial in study.trials] == [state]


def test_a_score_that_is_known_at_the_end_only_is_not_reported() -> None:
    study = optimized(1, name="honest", pruner=PruneAt(1))
    [trial] = study.trials
    assert (trial.state, trial.intermediate_values) == (TrialState.COMPLETE, {})


def test_what_decides_against_a_score_is_a_constraint() -> None:
    study = optimized(4, "search.pruner=none")
    for trial in study.trials:
        figures, ran_on = trial.user_attrs, trial.user_attrs["environment"]
        assert trial.value is not None
        audited = figures["audit"]
        expected = decisive(trial.value, audited, ran_on["optimizer_steps"]) | doubts(
            audited, rate=figures["scored"]["convergence_rate"], own_weight=0.5
        )
        assert trial.constraints == expected
    against = [trial.constraints["untrained"] > 0 for trial in study.trials]
    assert set(against) == {True, False}
    assert study.best_trial.constraints["untrained"] <= 0


def test_a_diverged_trial_fails_with_its_reason_and_the_study_goes_on() -> None:
    study = optimized(2, "space.phase1_learning_rate=1e38")
    for trial in study.trials:
        assert (trial.state, trial.values) == (TrialState.FAIL, None)
        assert trial.user_attrs["status"] == "diverged"
        assert "in iteration" in trial.user_attrs["reason"]


@pytest.mark.filterwarnings("ignore:Fixed parameter")
def test_an_enqueued_point_is_checked_when_its_turn_comes() -> None:
    definition = tiny("search.pruner=none")
    study = stock_study(definition)
    for point in ({"dist_reg_weight": 99.0}, {"dist_reg_wait": 0.5}, {"dist_reg_weight": 0.5}):
        study.enqueue_trial(point)
    study.optimize(StockObjective(definition=definition), n_trials=3)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "FAIL", "COMPLETE"]
    assert [trial.user_attrs["status"] for trial in study.trials[:2]] == ["refused"] * 2
    assert "from 0.1 to 0.9" in study.trials[0].user_attrs["reason"]
    assert study.trials[2].params["dist_reg_weight"] == 0.5


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (MemoryError("no room"), "error", "MemoryError: no room"),
        (KeyboardInterrupt(), "failed by hand", "stopped by ^C"),
    ],
)
def test_what_raises_ends_optimize_and_stays_with_the_trial(
    error: BaseException, status: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: object, **more: object) -> None:
        raise error

    monkeypatch.setattr(Objective, "__call__", fail)
    study = stock_study(tiny())
    with pytest.raises(type(error)):
        study.optimize(StockObjective(definition=tiny()), n_trials=3)
    [trial] = study.trials
    assert trial.state is TrialState.FAIL
    assert (trial.user_attrs["status"], trial.user_attrs["reason"]) == (status, reason)


def test_threads_train_the_same_weights_as_one_alone() -> None:
    definition = tiny("search.sampler=random", "search.pruner=none")
    alone = stock_study(definition)
    alone.optimize(StockObjective(definition=definition), n_trials=6)
    beside = stock_study(definition)
    beside.optimize(StockObjective(definition=definition), n_trials=6, n_jobs=2)
    assert [figures(trial) for trial in beside.trials] == [
        figures(trial) for trial in alone.trials
    ]


def test_each_trial_computes_with_the_threads_of_its_objective(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, seen = Objective.__call__, []

    def look(self: Objective, *words: Any, **more: Any) -> Any:
        seen.append(torch.get_num_threads())
        return train(self, *words, **more)

    monkeypatch.setattr(Objective, "__call__", look)
    study = stock_study(tiny())
    two, one = (StockObjective(definition=tiny(), threads=count) for count in (2, 1))
    for objective in (two, one, two):
        study.optimize(objective, n_trials=1)
    assert seen == [2, 1, 2]
    study.optimize(two, n_trials=2, n_jobs=2)
    assert seen[3:] == [2, 2]
    threads = [trial.user_attrs["environment"]["threads"] for trial in study.trials]
    assert threads == seen


def test_the_text_is_read_once_and_not_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    load, reads = StudyDefinition.load_tokens, []

    def count(self: StudyDefinition) -> Any:
        reads.append(1)
        return load(self)

    monkeypatch.setattr(StudyDefinition, "load_tokens", count)
    definition = tiny()
    objective = StockObjective(definition=definition)
    stock_study(definition).optimize(objective, n_trials=3, n_jobs=2)
    assert len(reads) == 1
    text = pickle.dumps(objective)
    assert len(text) < 5000
    copy = pickle.loads(text)
    assert copy == objective
    stock_study(definition).optimize(copy, n_trials=1)
    assert len(reads) == 2


def test_what_cannot_be_had_is_said_in_a_line() -> None:
    for broken, error in (
        (StockObjective(definition=tiny("data.source=text", "data.path=missing.txt")), DataError),
        (StockObjective(definition=tiny(), device="tpu"), DeviceError),
        (StockObjective(definition=tiny(), threads=0), DeviceError),
    ):
        with pytest.raises(error):
            stock_study(tiny()).optimize(broken, n_trials=1)
    with pytest.raises(StudyError, match="a trial of a study is required, got a FixedTrial"):
        StockObjective(definition=tiny())(optuna.trial.FixedTrial({}))  # type: ignore[arg-type]


def test_a_study_of_ours_is_gone_on_with_trial_for_trial(run_tiny: Invoke) -> None:
    """What a worker gave back is another trial's turn: its identity, not its number, decides."""
    run_tiny("--n-trials", "2", "--n-jobs", "1")
    study = optuna.load_study(study_name="quick", storage="sqlite:///storage/cvfp.db")
    identity = {"uuid": "u" * 32, "seed": 0, "number": 0, "retry_of": ""}
    study.add_trial(
        optuna.trial.create_trial(
            state=TrialState.WAITING,
            system_attrs={IDENTITY_KEY: identity, "fixed_params": study.trials[0].params},
        )
    )
    study.optimize(StockObjective(definition=tiny()), n_trials=1)
    first, _, again = study.trials
    assert again.system_attrs[IDENTITY_KEY] == identity
    assert again.values == first.values
    assert StudyRecord.of(study) is not None
