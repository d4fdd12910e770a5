"""Trials are grouped by what changes numbers, and by nothing else."""

from typing import Any

import pytest

from cvfp_opt.report.environment_groups import environment_groups, groups_line
from cvfp_opt.store.record.records import TrialRecord

Kind = dict[str, Any]


def on(torch: str = "2.13.0+cpu", **more: Any) -> Kind:
    versions = {"torch": torch, "python": "3.11.7", **more.pop("versions", {})}
    return {"versions": versions, "device": "cpu", "host": "a", "threads": 2} | more


def line(*kinds: Kind) -> str:
    trials = [
        TrialRecord(number=number, state="complete", environment=kind)
        for number, kind in enumerate(kinds)
    ]
    return groups_line(environment_groups(trials))


OLD, NEW, NONE = on("2.12.1"), on(), {}  # type: tuple[Kind, Kind, Kind]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([], ""),
        ([NEW, NEW], ""),
        ([NEW, on(host="b"), on("2.13.1"), on(versions={"python": "3.12.1"})], ""),
        ([OLD, OLD, NEW, NEW, NEW], "trials 0-1: torch 2.12, cpu; 2-4: torch 2.13, cpu"),
        ([OLD, NONE, OLD, NEW], "trials 0-2: torch 2.12, cpu; 3: torch 2.13, cpu"),
        ([OLD, NEW, OLD, NEW, NEW], "trials 0, 2: torch 2.12, cpu; 1, 3-4: torch 2.13, cpu"),
        (
            [NEW, on(threads=1)],
            "trials 0: torch 2.13, cpu, threads 2; 1: torch 2.13, cpu, threads 1",
        ),
        (
            [NEW, on(lanes=8)],
            "trials 0: torch 2.13, cpu, lanes 1; 1: torch 2.13, cpu, lanes 8",
        ),
        (
            [on(uncommitted=False), on(uncommitted=True)],
            "trials 0: torch 2.13, cpu; 1: torch 2.13, cpu, uncommitted changes",
        ),
        (
            [NEW, on(drift={"keys": {"definition.training.num_epochs": 1, "data": "x"}})],
            "trials 0: torch 2.13, cpu; "
            "1: torch 2.13, cpu, drift allowed in training.num_epochs, data",
        ),
    ],
)
def test_segments(kinds: list[Kind], expected: str) -> None:
    assert line(*kinds) == expected


def test_many_ranges_are_cut_short_and_counted() -> None:
    shown = line(*[OLD, NEW] * 10)
    assert shown.startswith("trials 0, 2, 4, 6, 8, 10, ... (10 trials): torch 2.12, cpu; 1, 3")


@pytest.mark.parametrize("odd", [{"versions": 3}, {"versions": {}}, {"drift": 7, "device": None}])
def test_odd_environments_do_no_harm(odd: Kind) -> None:
    assert isinstance(line(NEW, odd, OLD), str)
