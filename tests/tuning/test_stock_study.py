"""Studies that stock Optuna runs: whose they are after the first trial, and which are refused."""

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from stock import optimized, stock_study, tiny

from cvfp_opt.errors import StudyError
from cvfp_opt.report.judgement import judge
from cvfp_opt.report.status import status_lines
from cvfp_opt.store.record.records import MIRROR_OF, STUDY, StudyRecord
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.tuning.stock_objective import StockObjective


def test_the_first_trial_leaves_a_record_that_reports_read() -> None:
    study = optimized(2)
    record = StudyRecord.of(study)
    assert record is not None
    assert record.definition == tiny().to_dict()
    assert record.environment["threads"] == 1
    assert "worker" not in record.environment
    assert study.metric_names == ["score"]
    summary = Summary.of(study, "memory")
    assert summary.note == ""
    assert summary.best is not None
    assert summary.best.value == study.best_value
    assert "the untrained net" in judge(summary)
    assert "carries no audit" not in judge(summary)
    assert any(line.startswith("best: trial") for line in status_lines(summary))


def test_threads_that_begin_together_leave_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = StudyRecord.write, []

    def count(self: StudyRecord, study: optuna.Study) -> None:
        written.append(self.uuid)
        write(self, study)

    monkeypatch.setattr(StudyRecord, "write", count)
    study = stock_study(tiny())
    study.optimize(StockObjective(definition=tiny()), n_trials=4, n_jobs=4)
    assert [study.user_attrs[STUDY]["uuid"]] == written


def test_another_definition_is_refused_key_by_key() -> None:
    study = optimized(1)
    other = StockObjective(definition=tiny("training.num_epochs=1", "search.seed=3"))
    with pytest.raises(StudyError) as error:
        study.optimize(other, n_trials=1)
    text = str(error.value)
    assert "training.num_epochs: the study has 2, the objective 1" in text
    assert "search.seed: the study has 0, the objective 3" in text
    study.optimize(StockObjective(definition=tiny()), n_trials=1)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]


def test_scores_of_another_program_are_no_beginning() -> None:
    study = stock_study(tiny(), study_name="-theirs")
    study.add_trial(create_trial(value=0.5))
    with pytest.raises(StudyError, match=r"study adopt --definition quick -- -theirs`"):
        study.optimize(StockObjective(definition=tiny(), name="quick"), n_trials=1)
    assert STUDY not in study.user_attrs


def test_what_failed_or_waits_is_nobodys_score() -> None:
    study = stock_study(tiny())
    study.set_user_attr("owner", "me")
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.enqueue_trial({"dist_reg_weight": 0.5})
    study.optimize(StockObjective(definition=tiny()), n_trials=1)
    assert study.trials[1].state is TrialState.COMPLETE
    assert study.user_attrs.keys() == {"owner", STUDY}


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        (MIRROR_OF, "another", "is a mirror of another"),
        ("cvfp_opt:confirms", "another", "is a confirmation of another"),
        (STUDY, {"format": 99}, "written by a newer cvfp-opt"),
        (STUDY, "x", "is damaged"),
    ],
)
def test_a_study_that_nobody_searches_is_refused(key: str, value: object, why: str) -> None:
    study = stock_study(tiny())
    study.set_user_attr(key, value)
    with pytest.raises(StudyError, match=why):
        StockObjective(definition=tiny()).check(study)
