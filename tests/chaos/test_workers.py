"""Workers that are killed anywhere, stopped, many at once: the ledger and the database agree."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from chaos.conftest import Aftermath
from databases import KINDS, SERVERS

pytestmark = pytest.mark.processes
Play = Callable[..., Aftermath]


def kill_at_each_point(play: Play, kind: str, stride: int, offset: int) -> Aftermath:
    words = {"total": 2, "stride": stride, "offset": offset, "instant": False}
    found = play("kill_at_each_point", kind=kind, **words)
    found.check(2, "whole")
    whole = results(found, "whole")
    assert found.printed["studies"]
    deaths = found.printed["studies"]
    # what is reported within a second is written together: on a machine that was busy when the
    # writes were counted, a quicker run has fewer, and may end before the last of them
    assert [died["first"] for died in deaths.values()].count(-9) > len(deaths) / 2, deaths
    for name, died in deaths.items():
        assert (died["first"], died["second"]) in ((-9, 0), (0, 0)), died
        found.check(2, name)
        assert results(found, name) == whole, died  # to the bit, as if nobody had died
    return found


def results(found: Aftermath, name: str) -> list[dict[str, Any]]:
    """What must not depend on who died when."""
    kept = ("metrics", "iterations", "scored", "status", "reason")
    with found.study(name) as study:
        return [
            {
                "params": trial.params,
                "intermediate": trial.intermediate_values,
                "weights": trial.user_attrs["environment"]["weights_digest"],
                **{key: trial.user_attrs[key] for key in kept},
            }
            for trial in study.trials
        ]


@pytest.mark.parametrize(("kind", "stride"), [("sqlite", 53), ("postgresql", 71), ("mysql", 97)])
def test_a_worker_killed_at_a_write_loses_nothing(kind: str, stride: int, play: Play) -> None:
    kill_at_each_point(play, kind, stride=stride, offset=5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_killed_at_any_write_loses_nothing(kind: str, play: Play) -> None:
    found = kill_at_each_point(play, kind, stride=1, offset=0)
    points = Counter(found.printed["points"])
    assert points["commit"] >= 10
    for table in ("trials", "cvfp_opt_leases", "trial_params", "trial_intermediate_values"):
        assert points[f"INSERT INTO {table}"]
    assert points["os.rename"] >= 4  # of checkpoints


def test_workers_killed_at_random_finish_exactly_the_total(play: Play) -> None:
    found = play("kill_at_random", total=20, workers=4, kills=8, seed=1, instant=False)
    assert found.printed == {"kills": 8, "failures": 0}
    found.check(20)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_sixty_trials_under_constant_killing(kind: str, play: Play) -> None:
    found = play("kill_at_random", kind=kind, total=60, workers=4, kills=60, seed=2, instant=False)
    assert found.printed == {"kills": 60, "failures": 0}
    found.check(60)


def no_parameters_twice(found: Aftermath) -> None:
    with found.study() as study:
        points = [tuple(sorted(trial.params.items())) for trial in study.trials]
    assert len(set(points)) == len(points)


@pytest.mark.parametrize("kind", KINDS)
def test_many_workers_share_instant_trials_exactly(kind: str, play: Play) -> None:
    found = play("many", kind=kind, total=40, workers=4)
    assert found.printed["codes"] == [0] * 4
    found.check(40)
    no_parameters_twice(found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_sixteen_workers_and_a_thousand_trials(kind: str, play: Play) -> None:
    found = play("many", kind=kind, total=1000, workers=16)
    assert found.printed["codes"] == [0] * 16
    found.check(1000)
    no_parameters_twice(found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_sleeps_past_its_lease_drops_its_trial_and_goes_on(
    kind: str, play: Play
) -> None:
    found = play("stop_past_the_lease", kind=kind, total=4, lease=1.0, instant=False)
    assert (found.printed["other"], found.printed["sleeper"]) == (0, 0)
    found.check(4)
    [dropped] = found.lines("dropped")
    assert dropped["pid"] == found.printed["pid"]
    [notice] = [line for line in found.lines("notice") if line["pid"] == dropped["pid"]]
    number = dropped["number"]
    assert notice["text"] == f"trial {number} is not this worker's any more: it is dropped here"


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVERS)
def test_a_worker_that_sleeps_in_a_transaction_keeps_nobody_out(kind: str, play: Play) -> None:
    words = {"stride": 9, "idle": 1, "lease": 1.0}
    found = play("sleep_in_a_transaction", kind=kind, total=2, **words)
    assert len(found.printed["studies"]) > 2
    for name, codes in found.printed["studies"].items():
        assert codes == {"other": 0, "sleeper": 0}
        found.check(2, name)
