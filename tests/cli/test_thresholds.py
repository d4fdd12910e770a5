"""``thresholds``: the stored residuals give back the rates that were measured."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support import TINY_ARGUMENTS, Outcome

Invoke = Callable[..., Outcome]


def rates(invoke: Invoke, *words: str) -> dict[float, dict[str, float]]:
    report = json.loads(invoke("thresholds", *words, "--json").out)
    return {row["threshold"]: row for row in report["rates"]}


def test_rates_agree_with_those_measured_and_never_fall(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    audit = json.loads(invoke("best", "--json").out)["audit"]
    found = rates(invoke)
    # with 64 tokens one token is worth 1.6 points more
    assert found[0.1]["absolute"] == pytest.approx(audit["absolute_convergence"], abs=0.035)
    assert found[0.1]["scale_free"] == pytest.approx(audit["scale_free_convergence"], abs=0.035)
    for kind in ("absolute", "scale_free"):
        values = [row[kind] for row in found.values()]
        assert values == sorted(values)
    out = invoke("thresholds", "--trial", "1").out
    assert "convergence of trial 1 of study quick" in out
    assert out.count(" * ") == 4
    assert invoke("thresholds", "quick", "--trial", "1").out == out


def test_a_checkpoint_will_do(invoke: Invoke) -> None:
    values = {
        "dist_reg_weight": 0.85,
        "phase1_learning_rate": 0.002,
        "phase1_convergence_threshold": 0.5,
        "layernorm_mix": 1,
    }
    point = [word for name, v in values.items() for word in ("--set", f"space.{name}={v}")]
    assert invoke("train", "quick", *TINY_ARGUMENTS, *point, "--save", "net").code == 0
    assert len(rates(invoke, "net")) == 11
    outcome = invoke("thresholds", "net", "--downstream", "--threads", "1", "--json")
    probes = {row["features"]: row["probes"] for row in json.loads(outcome.out)["downstream"]}
    assert list(probes) == [
        "unigram",
        "trigram",
        "token embedding",
        "untrained contexts",
        "untrained contexts beside embedding",
        "contexts",
        "contexts beside embedding",
    ]
    assert [len(results) for results in probes.values()] == [1, 1, 3, 3, 3, 3, 3]
    assert probes["contexts"] != probes["untrained contexts"]
    assert probes["contexts beside embedding"] != probes["untrained contexts beside embedding"]
    words = ("thresholds", "net", "--downstream", "--threads", "1")
    Path("prose.txt").write_text("to be or not to be, that is the question; " * 40)
    shown = invoke(*words, "--data", "prose.txt", "--tokens", "100").out
    other = json.loads(invoke(*words, "--data", "prose.txt", "--tokens", "100", "--json").out)
    found = other["downstream"][-1]["probes"]
    mean = sum(p["held_out_perplexity"] for p in found) / 3
    assert f"{mean:.1f} ± " in shown.splitlines()[-1]
    assert found != probes["contexts beside embedding"]
    assert "--data nowhere.txt: no such file" in invoke(*words, "--data", "nowhere.txt").err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--trial", "9"], 1, "a trial from 0 to 1 is required, got 9"),
        (["--trial", "1"], 1, "trial 1 of study 'quick' was not audited (fail)"),
        (["nowhere"], 1, "there is no study 'nowhere'"),
        (["empty"], 1, "checkpoint.json and weights.safetensors is required"),
        (["empty", "--trial", "0"], 2, "not both"),
        (["quick", "--study-name", "quick"], 2, "STUDY and --study-name are the same"),
        (["quick", "--downstream"], 2, "cvfp-opt train winner.toml --save net"),
        (["quick", "--data", "prose.txt"], 2, "are of the probe; add --downstream"),
    ],
)
def test_what_has_no_residuals_is_refused(
    words: list[str],
    code: int,
    message: str,
    run_tiny: Invoke,
    invoke: Invoke,
) -> None:
    import optuna

    run_tiny("--n-trials", "1")
    Path("empty").mkdir()
    path = Path("storage/cvfp.db")
    study = optuna.load_study(study_name="quick", storage=f"sqlite:///{path}")
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    outcome = invoke("thresholds", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
