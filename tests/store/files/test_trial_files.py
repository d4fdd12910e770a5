"""Files of ended trials: their ids, and which networks are kept."""

from collections.abc import Iterator

import numpy as np
import optuna
import pytest
from artifact_stores import Bucket
from known_studies import complete
from safetensors.numpy import load

from cvfp_opt.store.database.constraints import constraint_attributes
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.files.artifact_names import name_artifacts
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.files.s3 import S3Store
from cvfp_opt.store.files.trial_files import (
    SVG,
    File,
    Networks,
    has_curves,
    picture_id,
    write_curves,
)

TRIAL = "ab" * 16
PICTURE = File(name="a.svg", mimetype=SVG, text="<svg/>")


@pytest.fixture
def database(location: Location) -> Iterator[Store]:
    with open_for_search(location) as opened:
        yield opened


def test_ids_follow_from_trial_and_content(store: ArtifactStore) -> None:
    [key] = named = write_curves(store, TRIAL, [PICTURE])
    assert write_curves(store, TRIAL, [PICTURE]) == named
    other = File(name="a.svg", mimetype=SVG, text="<svg></svg>")
    assert write_curves(store, TRIAL, [other]).keys() != {key}
    assert has_curves(named, TRIAL)
    assert not has_curves(named, "cd" * 16)
    assert not has_curves({f"artifacts:{TRIAL}-1": "{}"}, TRIAL)
    with store.open_reader(picture_id(named)) as file:
        assert file.read() == b"<svg/>"
    assert picture_id({"artifacts:x": "null", f"artifacts:{TRIAL}-c{'0' * 12}": "null"}) == ""


def add(networks: Networks, study: optuna.Study, score: float, *, feasible: bool = True) -> str:
    """A complete trial with its network, as far as that is kept; its uuid."""
    added = complete(0.5, score, score)
    added.system_attrs = {**constraint_attributes({"scale": -0.1 if feasible else 0.1})}
    study.add_trial(added)
    trial = study.trials[-1]
    uuid = f"{trial.number:032x}"
    if networks.is_kept(score, feasible=feasible):
        weights = {"w": np.full(3, score, dtype=np.float32)}
        named = networks.write(uuid, weights, {"trial": uuid})
        with networks.store.engine.begin() as connection:
            name_artifacts(connection, trial._trial_id, named)
    networks.thin()
    return uuid


def test_the_best_networks_are_kept(database: Store, bucket: Bucket) -> None:
    artifacts = S3Store("s3://b", client=bucket)
    study = optuna.create_study(storage=database.storage, direction="maximize")
    networks = Networks(store=database, artifacts=artifacts, study_id=study._study_id, count=2)
    uuids = [add(networks, study, score) for score in (0.3, 0.5, 0.4, 0.2, 0.6)]
    assert set(bucket.objects) == {f"{uuids[1]}-f", f"{uuids[4]}-f"}
    with artifacts.open_reader(f"{uuids[4]}-f") as file:
        assert load(file.read())["w"][0] == np.float32(0.6)
    for score in (0.1, 0.5, float("nan"), float("inf")):
        assert not networks.is_kept(score)


def test_networks_of_trials_that_cannot_be_the_best_come_last(
    database: Store, bucket: Bucket
) -> None:
    study = optuna.create_study(storage=database.storage, direction="maximize")
    networks = Networks(
        store=database,
        artifacts=S3Store("s3://b", client=bucket),
        study_id=study._study_id,
        count=2,
    )
    higher = add(networks, study, 0.7, feasible=False)
    lower = add(networks, study, 0.6, feasible=False)
    assert set(bucket.objects) == {f"{higher}-f", f"{lower}-f"}
    best = add(networks, study, 0.5)
    assert set(bucket.objects) == {f"{higher}-f", f"{best}-f"}
    assert not networks.is_kept(0.65, feasible=False)
    assert networks.is_kept(0.4)


def test_a_network_that_a_copy_names_too_stays(database: Store, bucket: Bucket) -> None:
    study = optuna.create_study(storage=database.storage, direction="maximize")
    networks = Networks(
        store=database,
        artifacts=S3Store("s3://b", client=bucket),
        study_id=study._study_id,
        count=1,
    )
    uuid = add(networks, study, 0.3)
    copy = optuna.create_study(storage=database.storage, direction="maximize")
    copy.add_trial(complete(0.5, 0.3, 0.3))
    with database.engine.begin() as connection:
        name_artifacts(connection, copy.trials[0]._trial_id, {f"artifacts:{uuid}-f": "{}"})
    add(networks, study, 0.5)
    assert f"{uuid}-f" in bucket.objects
