"""Searching from Python: the same study as the command's, and stopping without a loss."""

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from api.conftest import ALONE
from support import TINY_ARGUMENTS, Outcome

import cvfp_opt as cv

Invoke = Callable[..., Outcome]


def test_it_is_the_study_that_the_command_makes(tiny: cv.Plan, invoke: Invoke) -> None:
    study = cv.search(tiny, n_trials=3, storage="a.db", workers=ALONE, progress=False)
    words = ("--n-trials", "3", "--n-jobs", "1", "--storage", "b.db")
    assert invoke("run", "quick", *TINY_ARGUMENTS, *words).code == 0
    other = cv.open("quick", storage="b.db")
    assert [trial.params for trial in study.trials] == [trial.params for trial in other.trials]
    assert [trial.score for trial in study.trials] == [trial.score for trial in other.trials]
    digests = [trial.environment["weights_digest"] for trial in study.trials]
    assert digests == [trial.environment["weights_digest"] for trial in other.trials]


def test_the_same_call_goes_on_to_the_total(study: cv.Study, tiny: cv.Plan) -> None:
    before = [trial.score for trial in study.trials]
    words = {"name": "mine", "storage": "studies.db", "workers": ALONE, "progress": False}
    assert cv.search(tiny, n_trials=3, **words) == study  # type: ignore[arg-type]
    assert len(study) == 3
    cv.search(n_trials="+1", **words)  # type: ignore[arg-type]
    assert len(study) == 4
    assert [trial.score for trial in study.trials][:3] == before


def test_one_more_is_one_more_than_have_ended_or_run(study: cv.Study) -> None:
    stored = optuna.load_study(study_name="mine", storage="sqlite:///studies.db")
    stored.ask()  # another program's, which runs on
    ended = study.counts["complete"]
    cv.search(n_trials="+1", name="mine", storage="studies.db", workers=ALONE, progress=False)
    assert (study.counts["complete"], study.counts["running"]) == (ended + 1, 1)


def test_the_storage_of_the_environment_counts(
    tiny: cv.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVFP_OPT_STORAGE", "named.db")
    study = cv.search(tiny, n_trials=1, workers=ALONE, progress=False)
    assert Path("named.db").exists()
    assert cv.studies() == [study]
    assert cv.open() == study


def test_each_trial_comes_as_it_ends(study: cv.Study) -> None:
    seen = [trial.number for trial in study.more(2, workers=ALONE)]
    assert seen == [3, 4]
    assert study.counts["complete"] + study.counts["pruned"] == 5


def test_breaking_off_gives_the_running_trial_back(study: cv.Study) -> None:
    with closing(study.more(50, workers=ALONE)) as trials:  # type: ignore[type-var]
        assert next(trials).number == 3
    counts = study.counts
    assert counts["running"] == 0
    assert counts["fail"] == 0
    assert len(study) < 53
    assert not [one for one in threading.enumerate() if one.name == "cvfp-opt search"]


def test_what_others_end_comes_too(study: cv.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvfp_opt.api.search._LOOK_SECONDS", 0.01)
    trials = study.more(4, workers=ALONE)
    first = next(trials)
    theirs = optuna.load_study(study_name="mine", storage="sqlite:///studies.db")
    theirs.add_trial(optuna.trial.create_trial(value=0.25))
    rest = list(trials)
    assert [trial for trial in rest if trial.score == 0.25]
    assert sorted([first.number, *(trial.number for trial in rest)]) == [3, 4, 5, 6]


def test_a_refusal_within_the_thread_is_raised_where_one_looks(study: cv.Study) -> None:
    with pytest.raises(cv.DeviceError, match="--n-jobs: at least 1 is required, got 0"):
        list(study.more(1, workers=cv.Workers(n_jobs=0)))


def test_it_searches_in_a_thread_of_the_users(tiny: cv.Plan) -> None:
    found: list[cv.Study] = []

    def work() -> None:
        found.append(cv.search(tiny, n_trials=1, storage="a.db", workers=ALONE, progress=False))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found[0]) == 1


def same_as(outcome: Outcome) -> str:
    assert outcome.code in (1, 2)
    return outcome.err.removeprefix("Error: ").strip().splitlines()[0]


def test_what_the_command_refuses_is_refused_with_the_same_words(
    study: cv.Study, tiny: cv.Plan, invoke: Invoke
) -> None:
    with pytest.raises(cv.StudyError) as refused:
        cv.search(tiny.set("training.num_epochs", 9), name="mine", storage="studies.db")
    words = ("--set", "training.num_epochs=9", "--study-name", "mine", "--storage", "studies.db")
    outcome = invoke("run", "quick", *TINY_ARGUMENTS, *words)
    assert str(refused.value) == outcome.err.removeprefix("Error: ").rstrip()
    for total in (0, "x", 1.5, True, "+0"):
        with pytest.raises(cv.DefinitionError, match="that many more"):
            cv.search(tiny, n_trials=total, storage="studies.db")  # type: ignore[arg-type]
    with pytest.raises(cv.StudyError) as refused:
        cv.open("yours", storage="studies.db")
    outcome = invoke("status", "--study-name", "yours", "--storage", "studies.db")
    assert str(refused.value) == same_as(outcome)
    with pytest.raises(cv.StorageError, match="there is no study database"):
        cv.open(storage="none.db")
    with pytest.raises(cv.StorageError, match="a path or URL is required, got int"):
        cv.open(storage=3)  # type: ignore[arg-type]
    assert len(study) == 3
