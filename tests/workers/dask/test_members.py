"""Workers of a Dask cluster: which ones fit together, and how they share processors."""

import pytest

from cvfp_opt.workers.dask.members import Member, fair_share, mismatch, neighbours_of
from cvfp_opt.workers.dask.task import Place


def test_versions_are_compared_as_far_as_they_matter() -> None:
    ours = {
        "python": "3.11.7.final.0",
        "cvfp-opt": "1.0",
        "distributed": "2026.8.0",
        "torch": "2.13.0+cpu",
        "optuna": "5.0.0",
    }

    def compare(version: str = "1.0", **theirs: str | None) -> str | None:
        return mismatch({"packages": ours | theirs}, version, ours)

    assert compare(python="3.11.9.final.0", torch="2.13.0+cu128") is None
    assert compare(python="3.12.1.final.0", optuna=None) == (
        "python 3.12.1.final.0 (here 3.11.7.final.0), optuna is missing (here 5.0.0): the same "
        "versions are required; install them on every machine"
    )
    assert compare(torch="2.12.1") is not None
    assert str(compare("0.9")).startswith("cvfp-opt 0.9 (here 1.0): ")
    assert "no answer" in str(mismatch(None, "1.0", ours))


def member(
    host: str, *, boot: str = "b", seen: int = 8, allowed: int = 8, given: int = 8
) -> Member:
    processors = tuple(range(seen))
    place = Place(version="", host=host, boot=boot, processors=processors, threads=allowed)
    return Member(address="tcp://x:1", name="x", num_threads=given, place=place)


@pytest.mark.parametrize(
    ("others", "threads"),
    [
        ([], 8),
        ([member("h")], 4),
        ([member("h", given=1)] * 8, 1),
        ([member("other", boot="c")], 8),
        ([member("h", seen=4)], 8),  # other processors, as a batch system gives them out
        ([member("container")], 4),
        ([member("container", allowed=2)], 8),
    ],
)
def test_threads_are_shared_by_those_who_share_processors(
    others: list[Member], threads: int
) -> None:
    one = member("h")
    assert fair_share(one, neighbours_of([one, *others]), None) == threads
    assert fair_share(one, neighbours_of([one, *others]), 3) == 3


def test_two_in_one_container_share_what_it_may_use() -> None:
    one, two = (member("container", allowed=4) for _ in range(2))
    assert fair_share(one, neighbours_of([one, two]), None) == 2
    assert fair_share(member("h", given=2), neighbours_of([member("h")]), None) == 2
