"""Checkpoints in a store: the last two, found again by the trial's identity, whole or not used."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from artifact_stores import Bucket
from optuna.artifacts import download_artifact, get_all_artifact_meta

from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.store.files.s3 import S3Store
from cvfp_opt.store.files.snapshot_format import Arrays
from cvfp_opt.store.files.trial_checkpoints import TrialCheckpoints

TRIAL = "0123456789abcdef" * 2


def arrays(iteration: int) -> Arrays:
    return {"weights": np.full(1000, iteration, np.float32)}


def saved(store: ArtifactStore, *iterations: int) -> TrialCheckpoints:
    checkpoints = TrialCheckpoints(store, TRIAL)
    for iteration in iterations:
        checkpoints.save(arrays(iteration), {"iteration": iteration})
    return checkpoints


def accept(values: dict[str, Any]) -> str:
    return ""


def loaded(store: ArtifactStore) -> tuple[int | None, list[str]]:
    """The iteration that is found, its arrays checked, and what was said."""
    told: list[str] = []
    found = TrialCheckpoints(store, TRIAL).load(accept, told.append)
    if found is None:
        return None, told
    iteration = found[1]["iteration"]
    np.testing.assert_array_equal(found[0]["weights"], arrays(iteration)["weights"])
    return iteration, told


def test_the_last_two_are_kept_and_the_newest_is_found(store: ArtifactStore) -> None:
    assert loaded(store) == (None, [])
    checkpoints = saved(store, 1, 2, 3, 4, 5)
    assert sorted(checkpoints.present()) == sorted(checkpoints.ids)
    assert loaded(store) == (5, [])
    checkpoints.remove()
    assert checkpoints.present() == []
    assert loaded(store) == (None, [])
    checkpoints.remove()


def test_whoever_goes_on_replaces_the_older_one(store: ArtifactStore) -> None:
    saved(store, 3, 4)
    other = TrialCheckpoints(store, TRIAL)
    assert other.load(accept, print) is not None
    other.save(arrays(5), {"iteration": 5})
    remaining = {}
    TrialCheckpoints(store, TRIAL).load(
        lambda values: remaining.setdefault(values["iteration"], ""), print
    )
    assert sorted(remaining) == [4, 5]


def test_trials_do_not_see_each_other(store: ArtifactStore) -> None:
    saved(store, 3)
    other = TrialCheckpoints(store, TRIAL[::-1])
    assert other.load(accept, print) is None
    other.remove()
    assert loaded(store) == (3, [])


@pytest.mark.parametrize("content", [b"", b"torn", None, "flipped"])
def test_a_damaged_one_is_passed_over_for_the_one_before(
    content: bytes | str | None, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path)
    newest = saved(store, 1, 2, 3).ids[0]
    whole = bytearray(store.path(newest).read_bytes())
    if content is None:
        content = bytes(whole[:-100])
    elif content == "flipped":
        whole[-100] ^= 1
        content = bytes(whole)
    assert isinstance(content, bytes)
    store.path(newest).write_bytes(content)
    iteration, told = loaded(store)
    assert iteration == 2
    [line] = told
    assert re.match(f"a checkpoint is passed over: checkpoint {newest}: damaged, or no sn", line)
    other = TrialCheckpoints(store, TRIAL)
    other.load(accept, lambda text: None)
    other.save(arrays(3), {"iteration": 3})  # in the place of the damaged one
    assert loaded(store) == (3, [])


def test_one_that_is_refused_is_passed_over(store: ArtifactStore) -> None:
    checkpoints = saved(store, 1, 2)
    told: list[str] = []

    def refuse(values: dict[str, Any]) -> str:
        return "not mine" if values["iteration"] == 2 else ""

    found = checkpoints.load(refuse, told.append)
    assert found is not None
    assert found[1]["iteration"] == 1
    assert told == [f"a checkpoint is passed over: checkpoint {TRIAL}-2: not mine"]


def test_a_store_that_fails_while_it_is_read_is_said(bucket: Bucket) -> None:
    store = S3Store("s3://b/x", client=bucket)
    saved(store, 1, 2)
    bucket.unreachable = True
    iteration, told = loaded(store)
    assert iteration is None
    assert len(told) == 2
    assert all("cannot be read: Could not connect" in line for line in told)


def test_optuna_finds_and_downloads_them(store: ArtifactStore, tmp_path: Path) -> None:
    study = optuna.create_study()
    trial = study.ask()
    key, value = TrialCheckpoints(store, TRIAL).save(arrays(7), {"iteration": 7})
    study._storage.set_trial_system_attr(trial._trial_id, key, value)
    [meta] = get_all_artifact_meta(trial)
    assert (meta.artifact_id, meta.filename) == (f"{TRIAL}-1", "checkpoint-7.safetensors")
    assert re.fullmatch("[0-9a-fA-F-]+", meta.artifact_id)  # all that its dashboard serves
    target = tmp_path / "downloaded"
    download_artifact(artifact_store=store, artifact_id=meta.artifact_id, file_path=str(target))
    with store.open_reader(meta.artifact_id) as file:
        assert target.read_bytes() == file.read()


KILLED = """
import json, os, re, signal, sys
from pathlib import Path
import numpy as np
from cvfp_opt.store.files.trial_checkpoints import TrialCheckpoints
from cvfp_opt.store.files import folder as folder_module
from cvfp_opt.store.files.folder import FolderStore

TRIAL = "0123456789abcdef" * 2
folder = Path("artifacts")
arrays = {"weights": np.ones(1000)}
folder_module._CHUNK = 3000  # of several pieces
checkpoints = TrialCheckpoints(FolderStore(folder), TRIAL)
for iteration in (1, 2):
    checkpoints.save(arrays, {"iteration": iteration})
before = {path: path.read_bytes() for path in folder.iterdir()}
found, temporary, ended, count = {}, 0, False, 0
while not ended:
    count += 1
    for path in folder.iterdir():
        path.unlink()
    for path, content in before.items():
        path.write_bytes(content)
    checkpoints = TrialCheckpoints(FolderStore(folder), TRIAL)
    checkpoints.load(lambda values: "", print)
    child = os.fork()
    if child == 0:
        calls = 0
        def kill(frame, event, argument):
            global calls
            calls += event == "c_call"
            if calls == count:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.setprofile(kill)
        checkpoints.save(arrays, {"iteration": 3})
        sys.setprofile(None)
        os._exit(0)
    ended = os.waitpid(child, 0)[1] == 0
    told = []
    loaded = TrialCheckpoints(FolderStore(folder), TRIAL).load(lambda values: "", told.append)
    assert loaded is not None and not told, (count, told)
    iteration = loaded[1]["iteration"]
    found[iteration] = found.get(iteration, 0) + 1
    for path in folder.glob(".*"):
        temporary += 1
        os.utime(path, (0, 0))
        assert FolderStore(folder).leftovers() == [path], path
print(json.dumps({"calls": count, "found": found, "temporary": temporary}))
"""


def test_a_kill_at_any_call_of_a_save_leaves_the_old_ones_or_the_new_one() -> None:
    report = json.loads(subprocess.check_output([sys.executable, "-c", KILLED], text=True))
    assert report["calls"] > 40
    assert report["found"]["2"] > 20  # killed before it was in place
    assert report["found"]["3"] > 2  # and after: the new one is whole
    assert report["temporary"] > 5
