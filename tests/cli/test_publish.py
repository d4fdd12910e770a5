"""``best --save`` and ``study publish`` as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support import REPOSITORY, Outcome

import cvfp_opt
from cvfp_opt.store.files.saved_networks import read_checkpoint

Invoke = Callable[..., Outcome]


@pytest.fixture
def study(run_tiny: Invoke) -> None:
    run_tiny("--n-trials", "2", "--n-jobs", "1")


def origin(folder: str) -> tuple[str, int]:
    found = read_checkpoint(Path(folder)).account.origin
    return found["study"], found["trial"]


def test_the_best_trial_is_shown_and_saved(study: None, invoke: Invoke) -> None:
    best = json.loads(invoke("best", "--json").out)
    outcome = invoke("best", "--save", "winner")
    assert outcome.code == 0, outcome.err
    shown, _, trained = outcome.out.partition("again, to prove its record\n")
    assert f"\ntrial {best['number']}: score " in shown
    assert trained.lstrip().startswith("pass ")
    assert trained.endswith("the same weights, to the bit: winner\n")
    assert origin("winner") == ("quick", best["number"])
    assert cvfp_opt.load("winner").contexts("any text").shape[1] == 8


def test_publish_is_the_same_call_and_takes_another_trial(study: None, invoke: Invoke) -> None:
    best = json.loads(invoke("best", "--json").out)["number"]
    for words, number in (([], best), (["--trial", str(1 - best)], 1 - best)):
        folder = f"net-{number}"
        outcome = invoke("study", "publish", "quick", folder, *words)
        assert outcome.code == 0, outcome.err
        assert origin(folder) == ("quick", number)


def test_saving_leaves_json_alone(study: None, invoke: Invoke) -> None:
    outcome = invoke("best", "--json", "--save", "winner")
    assert json.loads(outcome.out)["state"] == "complete"
    assert "the same weights, to the bit: winner" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["study", "publish", "quick", "taken"], "taken: exists already"),
        (["best", "--save", "taken"], "taken: exists already"),
        (["study", "publish", "quack", "net"], "there is no study 'quack'"),
        (["study", "publish", "quick", "net", "--trial", "7"], "a trial from 0 to 1 is required"),
        (["study", "publish", "quick", "net", "--device", "tpu"], "--device: one of auto, cpu"),
    ],
)
def test_what_cannot_be_is_refused(
    study: None, invoke: Invoke, words: list[str], message: str
) -> None:
    Path("taken").mkdir()
    outcome = invoke(*words)
    assert outcome.code == 1
    assert message in outcome.err
    assert "again, to prove its record" not in outcome.out
    assert not Path("net").exists()


def test_the_example_of_the_page_runs(
    study: None, invoke: Invoke, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (REPOSITORY / "docs" / "handing-on" / "contexts.py").read_text()
    assert f"```python\n{code}```" in (REPOSITORY / "docs" / "handing-on.md").read_text()
    assert len([line for line in code.splitlines() if line]) <= 10
    assert invoke("best", "--save", "winner").code == 0
    exec(compile(code, "contexts.py", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"pass {n}" for n in (2, 3, 4, 5)]
    assert all(line.endswith(" of 19 tokens stay") for line in lines)


def test_best_says_whether_the_winner_hangs_on_the_formula(study: None, invoke: Invoke) -> None:
    found = json.loads(invoke("best", "--json").out)["combiners"]
    assert [row["combiner"] for row in found["rows"]][-2:] == ["geometric mean", "minimum"]
    assert found["sentence"] in " ".join(invoke("best").out.split())
    table = invoke("best", "--combiners").out
    assert table.splitlines()[0].startswith("combined as ")
    assert len([line for line in table.splitlines() if "  trial " in line]) == 7
    assert found["sentence"] in " ".join(table.split())
    outcome = invoke("best", "--combiners", "--json")
    assert outcome.code == 2
