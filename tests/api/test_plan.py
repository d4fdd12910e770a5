"""Plans: read from everything that a definition can be, changed, compared, written."""

import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from cvfp_opt import DefinitionError, Plan, define


def test_a_plan_comes_of_a_name_a_path_sections_or_text() -> None:
    text = "[training]\nnum_epochs = 3\n"
    Path("mine.toml").write_text(text)
    for source in ("mine.toml", Path("mine.toml"), text, {"training": {"num_epochs": 3}}):
        plan = define(source)
        assert plan.definition.training.num_epochs == 3
        assert plan.changes == {"training.num_epochs": 3}
    assert define("mine.toml").name == "mine"
    assert define(text).name == "study"
    assert define(text, name="first").name == "first"
    assert define().name == "recommended"
    assert define("quick", seed=7).definition.search.seed == 7


def test_a_text_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("my-text.txt").write_text("words " * 5000)
    plan = define("quick", data="my-text.txt")
    monkeypatch.chdir("/")
    assert plan.definition.data.path == str(tmp_path / "my-text.txt")
    assert plan.definition.load_tokens().train.numel() == plan.definition.data.train_tokens


def test_changing_a_plan_leaves_it_as_it_was() -> None:
    plan = define("quick")
    changed = plan.set("training.num_epochs", 3).set({"model.num_layers": 1, "search.seed": 5})
    assert plan == define("quick")
    assert hash(plan) == hash(define("quick"))
    assert changed != plan
    assert changed.changes["training.num_epochs"] == 3
    assert changed.changes["search.seed"] == 5
    with pytest.raises(AttributeError):
        changed.name = "other"  # type: ignore[misc]


def test_a_plan_is_read_back_from_what_it_gives() -> None:
    plan = define("quick").searching(layernorm_mix=0.7).set("training.num_epochs", 3)
    assert define(plan.to_toml(), name="quick") == plan
    assert define(plan.to_dict(), name="quick") == plan
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert repr(plan).startswith("Plan('quick': ")
    assert "training.num_epochs=3" in repr(plan)


def test_ranges_are_pairs_words_distributions_or_values() -> None:
    plan = define("quick").searching(
        {
            "diversity.loss": ["deviation", "orthogonality"],
            "training.num_epochs": IntDistribution(1, 4),
            "phase1_convergence_threshold": FloatDistribution(0.1, 0.4),
        },
        dist_reg_weight=(0.4, 0.95),
        phase1_learning_rate=(1e-4, 1e-2),
        layernorm_mix=1,
    )
    assert plan.space == {
        "dist_reg_weight": FloatDistribution(0.4, 0.95),
        # on the scale that it had
        "phase1_learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "phase1_convergence_threshold": FloatDistribution(0.1, 0.4),
        "diversity.loss": CategoricalDistribution(["deviation", "orthogonality"]),
        "training.num_epochs": IntDistribution(1, 4),
    }
    logarithmic = define("quick").searching(dist_reg_weight=(0.1, 0.9, "log"))
    assert logarithmic.space["dist_reg_weight"] == FloatDistribution(0.1, 0.9, log=True)
    again = define("quick").searching(plan.space)
    assert again.space["training.num_epochs"] == IntDistribution(1, 4)


def test_numbers_of_numpy_are_numbers() -> None:
    plan = define("quick").set("training.num_epochs", numpy.int64(2))
    assert plan.definition.training.num_epochs == 2
    assert plan.searching(layernorm_mix=numpy.float32(0.5)).changes["space.layernorm_mix"] == 0.5


REFUSED: dict[str, tuple[Callable[[Plan], object], str]] = {
    "a wrong source": (lambda plan: define(5), "a dict of sections is required, got int 5"),  # type: ignore[arg-type]
    "no such name": (lambda plan: define("quik"), "did you mean 'quick'?"),
    "no TOML": (lambda plan: define("[training\n"), "the definition: not valid TOML"),
    "a section of no keys": (
        lambda plan: define({"space": 3}),
        r"a section \[space\] is required",
    ),
    "a seed in words": (
        lambda plan: define("quick", seed="1"),  # type: ignore[arg-type]
        'seed: a whole number is required, got "1"',
    ),
    "a negative seed": (lambda plan: define("quick", seed=-1), "search.seed: "),
    "no such key": (lambda plan: plan.set("training.epochs", 1), "training.epochs: unknown key"),
    "a wrong value": (
        lambda plan: plan.set("training.num_epochs", "x"),
        'training.num_epochs: a whole number is required, got "x"',
    ),
    "a key in no section": (lambda plan: plan.set("seed", 1), "section.key is required"),
    "a key of another type": (lambda plan: plan.set(3, 1), "section.key is required"),  # type: ignore[arg-type]
    "an object": (
        lambda plan: plan.set("search.seed", object()),
        "search.seed: a number, a word, a list or a dict is required, got object",
    ),
    "not a number": (
        lambda plan: plan.searching(layernorm_mix=math.nan),
        r"space.layernorm_mix: a number in \[0, 1\] is required, got nan",
    ),
    "no such parameter": (
        lambda plan: plan.searching(weight=(0, 1)),
        "space.weight: unknown key",
    ),
    "a range upside down": (
        lambda plan: plan.searching(layernorm_mix=(0.9, 0.1)),
        "space.layernorm_mix: low < high must hold",
    ),
    "a range in steps": (
        lambda plan: plan.searching(layernorm_mix=FloatDistribution(0, 1, step=0.1)),
        "space.layernorm_mix: a range without steps is required",
    ),
    "an empty path": (lambda plan: define("quick", data=""), "a path is required, got an empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_plan_is_refused_in_a_line(case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(DefinitionError, match=words):
        make(define("quick"))
