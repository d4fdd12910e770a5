"""A bucket behind a real server that speaks S3's language: moto's."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deploy.programs import free_port, get, running, wait_for
from processes import Process
from running import SLOWER_ARGUMENTS, end_of, wait_for_trial
from support import TINY_ARGUMENTS, Outcome, Start

from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_reading
from cvfp_opt.store.record.studies import load_study

pytestmark = pytest.mark.processes

BUCKET = "studies"
WORDS = [
    *("run", "quick", *TINY_ARGUMENTS, *SLOWER_ARGUMENTS),
    *("--threads", "1", "--n-jobs", "1", "--n-trials", "1", "--checkpoint-every", "0"),
]
Invoke = Callable[..., Outcome]


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket, by boto3's client; whoever is started from here finds it."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        pytest.skip("moto[server] is not installed")
    import boto3

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    words = (sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port))
    with running(*words, cwd=tmp_path, ready=lambda: get(address)[0] == 200):
        client = boto3.client("s3")
        try:
            client.create_bucket(Bucket=BUCKET)
            yield client
        finally:
            client.close()


def keys(client: Any) -> set[str]:
    listed = client.list_objects_v2(Bucket=BUCKET)
    return {one["Key"] for one in listed.get("Contents", ())}


def score() -> float:
    with open_for_reading(resolve_location("storage/cvfp.db")) as store:
        (trial,) = load_study(store, "quick").trials
    assert trial.value is not None
    return trial.value


def test_a_trial_that_is_killed_goes_on_from_its_checkpoint_in_a_bucket(
    bucket: Any, start: Start, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ("--artifacts", f"s3://{BUCKET}/cvfp")
    first: Process = start(*WORDS, *place, cwd=tmp_path)
    wait_for_trial(first)
    wait_for(lambda: len(keys(bucket)) >= 2, "two checkpoints in the bucket")
    first.kill()
    first.communicate(20)
    left = keys(bucket)
    assert all(key.startswith("cvfp/") for key in left)
    code, out = end_of(start(*WORDS, *place, cwd=tmp_path))
    assert code == 0, out
    assert "trial 0 was left by a dead worker: it goes on here" in out
    assert "of a checkpoint" in out, out
    assert not left & keys(bucket), "checkpoints are removed when their trial has ended"
    assert keys(bucket), "curves and the best networks stay"
    killed = score()

    other = tmp_path / "undisturbed"
    other.mkdir()
    monkeypatch.chdir(other)
    code, out = end_of(start(*WORDS, cwd=other))
    assert code == 0, out
    assert score() == killed


def test_a_bucket_that_is_not_there_is_told_in_a_line(bucket: Any, invoke: Invoke) -> None:
    outcome = invoke(*WORDS, "--artifacts", "s3://elsewhere/cvfp")
    assert outcome.code == 1
    assert "elsewhere" in outcome.err
    assert outcome.err.count("\n") == 1
