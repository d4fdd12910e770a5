"""``trial``: show, enqueue, retry and fail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claiming import take
from support import Outcome

from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.leases import LeaseLost
from cvfp_opt.store.record.studies import load_study

Invoke = Callable[..., Outcome]


def shown(invoke: Invoke, number: int, *words: str) -> dict[str, Any]:
    outcome = invoke("trial", "show", str(number), "--json", *words)
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def counts(invoke: Invoke, *words: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(invoke("status", "--json", *words).out)["counts"]
    return found


def test_a_trial_is_shown_in_full(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    out = invoke("trial", "show", "1").out
    assert out.startswith("trial 1 of study quick: complete, score ")
    for word in (
        "phase1_learning_rate",
        "uuid",
        "seed                              0, number 1",
        "versions                          cvfp-opt ",
        "weights digest",
        "time                              ",
        "effective rank / D",
        "Lyapunov exponent",
        "pass   score  convergence   rank  residual  weight  learning rate",
    ):
        assert word in out
    assert len(out.split("learning rate\n")[-1].splitlines()) == 4  # the passes
    found = shown(invoke, 1)
    assert len(found["uuid"]) == 32
    assert found["birth"]["uuid"] == found["uuid"]
    assert found["retries"] == [1]
    assert len(found["iterations"]) == len(found["reported"]) == 4


def test_a_trial_that_is_not_there(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--timeout", "0")
    for words in (["show", "0"], ["fail", "0"], ["enqueue", "--retry", "0"]):
        outcome = invoke("trial", *words)
        assert (outcome.code, outcome.out) == (1, "")
        assert "study 'quick': it has no trial yet, got 0" in outcome.err


def test_a_point_that_was_asked_for_is_run_next(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    words = ("--set", "dist_reg_weight=0.85", "--set", "space.layernorm_mix=1")
    out = invoke("trial", "enqueue", *words).out
    assert out.splitlines() == [
        "trial 1 waits: weight 0.85  mix 1",
        "1 trial waits; to run what waits:  cvfp-opt run --study-name quick --n-trials +1",
    ]
    same = invoke("trial", "enqueue", *words[2:], *words[:2])
    assert same.out.startswith("trial 1 waits already, none was added: mix 1  weight 0.85\n")
    assert invoke("run", "--study-name", "quick", "--n-trials", "+1", "--threads", "1").code == 0
    found = shown(invoke, 1)
    assert (found["state"], found["params"]["dist_reg_weight"]) == ("complete", 0.85)
    assert len(found["params"]) == 4


REFUSED = [
    (["--set", "dist_reg_wieght=0.85"], 1, "unknown here; did you mean 'dist_reg_weight'?"),
    (["--set", "dist_reg_weight=2"], 1, "2 lies outside of its range [0.1, 0.9]"),
    (["--set", "dist_reg_weight"], 1, "NAME=VALUE is required"),
    (["--set", "training.num_epochs=9"], 1, "fixed here at 2, the point has 9"),
    ([], 2, "one of --set, --from-study and --retry is required"),
    (["--set", "dist_reg_weight=0.5", "--retry", "0"], 2, "one of --set, --from-study"),
    (["--set", "dist_reg_weight=0.5", "--clip"], 2, "go with --from-study"),
    (["--from-study", "quik"], 1, "there is no study 'quik'"),
    (["--from-study", "quick", "--from-storage", "no.db"], 1, "there is no study database"),
    (["--from-study", "quick"], 1, "a complete trial is required, it has none"),
]


def test_what_cannot_be_asked_for_adds_nothing(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--timeout", "0")
    for words, code, message in REFUSED:
        outcome = invoke("trial", "enqueue", *words)
        assert (outcome.code, outcome.out) == (code, ""), words
        assert message in outcome.err
    assert sum(counts(invoke).values()) == 0


def test_a_point_is_repeated_three_times_and_linked(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    go_on = ("run", "--study-name", "quick", "--n-trials", "+1", "--threads", "1")
    for repeated in (0, 2, 0):  # a repetition of a repetition counts as well
        assert invoke("trial", "enqueue", "--retry", str(repeated)).code == 0
        assert invoke(*go_on).code == 0
    first, last = shown(invoke, 0), shown(invoke, 4)
    assert first["retries"] == last["retries"] == [0, 2, 3, 4]
    assert shown(invoke, 3)["birth"]["retry_of"] == shown(invoke, 2)["uuid"]
    assert last["params"] == first["params"]
    assert last["environment"]["weights_digest"] != first["environment"]["weights_digest"]
    assert "trials at this point              0, 2, 3, 4" in invoke("trial", "show", "3").out
    refused = invoke("trial", "enqueue", "--retry", "3")
    assert refused.code == 1
    assert "its point was repeated 3 times (trials 0, 2, 3, 4), and 3 are the most" in refused.err


def test_passes_show_the_exponent_where_the_pruner_goes_by_it(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    run_tiny("--n-trials", "1", "--study-name", "median")
    asha = ["--set", "search.pruner=asha", "--set", "search.num_pruner_warmup_steps=1"]
    run_tiny("--n-trials", "1", "--study-name", "asha", *asha)
    of_median, of_asha = (
        [line.split() for line in invoke("trial", "show", "0", name).out.splitlines()[-5:]]
        for name in ("median", "asha")
    )
    assert "exponent" not in of_median[0]
    place = of_asha[0].index("exponent")
    assert [row[place] == "-" for row in of_asha[1:]] == [True, False, False, True]


def test_only_a_finished_trial_is_repeated(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    invoke("trial", "enqueue", "--set", "dist_reg_weight=0.5")
    refused = invoke("trial", "enqueue", "--retry", "1")
    assert refused.code == 1
    command = "`cvfp-opt trial fail --study-name quick 1`"
    assert f"is waiting: a finished one is required; to end it type {command}" in refused.err
    assert (
        "parameters so far\n  dist_reg_weight                   0.5"
        in invoke("trial", "show", "1").out
    )
    listed = json.loads(invoke("trial", "list", "--json").out)[1]
    assert (listed["state"], listed["dist_reg_weight"]) == ("waiting", 0.5)
    invoke("trial", "fail", "1")
    # it never ran, but its point is known
    assert "trial 2 waits: weight 0.5" in invoke("trial", "enqueue", "--retry", "1").out


def test_the_best_of_another_study_begin_this_one(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "4", "--study-name", "old", "--storage", "old.db")
    narrow = ["--set", "space.dist_reg_weight={low=0.49,high=0.51}", "--timeout", "0"]
    run_tiny(*narrow, "--study-name", "new")
    words = ("trial", "enqueue", "--from-study", "old", "--from-storage", "old.db")
    refused = invoke(*words)
    assert (refused.code, refused.out) == (1, "")
    assert "points of study 'old' do not fit study 'new':\n  trial " in refused.err
    assert "lies outside of its range [0.49, 0.51]" in refused.err
    assert sum(counts(invoke).values()) == 0
    lines = invoke(*words, "--top", "2", "--clip").out.splitlines()
    assert [line.split(":")[0] for line in lines[-3:-1]] == ["trial 0 waits", "trial 1 waits"]
    assert all(" clipped to " in line for line in lines[:-3])
    best = json.loads(invoke("best", "--storage", "old.db", "--json").out)["params"]
    assert invoke("run", "--study-name", "new", "--n-trials", "1", "--threads", "1").code == 0
    ours = shown(invoke, 0)["params"]
    assert ours["phase1_learning_rate"] == best["phase1_learning_rate"]
    assert ours["dist_reg_weight"] in (0.49, 0.51)


def test_what_the_other_study_kept_fixed_counts(run_tiny: Invoke, invoke: Invoke) -> None:
    fixed = ["--set", "space.layernorm_mix=0.75", "--set", "diversity.loss=coding_rate"]
    run_tiny("--n-trials", "1", "--study-name", "old", *fixed)
    choice = ["--set", 'space.diversity.loss=["orthogonality", "coding_rate"]', "--timeout", "0"]
    run_tiny(*choice, "--study-name", "new")
    assert invoke("trial", "enqueue", "--study-name", "new", "--from-study", "old").code == 0
    again = invoke("trial", "enqueue", "--study-name", "new", "--from-study", "old").out
    assert "trial 0 waits already" in again
    assert "loss coding_rate" in again
    run_tiny("--set", "space.layernorm_mix=0.5", "--timeout", "0", "--study-name", "other")
    refused = invoke("trial", "enqueue", "--study-name", "other", "--from-study", "old", "--clip")
    assert "layernorm_mix: fixed here at 0.5, the point has 0.75" in refused.err


def test_a_running_trial_is_ended_and_its_worker_refused(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--timeout", "0")
    with open_for_search(resolve_location(None)) as store:
        study = load_study(store, "quick")
        writer = take(Claims(store=store, study=study, seed=0))
        outcome = invoke("trial", "fail", "0", "--reason", "wrong disk")
        assert outcome.out == "trial 0 of study quick has failed: wrong disk\n"
        writer.pending.user_attrs["late"] = True
        with pytest.raises(LeaseLost):
            writer.flush()
    found = shown(invoke, 0)
    assert (found["state"], found["reason"]) == ("fail", "wrong disk")
    again = invoke("trial", "fail", "0")
    assert again.code == 1
    assert "has ended already (fail): one that runs or waits is required" in again.err


def test_only_studies_of_this_program_are_added_to(invoke: Invoke) -> None:
    import optuna

    study = optuna.create_study(study_name="theirs", storage="sqlite:///x.db")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    outcome = invoke("trial", "enqueue", "--storage", "x.db", "--set", "x=0.5")
    assert outcome.code == 1
    assert "was made by another program" in outcome.err


def test_points_of_another_program(invoke: Invoke, run_tiny: Invoke) -> None:
    import optuna

    study = optuna.create_study(study_name="theirs", storage="sqlite:///x.db")
    for weight in (0.5, 0.25):
        study.enqueue_trial({"dist_reg_weight": weight, "momentum": 0.5})
    study.optimize(
        lambda trial: (
            trial.suggest_float("dist_reg_weight", 0, 1) + trial.suggest_float("momentum", 0, 1)
        ),
        n_trials=2,
    )
    run_tiny("--timeout", "0")
    words = ("trial", "enqueue", "--from-study", "theirs", "--from-storage", "x.db", "--top", "1")
    refused = invoke(*words)
    assert "trial 1: momentum: unknown here" in refused.err  # minimized: 0.25 is the best
    assert invoke(*words, "--ignore").out.splitlines()[:2] == [
        "trial 1: momentum = 0.5 left out: unknown here",
        "trial 0 waits: weight 0.25",
    ]


def test_nothing_is_created_by_asking(invoke: Invoke) -> None:
    for words in (["show", "0"], ["fail", "0"], ["enqueue", "--retry", "0"]):
        outcome = invoke("trial", *words)
        assert outcome.code == 1
        assert "there is no study database" in outcome.err
    assert list(Path.cwd().iterdir()) == []


def test_all_that_waits_is_counted(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    for weight, words in (("0.5", "1 trial waits"), ("0.6", "2 trials wait")):
        out = invoke("trial", "enqueue", "--set", f"dist_reg_weight={weight}").out
        count = words.split()[0]
        command = f"cvfp-opt run --study-name quick --n-trials +{count}"
        assert out.splitlines()[-1] == f"{words}; to run what waits:  {command}"
    # at its total the search runs none of them, and says what does
    at_total = invoke("run", "--study-name", "quick", "--n-trials", "2", "--threads", "1")
    assert f"2 trials wait; to run what waits:  {command}" in at_total.out
    more = invoke("run", "--study-name", "quick", "--n-trials", "+2", "--threads", "1")
    assert "waits" not in more.out
    assert counts(invoke)["complete"] + counts(invoke)["pruned"] == 4
    # as many as there is room for
    invoke("study", "set", "quick", "--n-trials", "6")
    out = invoke("trial", "enqueue", "--set", "dist_reg_weight=0.7").out
    assert (
        out.splitlines()[-1]
        == "1 trial waits; to run what waits:  cvfp-opt run --study-name quick"
    )
