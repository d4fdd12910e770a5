"""Creating a study where another program's lies, or one that was cut off at birth."""

from pathlib import Path

import optuna
import pytest
from support import TINY

from cvfp_opt.errors import StudyError
from cvfp_opt.search.plan import Request, make_plan
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.records import StudyRecord
from cvfp_opt.store.studies import create_study


@pytest.mark.parametrize("what", ["trials", "attributes", "direction"])
def test_what_another_program_made_since_is_refused(what: str) -> None:
    location = resolve_location("x.db")
    plan = make_plan(location, Request(definition="quick", settings=TINY))
    assert not Path("x.db").exists()
    direction = "minimize" if what == "direction" else "maximize"
    theirs = optuna.create_study(study_name="quick", storage="sqlite:///x.db", direction=direction)
    if what == "trials":
        theirs.add_trial(optuna.trial.create_trial(value=1.0))
    if what == "attributes":
        theirs.set_user_attr("author", "somebody")
    with open_for_search(location) as store:
        with pytest.raises(StudyError, match="was made by another program"):
            plan.enter(store, {})
        record = StudyRecord(
            definition=plan.definition.to_dict(),
            definition_digest="",
            data_digest="",
            created=0.0,
            environment={},
        )
        with pytest.raises(StudyError, match="was made by another program"):
            create_study(store, "quick", record)


def test_a_study_that_was_cut_off_at_birth_is_completed() -> None:
    location = resolve_location("x.db")
    plan = make_plan(location, Request(definition="quick", settings=TINY))
    optuna.create_study(study_name="quick", storage="sqlite:///x.db", direction="maximize")
    with open_for_search(location) as store:
        study, created = plan.enter(store, {})
        assert created
        record = StudyRecord.of(study)
        assert record is not None
        assert record.definition_digest == plan.definition.digest()
