"""The record of experiments: tables and picture from its figures; rejected losses compute."""

import json
import math
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import torch
from stock import tiny
from support import REPOSITORY, load_script
from torch import Tensor

from cvfp_opt.model.metrics import effective_rank
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.training.result import Status
from cvfp_opt.tuning.objective import Objective
from cvfp_opt.tuning.plan import Request

FOLDER = REPOSITORY / "docs" / "record"


def losses() -> ModuleType:
    return load_script("docs/record/losses.py")


def random(count: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, width, generator=generator, dtype=torch.float64)


def test_the_tables_are_those_of_the_figures() -> None:
    record = load_script("docs/record/record.py")
    page = (REPOSITORY / "docs" / "experiments.md").read_text()
    assert record.with_tables(page, record.read_rows()) == page


def test_every_command_of_the_record_is_a_definition_that_searches_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(FOLDER)
    for row in load_script("docs/record/record.py").read_rows():
        words = shlex.split(row["command"].removeprefix("cd docs/record && "))
        assert words[:2] == ["cvfp-opt", "train"]
        settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        assert len(words) == 3 + 2 * len(settings)
        Request(definition=words[2], settings=settings).resolve(None).hyperparameters()


def test_the_picture_has_every_row() -> None:
    picture = (FOLDER / "trade-off.svg").read_text()
    for row in load_script("docs/record/record.py").read_rows():
        assert row["name"].split(",")[0] in re.sub(r"&[a-z]+;", "", picture)


def test_variance_covariance_is_the_papers_formula() -> None:
    contexts = random(30, 4) * torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    covariance = torch.cov(contexts.T)
    off_diagonal = sum(covariance[i, j] ** 2 for i in range(4) for j in range(4) if i != j)
    hinge = sum(max(0.0, 1 - math.sqrt(covariance[i, i] + 1e-4)) for i in range(4))
    expected = (25 * hinge / 4 + off_diagonal / 4) / 25
    assert losses().variance_covariance(contexts, None).item() == pytest.approx(expected.item())


def test_spectral_entropy_is_minus_the_logarithm_of_the_effective_rank() -> None:
    assert losses().spectral_entropy(torch.eye(5), None).item() == pytest.approx(-1.0)
    assert losses().spectral_entropy(torch.ones(5, 5), None).item() == pytest.approx(0.0, abs=1e-3)
    contexts = random(20, 6)
    expected = -math.log(6 * effective_rank(contexts)) / math.log(6)
    assert losses().spectral_entropy(contexts, None).item() == pytest.approx(expected)


def test_the_weights_of_a_pass_are_those_of_a_run_that_stopped_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_script("docs/record/downstream.py")
    monkeypatch.setattr(script, "LAST_PASS", 3)
    settings = (
        "space.dist_reg_weight=0.85",
        "space.phase1_learning_rate=0.003",
        "space.layernorm_mix=1.0",
        "training.learning_rate_schedule=linear",
        "training.training_pass=exact",
        "data.validation=held_out",
    )

    def objective(*more: str) -> Objective:
        definition = tiny(*settings, *more)
        tokens = definition.load_tokens()
        return Objective(definition=definition, tokens=tokens, device=torch.device("cpu"))

    strict = "space.phase1_convergence_threshold=0.001", "training.min_converged_ratio=1.0"
    script.train(objective(*strict), tmp_path / "net")
    stopped: list[dict[str, Tensor]] = []

    def keep(network: ContextNetwork) -> None:
        stopped.append(network.state_dict())

    early = "space.phase1_convergence_threshold=100.0", "training.min_converged_ratio=0.95"
    result = objective(*early)({}, 0, trained=keep)
    assert result.status is Status.CONVERGED_EARLY
    assert len(result.iterations) == 2
    kept = torch.load(tmp_path / "net-1.pt", weights_only=True)
    assert stopped[0].keys() == kept.keys()
    for name, weight in kept.items():
        assert torch.equal(weight, stopped[0][name])


def test_trials_are_searched_again_as_a_pruner_would_have_ended_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = load_script("docs/record/promises.py")
    ranks = (0.5, 0.6, 0.4, 0.6, 0.5, 0.45, 0.9)
    rows = [
        {
            "value": rank,
            "exponent": -rank,
            "iterations": [{"effective_rank": rank, "residual": 0.5, "lyapunov_exponent": -rank}]
            * 12,
        }
        for rank in ranks
    ]
    assert script.search(rows, script.by_exponent, None) == (0.9, 7.0)
    best, cost = script.search(rows, script.by_exponent, 2.0)
    assert (best, cost) == (0.9, pytest.approx(6 + 3 / 13))  # the sixth ends at the first rung
    parting = [*rows[:-1], {**rows[-1], "iterations": rows[-1]["iterations"].copy()}]
    parting[-1]["iterations"][2] = {**rows[-1]["iterations"][2], "lyapunov_exponent": 1.0}
    assert script.search(parting, script.by_exponent, 2.0)[0] == 0.6
    assert script.search(parting, script.by_residual, 2.0)[0] == 0.9

    file = tmp_path / "rows.json"
    for trials in (1, 4):  # it goes on where it was stopped
        assert len(script.train(64, 16, trials, file)) <= trials
        assert len(json.loads(file.read_text())) == trials
    script.compare(rows, orders=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "7 trials, 7 of which can win, the best 0.900"
    assert len(lines) == 4 + 1 + 2 * 3


def test_a_threshold_that_is_not_reached_stops_in_the_last_pass() -> None:
    script = load_script("docs/record/downstream.py")
    rates = {1: (0.2, 0.0), 2: (0.96, 0.5), 3: (0.99, 0.94)}
    passes = [
        {"pass": k, "absolute": {"1.0": high, "0.5": high, "0.2": high, "0.1": low}}
        for k, (high, low) in rates.items()
    ]
    found = script.stops(passes)
    assert found == {2: ["1.0", "0.5", "0.2"], script.LAST_PASS: ["0.1", "never"]}
