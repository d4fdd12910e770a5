"""Which artifacts a database names: found, added to ended trials, taken away again."""

import json

import optuna
from optuna.trial import create_trial

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.optuna_private import study_id_of, trial_id_of
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.files.artifact_names import (
    all_artifact_ids,
    artifact_attribute,
    artifact_ids,
    artifact_key,
    forget_artifacts,
    name_artifacts,
)


def test_keys_and_ids_belong_together() -> None:
    key, text = artifact_attribute("ab-1", "a.svg", "image/svg+xml")
    assert key == artifact_key("ab-1") == "artifacts:ab-1"
    assert json.loads(text)["filename"] == "a.svg"
    assert artifact_ids([key, "fixed_params", "artifacts:../x"]) == ["ab-1", "../x"]


def test_names_are_found_in_studies_and_trials_and_forgotten(location: Location) -> None:
    with open_for_search(location) as store:
        study = optuna.create_study(study_name="s", storage=store.storage)
        study.add_trials([create_trial(value=1.0), create_trial(value=2.0)])
        first, second = map(trial_id_of, study.trials)
        store.storage.set_study_system_attr(study_id_of(study), "artifacts:of-study", "{}")
        store.storage.set_study_system_attr(study_id_of(study), "artifactsX", "{}")
        with store.engine.begin() as connection:
            for trial_id in (first, second):
                name_artifacts(connection, trial_id, {artifact_key("both"): "{}"})
            name_artifacts(connection, first, {artifact_key("one"): "{}", "artifacts:../x": "{}"})
            assert all_artifact_ids(connection) == {"of-study", "both", "one"}
            forget_artifacts(connection, ["both", "one"], first)
            assert all_artifact_ids(connection) == {"of-study", "both"}
            forget_artifacts(connection, ["both"])
            assert all_artifact_ids(connection) == {"of-study"}
