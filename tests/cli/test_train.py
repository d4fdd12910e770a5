"""``train``: one run without a study, the same as a trial, saved and read back."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import Process, fork_python
from support import TINY_ARGUMENTS, Outcome

from cvfp_opt.errors import CheckpointError
from cvfp_opt.single.train import load_network
from cvfp_opt.store.files.saved_networks import ACCOUNT, read_checkpoint, write_checkpoint
from cvfp_opt.training.run import weights_digest

Invoke = Callable[..., Outcome]
POINT = {
    "dist_reg_weight": 0.85,
    "phase1_learning_rate": 0.002,
    "phase1_convergence_threshold": 0.5,
    "layernorm_mix": 1.0,
}
FIXED = [word for k, v in POINT.items() for word in ("--set", f"space.{k}={v}")]
WORDS = ["train", "quick", *TINY_ARGUMENTS, *FIXED, "--threads", "1"]


def test_a_table_row_per_iteration_then_audit_and_judgement(invoke: Invoke) -> None:
    outcome = invoke(*WORDS)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    rows = [line for line in lines if line[:9].strip().isdigit()]
    assert [int(row.split()[0]) for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0].split()[1] == "0.85"
    assert rows[-1].split()[1] == "-"
    assert "held-out text" in outcome.out
    assert "The run scores" in outcome.out
    assert not Path("storage").exists()


def test_it_is_trial_0_of_the_study_with_these_parameters(
    invoke: Invoke, run_tiny: Invoke
) -> None:
    alone = json.loads(invoke(*WORDS, "--json", "--seed", "3").out)
    run_tiny(*FIXED, "--seed", "3", "--n-trials", "1")
    trial = json.loads(invoke("best", "--json").out)
    assert alone["weights_digest"] == trial["environment"]["weights_digest"]
    assert alone["iterations"] == trial["iterations"]


def test_a_parameter_that_is_not_fixed_is_asked_for(invoke: Invoke) -> None:
    outcome = invoke("train", "quick", "--set", "space.layernorm_mix=1")
    assert outcome.code == 1
    assert "these are searched: dist_reg_weight, phase1_learning_rate" in outcome.err
    assert "--set space.phase1_convergence_threshold=VALUE" in outcome.err
    assert "layernorm_mix=VALUE" not in outcome.err


def test_a_checkpoint_holds_the_very_network(invoke: Invoke) -> None:
    saved = json.loads(invoke(*WORDS, "--json", "--save", "net").out)
    network, definition, checkpoint = load_network(Path("net"))
    assert weights_digest(network) == saved["weights_digest"]
    assert definition.to_dict()["space"] == POINT
    assert checkpoint.account.result["iterations"] == saved["iterations"]
    with torch.no_grad():
        assert network(torch.zeros(8), torch.zeros(6)).shape == (8,)


def test_a_taken_folder_is_refused_before_training(invoke: Invoke) -> None:
    Path("net").mkdir()
    outcome = invoke(*WORDS, "--save", "net")
    assert (outcome.code, outcome.out) == (1, "")
    assert "exists already" in outcome.err


def test_a_run_that_diverges_says_where_and_ends_with_1(invoke: Invoke) -> None:
    outcome = invoke(*WORDS, "--set", "space.phase1_learning_rate=1e38")
    assert outcome.code == 1
    assert "diverged: " in outcome.out


def test_weights_of_another_size_are_refused(invoke: Invoke) -> None:
    invoke(*WORDS, "--save", "net")
    found = read_checkpoint(Path("net"))
    found.account.definition["model"]["context_size"] = 1 << 40
    write_checkpoint(Path("huge"), found)
    with pytest.raises(CheckpointError, match="another size or architecture"):
        load_network(Path("huge"))


def test_verify_checks_a_checkpoint_and_a_definition(invoke: Invoke) -> None:
    invoke(*WORDS, "--save", "net")
    settings = [*TINY_ARGUMENTS, "--set", "search.pruner=none"]
    for words in (["net"], ["standard", *settings]):
        outcome = invoke("verify", "quick", *words, "--threads", "1")
        assert outcome.out.count("effective rank / D") == 2
        failed = outcome.out.count(" FAIL ")
        assert outcome.code == (1 if failed else 0)
        assert f"{failed} of 6 checks failed" in outcome.out or "all passed" in outcome.out
    report = json.loads(invoke("verify", "quick", "net", "--json", "--threads", "1").out)
    assert [check["name"] for check in report[:3]] == [
        "effective rank / D",
        "no identity map",
        "convergence rate",
    ]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["verify", "fast"], 2, "unknown name 'fast'; valid: quick, standard"),
        (["verify", "quick", "recommended"], 1, "these are searched: dist_reg_weight"),
        (["verify", "quick", "nowhere"], 1, "neither a built-in name nor a file"),
        (["verify", "quick", "folder"], 1, "checkpoint.json and weights.safetensors is required"),
        (["verify", "quick", "folder", "--set", "a.b=1"], 2, "a checkpoint is fixed"),
    ],
)
def test_what_cannot_be_verified_is_refused(
    words: list[str], code: int, message: str, invoke: Invoke
) -> None:
    Path("folder").mkdir()
    outcome = invoke(*words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err


LONG = [*WORDS, "--set", "training.num_epochs=60", "--set", "training.num_iterations=6"]
KEEP_AT_ONCE = """
import cvfp_opt.single.train as single
from cvfp_opt.cli import main
single.MIN_SECONDS_KEPT = 0.0
main()
"""


def start_keeping(folder: Path) -> Process:
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return fork_python("-c", KEEP_AT_ONCE, *LONG, cwd=folder, environment=environment)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The account of a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code = "from cvfp_opt.cli import main; main()"
    process = fork_python("-c", code, *LONG, "--save", "kept", cwd=folder)
    process.communicate()
    return read_account(folder / "kept")


def read_account(folder: Path) -> dict[str, Any]:
    account: dict[str, Any] = json.loads((folder / ACCOUNT).read_text())
    del account["files"]["README.md"]  # it names its folder
    return account


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    signum: signal.Signals,
    code: int,
    invoke: Invoke,
    isolated_folder: Path,
    undisturbed: dict[str, Any],
) -> None:
    process = start_keeping(isolated_folder)
    assert process.stdout is not None
    for line in process.stdout:
        if line[:9].strip() == "2":
            process.send_signal(signum)
            break
    rest, _ = process.communicate()
    assert process.returncode == code
    # a kill in the middle of a write leaves another, hidden one
    [kept] = Path("storage/unfinished").glob("*.safetensors")
    if signum is not signal.SIGKILL:
        assert "iterations are kept: type the same command again to go on" in rest
    resumed = invoke(*LONG, "--save", "resumed")
    assert resumed.code == 0
    assert "this run was stopped before: going on after" in resumed.out
    rows = [line for line in resumed.out.splitlines() if line[:9].strip().isdigit()]
    assert [int(row.split()[0]) for row in rows] == list(range(1, len(rows) + 1))
    assert not kept.exists()
    ours = read_account(Path("resumed"))
    assert ours["files"] == undisturbed["files"]
    assert ours["result"]["iterations"] == undisturbed["result"]["iterations"]


def test_a_short_run_keeps_nothing(invoke: Invoke) -> None:
    assert invoke(*WORDS).code == 0
    assert not Path("storage").exists()


def test_a_damaged_snapshot_is_put_aside_with_a_line(
    invoke: Invoke, isolated_folder: Path
) -> None:
    process = start_keeping(isolated_folder)
    assert process.stdout is not None
    for line in process.stdout:
        if line[:9].strip() == "2":
            process.kill()
            break
    process.communicate()
    [kept] = Path("storage/unfinished").glob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-10])
    outcome = invoke(*LONG)
    assert outcome.code == 0
    assert "an unfinished run cannot be used, so it begins anew" in outcome.out
    assert not kept.exists()
