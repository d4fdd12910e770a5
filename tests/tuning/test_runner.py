"""The loop: budgets, failures, pruning, divergence, mirrors."""

import json
import math
from collections.abc import Iterator

import optuna
import pytest
import sqlalchemy
import torch
from optuna.trial import TrialState
from safetensors.numpy import load
from searching import Recorder, make_search
from support import TINY

from cvfp_opt.errors import SearchError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.record.mirrors import MIRRORS, SOURCE_TRIAL, sync_mirrors
from cvfp_opt.store.record.records import TrialRecord, trial_records
from cvfp_opt.store.record.studies import study_names
from cvfp_opt.training.events import Event, IterationFinished, Phase, Progress
from cvfp_opt.training.run import weights_digest
from cvfp_opt.tuning import trial_reports as reporting
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition
from cvfp_opt.tuning.objective import Objective
from cvfp_opt.tuning.runner import Search
from cvfp_opt.tuning.stopping import SearchStopped


@pytest.fixture
def store() -> Iterator[Store]:
    with open_for_search(resolve_location("x.db")) as opened:
        yield opened


def states(search: Search) -> list[TrialState]:
    return [t.state for t in search.study.trials]


def test_the_total_is_exact_however_often_it_is_asked_for(store: Store) -> None:
    search = make_search(store)
    search.run(3)
    search.run(3)
    assert states(search) == [TrialState.COMPLETE] * 3
    search.run(5)
    assert len(search.study.trials) == 5


def test_a_trial_leaves_what_its_report_needs(store: Store) -> None:
    search = make_search(store)
    search.run(1)
    [record] = trial_records(search.study)
    assert record.value == record.metrics["score"] == record.iterations[-1]["score"]
    assert [i["iteration"] for i in record.iterations] == list(range(len(record.iterations)))
    assert set(record.seconds) == {"pass", "rank", "audit", "training", "bookkeeping"}
    assert record.audit["baseline"]["effective_rank"] == record.iterations[0]["effective_rank"]
    [trial] = search.study.trials
    assert trial.intermediate_values == {i["iteration"]: i["score"] for i in record.iterations}


def test_the_validation_split_can_be_scored(store: Store) -> None:
    search = make_search(store, "objective.split=validation")
    search.run(1)
    [record] = trial_records(search.study)
    assert record.value == record.metrics["validation_score"] != record.metrics["score"]
    baseline = record.audit["baseline"]
    rates = baseline["validation_convergence_rate"], baseline["validation_effective_rank"]
    assert baseline["score"] == sum(rates) / 2


def test_a_fixed_threshold_is_the_same_for_all_trials(store: Store) -> None:
    search = make_search(store, "objective.threshold=0.1")
    search.run(3)
    for record in trial_records(search.study):
        assert record.metrics["convergence_rate"] == record.audit["absolute_convergence"]


def test_a_trial_that_raises_fails_with_its_reason_and_the_search_goes_on(store: Store) -> None:
    def act(number: int, event: Event) -> None:
        if number == 1:
            raise MemoryError("no room")

    search = make_search(store, observer=Recorder(act))
    search.run(3)
    assert states(search) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    record = trial_records(search.study)[1]
    assert (record.status, record.reason) == ("error", "MemoryError: no room")


def test_five_first_failures_stop_the_search_with_their_reason(store: Store) -> None:
    def act(number: int, event: Event) -> None:
        raise RuntimeError("broken device")

    search = make_search(store, observer=Recorder(act))
    with pytest.raises(SearchError, match=r"first 5 trials all failed.*broken device.*\+5"):
        search.run(20)
    assert states(search) == [TrialState.FAIL] * 5


def test_later_failures_do_not_stop_the_search(store: Store) -> None:
    def act(number: int, event: Event) -> None:
        if number > 0:
            raise RuntimeError("broken device")

    search = make_search(store, observer=Recorder(act))
    search.run(8)
    assert states(search) == [TrialState.COMPLETE] + [TrialState.FAIL] * 7


def test_a_stop_gives_the_trial_back_and_the_next_run_repeats_it(store: Store) -> None:
    def act(number: int, event: Event) -> None:
        if number == 1 and isinstance(event, IterationFinished) and event.metrics.iteration == 2:
            raise SearchStopped(2)

    stopped = make_search(store, observer=Recorder(act))
    with pytest.raises(SearchStopped):
        stopped.run(3)
    assert states(stopped) == [TrialState.COMPLETE, TrialState.WAITING]
    params = stopped.study.trials[1].params
    resumed = make_search(store)
    resumed.run(3)
    assert resumed.study.trials[1].params == params
    assert states(resumed) == [TrialState.COMPLETE] * 3


PROBED = ("objective.kind=pareto", "objective.downstream=true", "search.pruner=none")


def test_the_use_of_contexts_is_a_third_objective(store: Store) -> None:
    search = make_search(store, *PROBED)
    search.run(4)
    records = trial_records(search.study)
    for record in records:
        rate, rank = record.scored["convergence_rate"], record.scored["effective_rank"]
        third = -math.log(record.downstream["held_out_perplexity"])
        assert record.values == [rate, rank, third]
        assert record.value == record.scored["score"] == pytest.approx((rate + rank) / 2)
        assert record.seconds["probe"] > 0.0
        assert record.reported == {}
    names = ["convergence rate", "effective rank", "minus log perplexity"]
    assert search.study.metric_names == names
    sync_mirrors(store, search.study)
    for mirror in MIRRORS:  # of two objectives each, of which the dashboard draws fronts
        assert len(mirrored(store, mirror.suffix)) == 4
    assert [t.values for t in mirrored(store, "pareto")] == [r.values[:2] for r in records]


def test_a_trial_that_is_stopped_in_its_probe_gets_the_same_values(store: Store) -> None:
    undisturbed = make_search(store, *PROBED)
    undisturbed.run(2)
    values = [trial.values for trial in undisturbed.study.trials]

    def act(number: int, event: Event) -> None:
        probing = isinstance(event, Progress) and event.phase is Phase.PROBE
        if number == 1 and probing:
            raise SearchStopped(2)

    with open_for_search(resolve_location("other.db")) as other:
        stopped = make_search(other, *PROBED, observer=Recorder(act))
        with pytest.raises(SearchStopped):
            stopped.run(2)
        assert states(stopped) == [TrialState.COMPLETE, TrialState.WAITING]
        make_search(other, *PROBED).run(2)
        assert [trial.values for trial in stopped.study.trials] == values


def test_a_diverged_trial_fails_without_a_score_and_says_where(store: Store) -> None:
    search = make_search(store, "space.phase1_learning_rate=1e38")
    search.run(1)
    [trial] = search.study.trials
    assert (trial.state, trial.values) == (TrialState.FAIL, None)
    [record] = trial_records(search.study)
    assert record.status == "diverged"
    assert "in iteration" in record.reason


@pytest.mark.parametrize("pruner", ["asha", "median"])
def test_the_pruner_ends_trials_that_fall_behind(store: Store, pruner: str) -> None:
    search = make_search(
        store,
        f"search.pruner={pruner}",
        "search.num_pruner_startup_trials=1",
        "search.num_pruner_warmup_steps=1",
        "training.num_iterations=6",
    )
    search.run(12)
    pruned = [r for r in trial_records(search.study) if r.state == "pruned"]
    assert pruned
    for record in pruned:
        assert record.status == "pruned"
        assert len(record.iterations) >= 2
        assert record.audit == {}
    if pruner == "asha":
        assert {len(record.iterations) - 1 for record in pruned} <= {1, 2, 4}


def test_a_hopeless_trial_is_given_up_after_one_pass(store: Store) -> None:
    search = make_search(store, "search.min_untrained_rank=0.99")
    search.run(3)
    for record in trial_records(search.study):
        assert record.state == "pruned"
        assert len(record.iterations) == 1
        assert record.environment["optimizer_steps"] == 0
        assert "rank" in record.reason
        assert record.seconds.keys() == {"pass", "rank", "bookkeeping"}


def test_without_a_pruner_nothing_is_given_up(store: Store) -> None:
    search = make_search(store, "search.min_untrained_rank=0.99", "search.pruner=none")
    search.run(2)
    assert all(state is TrialState.COMPLETE for state in states(search))


@pytest.mark.parametrize("quick", [False, True])
def test_a_running_trial_shows_how_far_it_is(
    quick: bool, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quick iterations are written together, after the first."""
    monkeypatch.setattr(reporting, "REPORT_SECONDS", 1000.0 if quick else 0.0)
    seen: list[tuple[int, int]] = []

    def look(number: int, event: Event) -> None:
        if isinstance(event, IterationFinished):
            [trial] = search.study.trials
            seen.append((len(trial.user_attrs["iterations"]), len(trial.intermediate_values)))

    search = make_search(store, observer=Recorder(look))
    search.run(1)
    count = len(seen)
    assert count >= 2
    assert seen == [(1, 1) if quick else (i, i) for i in range(1, count + 1)]
    [trial] = search.study.trials
    assert len(trial.user_attrs["iterations"]) == len(trial.intermediate_values) == count


def test_no_trial_is_started_after_the_deadline(store: Store) -> None:
    search = make_search(store)
    search.run(3, deadline=0.0)
    assert search.study.trials == []


def test_a_trial_asks_little_of_the_database_however_many_there_are(store: Store) -> None:
    search = make_search(store)
    statements: list[str] = []
    asked: list[int] = []

    def count(connection: object, cursor: object, statement: str, *more: object) -> None:
        statements.append(statement)

    sqlalchemy.event.listen(store.engine, "before_cursor_execute", count)
    for total in range(1, 15):
        statements.clear()
        search.run(total)
        asked.append(len(statements))
    # the first one makes the mirrors; each ends with the page, and a slow one writes it twice
    assert max(asked[1:]) <= 170


def mirrored(store: Store, suffix: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=f"quick/{suffix}", storage=store.storage).trials


def test_a_stop_leaves_no_mirror_behind(store: Store) -> None:
    def act(number: int, event: Event) -> None:
        if number == 2:
            raise SearchStopped(2)

    search = make_search(store, observer=Recorder(act))
    with pytest.raises(SearchStopped):
        search.run(3)
    for mirror in MIRRORS:
        sources = [trial.user_attrs[SOURCE_TRIAL] for trial in mirrored(store, mirror.suffix)]
        assert sources == [0, 1]


def test_mirrors_hold_each_complete_trial_once_with_its_two_values(store: Store) -> None:
    search = make_search(store)
    search.run(3)
    sync_mirrors(store, search.study)
    records = trial_records(search.study)
    for mirror in MIRRORS:
        trials = mirrored(store, mirror.suffix)
        assert [t.user_attrs[SOURCE_TRIAL] for t in trials] == [0, 1, 2]
        study = optuna.load_study(study_name=f"quick/{mirror.suffix}", storage=store.storage)
        assert study.metric_names == list(mirror.metric_names)
        assert study.best_trials
    assert [t.values for t in mirrored(store, "pareto")] == [
        [r.metrics["convergence_rate"], r.metrics["effective_rank"]] for r in records
    ]
    assert [t.values for t in mirrored(store, "pareto-audited")] == [
        [
            r.audit["frozen_held_out"]["convergence"],
            r.audit["frozen_held_out"]["effective_rank"],
        ]
        for r in records
    ]
    assert study_names(store) == ["quick"]


def test_mirrors_are_completed_after_a_crash(store: Store) -> None:
    search = make_search(store)
    search.run(3)
    optuna.delete_study(study_name="quick/pareto", storage=store.storage)
    make_search(store).run(3)
    assert len(mirrored(store, "pareto")) == 3


def test_an_objective_gives_the_same_bits_for_the_same_trial(store: Store) -> None:
    definition = resolve_definition(read_sections("quick"), TINY, where="quick")
    search = make_search(store)
    search.run(2)
    second = search.study.trials[1]
    objective = Objective(
        definition=definition, tokens=search.objective.tokens, device=torch.device("cpu")
    )
    parameters = definition.space.suggest(optuna.trial.FixedTrial(second.params))  # type: ignore[arg-type]
    digests = [objective(parameters, number).weights_digest for number in (1, 1, 2)]
    assert digests[0] == digests[1] == second.user_attrs["environment"]["weights_digest"]
    assert digests[2] != digests[0]


def files(trial: optuna.trial.FrozenTrial) -> dict[str, str]:
    """The ids of a trial's artifacts, by the ends of their names."""
    metas = [json.loads(v) for k, v in trial.system_attrs.items() if k.startswith("artifacts:")]
    return {meta["filename"].rpartition(".")[2]: meta["artifact_id"] for meta in metas}


def test_a_trial_leaves_its_curves_and_the_best_their_networks(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvfp_opt.tuning.trial_files.TIMES_COST", 0.0)
    search = make_search(store)
    search.run(6)
    artifacts = search.checkpoints.artifacts
    with open_for_search(store.location) as fresh:  # the search's own has read ended trials
        trials = optuna.load_study(study_name="quick", storage=fresh.storage).trials
    trials.sort(key=lambda trial: -trial.value)
    kept = [trial for trial in trials if "safetensors" in files(trial)]
    assert kept == trials[:3]
    for trial in trials:
        record = TrialRecord.of(trial)
        with artifacts.open_reader(files(trial)["csv"]) as file:
            rows = file.read().decode().splitlines()
        assert len(rows) == 1 + len(record.iterations)
        with artifacts.open_reader(files(trial)["svg"]) as file:
            assert b"convergence, last" in file.read()
    best = TrialRecord.of(kept[0])
    network = search.objective.prepare(best.params, 0).network
    with artifacts.open_reader(files(kept[0])["safetensors"]) as file:
        weights = load(file.read())
    network.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    assert weights_digest(network) == best.environment["weights_digest"]


def test_no_trial_fails_for_its_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvfp_opt.tuning.trial_files.TIMES_COST", 0.0)
    search = make_search(store)
    store.location.file.with_name("artifacts").write_text("no folder")
    search.run(3)
    assert states(search) == [TrialState.COMPLETE] * 3
    assert all(not files(trial) for trial in search.study.trials)
    assert isinstance(search.observer, Recorder)
    told = [line for line in search.observer.notices if "curves or network" in line]
    assert len(told) == 1
    assert "can't be kept: " in told[0]


def test_curves_take_a_hundredth_of_the_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvfp_opt.tuning.trial_files.TIMES_COST", 1e9)
    search = make_search(store)
    search.run(3)
    assert ["csv" in files(trial) for trial in search.study.trials] == [True, False, False]
