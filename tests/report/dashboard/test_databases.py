"""The dashboard before each kind of database, and with artifacts in a bucket."""

from collections.abc import Iterator

import optuna
import pytest
from artifact_stores import Bucket
from serving import NAME, Client, Site, fill

from cvfp_opt.report.dashboard.page import refresh, write_missing_curves
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_reading, open_for_search
from cvfp_opt.store.files.s3 import S3Store


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def studied(location: Location, bucket: Bucket) -> Location:
    """With a study, its page and its trials' curves."""
    artifacts = S3Store("s3://b/studies", client=bucket)
    with open_for_search(location) as store:
        write_missing_curves(store, fill(store), artifacts)
    with open_for_search(location) as store:
        refresh(store, optuna.load_study(study_name=NAME, storage=store.storage), print)
    return location


def serve(location: Location, store: Store, bucket: Bucket, **options: bool) -> Iterator[Client]:
    study = optuna.load_study(study_name=NAME, storage=store.storage)
    artifacts = S3Store("s3://b/studies", client=bucket)
    client = Site(location, store, study, stored=artifacts).serve(**options)
    yield client
    client.end()


@pytest.fixture
def reader(studied: Location, bucket: Bucket) -> Iterator[Client]:
    """A server that changes nothing."""
    with open_for_reading(studied) as store:
        yield from serve(studied, store, bucket, read_only=True)


@pytest.fixture
def writer(studied: Location, bucket: Bucket) -> Iterator[Client]:
    with open_for_search(studied) as store:
        yield from serve(studied, store, bucket)


def ids(client: Client) -> dict[str, int]:
    studies = client.ask("/api/studies").json["study_summaries"]
    return {study["study_name"]: study["study_id"] for study in studies}


def test_the_study_its_front_and_its_files(reader: Client, bucket: Bucket) -> None:
    found = ids(reader)
    page = reader.ask(f"/api/studies/{found[NAME]}").json
    assert "better than the untrained net" in page["note"]["body"]
    assert len(page["plotly_graph_objects"]) == 4
    assert len(page["trials"]) == 5
    trial = page["trials"][1]
    assert trial["note"]["body"].startswith("**complete, score 0\\.9400**")
    for artifact in trial["artifacts"]:
        path = f"/artifacts/{found[NAME]}/{trial['trial_id']}/{artifact['artifact_id']}"
        answer = reader.ask(path)
        assert answer.status == 200
        assert answer.body == bucket.objects[f"studies/{artifact['artifact_id']}"]
        assert answer.headers["content-type"].startswith(artifact["mimetype"])
    assert f"]({path.rpartition('/')[0]}/" in trial["note"]["body"]
    front = reader.ask(f"/api/studies/{found[f'{NAME}/pareto']}").json
    values = [tuple(one["values"]) for one in front["trials"]]
    assert values == [(0.2, 0.95), (0.98, 0.9), (0.9, 0.6)]
    assert front["note"]["body"].startswith("# known")
    assert reader.change(f"/api/studies/{found[NAME]}", "DELETE", {}).status == 405
    assert reader.said == []


def test_a_bucket_that_is_gone_is_said(reader: Client, bucket: Bucket) -> None:
    study = ids(reader)[NAME]
    trial = reader.ask(f"/api/studies/{study}").json["trials"][1]
    bucket.unreachable = True
    answer = reader.ask(
        f"/artifacts/{study}/{trial['trial_id']}/{trial['artifacts'][0]['artifact_id']}"
    )
    assert answer.status == 503
    assert b"s3://b/studies: cannot be read" in answer.body
    assert reader.ask(f"/api/studies/{study}").status == 200


def test_a_study_is_renamed_and_deleted(writer: Client, bucket: Bucket) -> None:
    study = ids(writer)[NAME]
    bucket.objects["studies/dead-beef"] = b"another database's"
    renamed = writer.change(f"/api/studies/{study}/rename", "POST", {"study_name": "new"})
    assert renamed.status == 201
    assert set(ids(writer)) == {"new", "new/pareto", "new/pareto-audited"}
    assert writer.change(f"/api/studies/{study}", "DELETE", {}).status == 204
    assert ids(writer) == {}
    assert list(bucket.objects) == ["studies/dead-beef"]
