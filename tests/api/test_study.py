"""A study from Python: what it tells, what can be done with it, and when it is gone."""

import math
import pickle
from pathlib import Path

import pytest
from api.conftest import ALONE

import cvfp_opt as cv


def test_its_best_trial_is_a_record(study: cv.Study) -> None:
    best = study.best
    feasible = [trial for trial in study.trials if trial.record.feasible]
    assert best.score == max(trial.score for trial in feasible or study.trials)
    assert set(best.params) == set(study.plan().space)
    assert 0 <= best.convergence <= 1
    assert best.effective_rank == best.metrics["effective_rank"]
    assert best.untrained_score == best.audit["baseline"]["score"]
    assert best.iterations[-1]["score"] == best.metrics["score"]
    assert best == study.trial(best.number)
    assert best in study.ranking
    assert study.ranking[0] == best
    assert repr(best).startswith(f"Trial {best.number} of 'mine' (complete, score 0.")
    assert best.to_dict()["study_name"] == "mine"
    with pytest.raises(AttributeError):
        best.record = None  # type: ignore[misc, assignment]


def test_a_study_is_its_place_and_its_name(study: cv.Study) -> None:
    assert pickle.loads(pickle.dumps(study)) == study
    assert {study, cv.open("mine", storage="studies.db")} == {study}
    assert repr(study).startswith("Study('mine', storage='sqlite:///studies.db')")
    assert len(study) == 3
    assert study.counts["complete"] + study.counts["pruned"] == 3
    assert study.judgement.startswith(f"Trial {study.best.number} scores ")
    assert study.to_dict()["judgement"] == study.judgement
    assert study.confirmation is None
    assert study.plan().changes["model.num_layers"] == 1


def test_its_winner_is_confirmed_loaded_and_saved(study: cv.Study) -> None:
    verdict = study.confirm(top=1, seeds=2, workers=ALONE, progress=False)
    assert verdict.done == verdict.total == 6
    assert study.confirmation == verdict
    kept = study.best.load()
    assert study.best.save("net", progress=False) is True
    saved = cv.load("net")
    assert kept.contexts("a few words").equal(saved.contexts("a few words"))
    trained = cv.train(study.best.to_plan(), progress=False)
    assert trained.load().account.parameters == kept.account.parameters


def test_a_network_that_was_not_kept_is_trained_again(study: cv.Study) -> None:
    kept = study.best.load().contexts("a few words")
    for file in Path("artifacts").iterdir():
        file.unlink()
    assert study.best.load().contexts("a few words").equal(kept)


def test_a_trial_is_proved_repeated_and_failed(study: cv.Study) -> None:
    assert study.best.replay(progress=False)["identical"] is True
    [again] = study.enqueue(retry=study.best.number)
    assert again.state == "waiting"
    assert math.isnan(again.score)
    again.fail("not wanted")
    assert study.trial(again.number).reason == "not wanted"
    with pytest.raises(cv.StudyError, match="has ended already"):
        again.fail()
    assert study.best.retry().number == again.number + 1


def test_points_are_enqueued_by_value_or_from_another_study(study: cv.Study) -> None:
    [chosen] = study.enqueue({"dist_reg_weight": 0.5})
    assert study.enqueue({"dist_reg_weight": 0.5}) == (study.trial(chosen.number),)
    copy = study.copy("other.db", name="yours")
    assert copy.location != study.location
    best = study.enqueue(best_of=copy, top=2)
    assert len(best) == 2
    with pytest.raises(cv.DefinitionError, match="unknown"):
        study.enqueue({"weight": 1})
    with pytest.raises(cv.DefinitionError, match="a number or a word is required"):
        study.enqueue({"dist_reg_weight": None})
    with pytest.raises(cv.DefinitionError, match="one of params, best_of and retry is required"):
        study.enqueue()
    assert study.wait(timeout=0) is False


def test_it_comes_to_rest(study: cv.Study) -> None:
    assert study.wait(timeout=60) is True


def test_it_is_drawn_and_reported(study: cv.Study) -> None:
    figure = study.plot("history")
    assert [trace.type for trace in figure.data]
    with pytest.raises(cv.ReportError, match="unknown figure 'histroy'; did you mean 'history'"):
        study.plot("histroy")
    page = study.report("page.html", data="numbers", compare=study.copy("other.db"))
    assert study.judgement.split(" scores")[0] in page.read_text()
    assert (Path("numbers") / "report.json").exists()
    assert study.compare("mine").sentence.startswith("The winners are level")


def test_it_travels(study: cv.Study) -> None:
    exported = study.export("mine.zip")
    assert exported.size == Path("mine.zip").stat().st_size
    read = cv.import_study("mine.zip", name="read", storage="read.db")
    assert [trial.params for trial in read.trials] == [trial.params for trial in study.trials]
    read.rename("again")
    assert cv.studies(storage="read.db") == [cv.Study("again", "read.db")]
    joined = cv.merge([study, read], "joined", storage="studies.db")
    assert len(joined) == 3
    with pytest.raises(cv.DefinitionError, match="two or more studies are required"):
        cv.merge([study], "alone", storage="studies.db")
    assert cv.doctor(storage="studies.db").faults == []
    assert study.doctor().faults == []


def test_a_study_that_is_gone_says_so(study: cv.Study) -> None:
    other = cv.open("mine", storage="studies.db")
    trial = study.best
    other.delete()
    with pytest.raises(cv.StudyError, match="there is no study 'mine'"):
        study.look()
    with pytest.raises(cv.StudyError, match="there is no study 'mine'"):
        trial.fail()
    with pytest.raises(cv.StudyError, match="there is no study 'mine'"):
        study.delete()
    assert trial.score > 0  # a record stays what it was
    Path("studies.db").unlink()
    with pytest.raises(cv.StorageError, match="there is no study database"):
        study.look()


def test_two_kernels_on_one_study_share_its_trials(study: cv.Study) -> None:
    here = study.more(3, workers=ALONE)
    there = cv.open("mine", storage="studies.db").more(3, workers=ALONE)
    numbers = {next(here).number, next(there).number}
    numbers |= {trial.number for trial in here}
    numbers |= {trial.number for trial in there}
    trials = study.trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert 6 <= len(trials) <= 9
    assert {trial.state for trial in trials} <= {"complete", "pruned"}


def test_the_artifacts_of_the_environment_count_everywhere(
    study: cv.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.export("mine.zip")
    monkeypatch.setenv("CVFP_OPT_ARTIFACTS", "kept")
    read = cv.import_study("mine.zip", storage="read.db")
    assert read.artifacts == "kept"
    assert list(Path("kept").iterdir())
    before = len(list(Path("kept").iterdir()))
    list(read.more(1, workers=ALONE, limits=cv.Limits(max_retries=1)))
    assert len(list(Path("kept").iterdir())) > before
