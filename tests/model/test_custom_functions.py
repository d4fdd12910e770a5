"""The user's own functions: found, tried, refused with the signature, digested."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cvfp_opt.errors import DefinitionError
from cvfp_opt.model.custom_functions import is_foreign, source_digest
from cvfp_opt.model.diversity import DIVERSITY_LOSSES, diversity_loss
from cvfp_opt.model.schedules import WEIGHT_SCHEDULES, weight_schedule

SOURCE = """
from cvfp_opt.model.diversity import orthogonality as fine

def number(contexts, running_mean):
    return 1.0

def per_context(contexts, running_mean):
    return contexts.sum(dim=1)

def detached(contexts, running_mean):
    return contexts.detach().sum()

def one_argument(contexts):
    return contexts.sum()

def needs_mean(contexts, running_mean):
    return (contexts - running_mean).sum()

def half(config, *, dist_reg_weight, **measured):
    return dist_reg_weight / 2

def too_much(config, **measured):
    return 1.5

def text(config, **measured):
    return "0.5"

not_a_function = 3
"""


@pytest.fixture(autouse=True)
def own_module(isolated_folder: Path) -> Iterator[None]:
    (isolated_folder / "own_code.py").write_text(SOURCE)
    (isolated_folder / "broken_code.py").write_text("import nothing_of_that_name\n")
    before = list(sys.path)
    yield
    assert sys.path == before
    for name in ("own_code", "broken_code"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["a:b", "a.b_1.c:D", "_x:_y"])
def test_foreign_names_have_one_form(name: str) -> None:
    assert is_foreign(name)


@pytest.mark.parametrize(
    "name", ["a", ":b", "a:", "a.:b", "a:b.c", "a:b()", "../a:b", "a b:c", ""]
)
def test_other_names_are_not_foreign(name: str) -> None:
    assert not is_foreign(name)


def test_names_of_our_own_are_the_registries() -> None:
    assert {n: diversity_loss(n) for n in DIVERSITY_LOSSES} == dict(DIVERSITY_LOSSES)
    assert {n: weight_schedule(n) for n in WEIGHT_SCHEDULES} == dict(WEIGHT_SCHEDULES)


def test_a_function_that_fits_is_found() -> None:
    assert diversity_loss("own_code:fine") is DIVERSITY_LOSSES["orthogonality"]
    schedule = weight_schedule("own_code:half")
    assert schedule.__name__ == "half"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_code:number", "(contexts: (B, D) tensor with gradient, running_mean"),
        ("own_code:number", "tried, it gave: a float"),
        ("own_code:per_context", "it gave: a tensor of shape (4,) with gradient"),
        ("own_code:detached", "it gave: a tensor of shape () without gradient"),
        ("own_code:one_argument", "TypeError: one_argument() takes 1 positional argument"),
        ("own_code:needs_mean", "it gave: TypeError"),
        ("own_code:fin", "no function 'fin' in"),
        ("own_code:fin", "did you mean 'fine'?"),
        ("own_code:not_a_function", "no function 'not_a_function'"),
        ("broken_code:fine", "cannot be imported: ModuleNotFoundError"),
        ("nowhere_code:fine", "the module is looked for in the current folder"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(name: str, message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        diversity_loss(name)
    assert str(error.value).startswith(f"diversity.loss: {name}: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_code:too_much", "it gave: 1.5"),
        ("own_code:text", "it gave: a str"),
        ("own_code:number", "returns a weight in [0, 1] is required"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(name: str, message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        weight_schedule(name)
    assert message in str(error.value)


def test_the_digest_is_of_the_file() -> None:
    expected = hashlib.sha256(SOURCE.encode()).hexdigest()
    assert source_digest("diversity.loss", "own_code:number") == expected
