"""A study that was repaired goes on: ten more trials run, and nothing is found."""

import random
import time
from collections.abc import Callable
from datetime import datetime
from sqlite3 import OperationalError

import pytest
from claiming import take
from doctoring import Site, report_run
from faults import FAULTS
from optuna.trial import TrialState
from planting import ARTIFACTS
from sqlalchemy import update
from sqlalchemy.exc import MultipleResultsFound, NoResultFound

from cvfp_opt.store.database.tables import TRIALS
from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.store.files.trial_checkpoints import TrialCheckpoints
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.enqueued import enqueue_points
from cvfp_opt.store.record.mirrors import sync_mirrors

MORE = 10


def number_as(site: Site, number: int, other: int | None, mirror: str = "") -> None:
    """Give a trial the number of another one, one of its own further on, or none."""
    same = TRIALS.c.trial_id == site.trial_id(number, mirror)
    site.execute(update(TRIALS).where(same).values(number=other))


def delete(number: int) -> Callable[[Site], None]:
    return lambda site: site.delete_trial(site.trial_id(number))


def renumber(number: int, other: int | None, mirror: str = "") -> Callable[[Site], None]:
    return lambda site: number_as(site, number, other, mirror)


DAMAGES: dict[str, Callable[[Site], object]] = {
    **{f"{f.check}: {f.says}": f.plant for f in FAULTS if f.repairs},
    **{f"trial {n} deleted": delete(n) for n in range(5)},
    **{f"trial {n} is {m}": renumber(n, m) for n in range(5) for m in (0, 2, 4, 7) if n != m},
    **{f"trial {n} is {m}": renumber(n, m) for n in (0, 2, 4) for m in (-1, None, 2**31 - 1)},
    **{f"copy 1 is {m}": renumber(1, m, "/pareto") for m in (-1, 0, 9)},
    "a copy deleted": lambda site: site.delete_trial(site.trial_id(0, "/pareto")),
}

# Of a damage that finds no study any more such as it would spoil.
UNFIT = (NoResultFound, MultipleResultsFound, FileExistsError, TypeError, OperationalError)


def go_on(site: Site) -> list[int]:
    """Claim and end ten trials, one of them asked for, as workers do; their numbers."""
    numbers = []
    with site.store() as (store, study):
        enqueue_points(store, study, [{"phase1_convergence_threshold": 0.2}], seed=7)
        claims = Claims(store=store, study=study, seed=7)
        for _ in range(MORE):
            writer = take(claims)
            report_run(writer)
            numbers.append(writer.claimed.number)
            writer.finish(TrialState.COMPLETE, [0.625])
            TrialCheckpoints(
                FolderStore(ARTIFACTS.absolute()), writer.claimed.identity.uuid
            ).remove()
        sync_mirrors(store, study)
    return numbers


def check_after(site: Site) -> None:
    left = site.mend()
    assert [found.line for found in left.faults] == [], site.told
    numbers = go_on(site)
    assert len(set(numbers)) == MORE
    assert [found.line for found in site.examine().faults] == []
    with site.store() as (_, study):
        there = [trial.number for trial in study.get_trials(deepcopy=False)]
    assert sorted(there) == list(range(len(there)))


@pytest.mark.parametrize(
    "name",
    [
        "trial 3 deleted",
        "trial 2 is 0",
        "trial 1 is 7",
        "trial 0 is -1",
        "trial 2 is None",
        "trial 4 is 2147483647",
        "copy 1 is 0",
        "copy 1 is -1",
    ],
)
def test_numbers_are_given_once_after_a_repair(name: str, site: Site) -> None:
    DAMAGES[name](site)
    check_after(site)


def test_a_trial_in_a_gap_is_of_the_time_of_its_repair(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    site.delete_trial(site.trial_id(3))
    site.mend()
    with site.store() as (_, study):
        ended = study.trials[3].datetime_complete
    assert ended is not None
    assert abs((datetime.now() - ended).total_seconds()) < 600
    monkeypatch.undo()
    time.tzset()


def damage(site: Site, seed: int) -> list[str]:
    """Some of what can be wrong, one upon the other; what was done."""
    chance = random.Random(seed)
    done = []
    for name in chance.sample(list(DAMAGES), chance.randint(2, 5)):
        try:
            DAMAGES[name](site)
        except UNFIT:
            continue
        done.append(name)
    return done


@pytest.mark.parametrize("seed", range(6))
def test_a_repaired_study_goes_on_and_nothing_is_found(seed: int, site: Site) -> None:
    print(damage(site, seed))
    check_after(site)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_repaired_studies_go_on(seed: int, site: Site) -> None:
    print(damage(site, seed))
    check_after(site)
