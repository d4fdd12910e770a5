"""Each difference has a level; what is not known is no difference."""

from typing import Any

import pytest
from support import REPOSITORY

from cvfp_opt.store.record.differences import LEVELS, Level, differences

BASE: dict[str, Any] = {
    "versions": {"torch": "2.13.0+cpu", "optuna": "5.0.0", "python": "3.11.7"},
    "commit": "abc",
    "uncommitted": False,
    "host": "a",
    "device": "cpu",
    "threads": 2,
    "definition": {"training.num_epochs": 2, "space.layernorm_mix": {"low": 0.5, "high": 1.0}},
    "data": "d1",
    "embedding": None,
    "code": {"mine:loss": "c1"},
}


def levels(**changes: Any) -> dict[str, Level]:
    return {one.key: one.level for one in differences(BASE, BASE | changes)}


def versions(**changes: str) -> dict[str, Any]:
    return {"versions": BASE["versions"] | changes}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"host": "b", "commit": "def"}, {"host": Level.HARMLESS, "commit": Level.HARMLESS}),
        (versions(torch="2.13.1+cu126"), {"versions.torch": Level.HARMLESS}),
        (versions(torch="2.14.0"), {"versions.torch": Level.NUMBERS}),
        (versions(torch="3.13.0"), {"versions.torch": Level.NUMBERS}),
        (versions(optuna="5.1.0"), {"versions.optuna": Level.NUMBERS}),
        (versions(python="3.12.0"), {"versions.python": Level.HARMLESS}),
        ({"device": "cuda", "threads": 1}, dict.fromkeys(("device", "threads"), Level.NUMBERS)),
        ({"uncommitted": True}, {"uncommitted": Level.NUMBERS}),
        (
            {"definition": BASE["definition"] | {"training.num_epochs": 3}},
            {"definition.training.num_epochs": Level.REFUSED},
        ),
        ({"definition": {}}, dict.fromkeys(
            ("definition.training.num_epochs", "definition.space.layernorm_mix"), Level.REFUSED
        )),
        ({"data": "d2", "embedding": "e"}, dict.fromkeys(("data", "embedding"), Level.REFUSED)),
        ({"code": {"mine:loss": "c2"}}, {"code.mine:loss": Level.REFUSED}),
        ({"code": {}}, {"code.mine:loss": Level.REFUSED}),
    ],
)  # fmt: skip
def test_levels(changes: dict[str, Any], expected: dict[str, Level]) -> None:
    assert levels(**changes) == expected


def test_what_only_one_knows_of_its_environment_is_no_difference() -> None:
    known = BASE | {"processor": "AVX512", "reader": "plain", "gpu": "H100", "lanes": 8}
    assert differences(BASE, known) == differences(known, BASE) == []
    assert levels(**versions(torch="unknown")) == {}


def test_what_is_not_compared_is_no_difference() -> None:
    assert levels(weights_digest="x", finished=3.0, optimizer_steps=0) == {}


def test_every_key_is_in_the_documentation() -> None:
    page = (REPOSITORY / "docs" / "drift.md").read_text()
    assert [key for key in LEVELS if f"`{key}`" not in page] == []
