"""Exports made to do harm are refused in a line, or read whole; no bug, no hang, no half study."""

import resource
from pathlib import Path

import optuna
import pytest
from archives import take_apart
from hostile import no_longer_than, odd_archive
from support import REPOSITORY

from cvfp_opt.errors import CvfpOptError
from cvfp_opt.rerun.repeat import Conditions, prepare_repetition
from cvfp_opt.rerun.replay import prepare_replay
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.store.transfer.operations import Place, import_study

GOOD = REPOSITORY / "tests" / "fixtures" / "archive-1.cvfp.zip"
# A case takes some hundredths of a second; whatever is still busy then hangs.
PATIENCE = 120
MAX_GROWTH = 300 << 10  # KiB, above what the process had


def contents(store: Store) -> list[str]:
    return list(store.engine.raw_connection().driver_connection.iterdump())  # type: ignore[union-attr]


def try_case(folder: Path, store: Store, members: dict[str, bytes], seed: int) -> None:
    """Import what a seed makes, and ask of each trial what it would be trained by again."""
    path, place = folder / "odd.cvfp.zip", Place(location=store.location, artifacts="artifacts")
    odd_archive(path, members, seed)
    before, files = contents(store), {p for p in folder.rglob("*") if p.suffix != ".db-shm"}
    refused = ""
    try:
        loaded = import_study(path, None, place)
    except CvfpOptError as error:
        refused = str(error)
    if refused:
        assert len(refused) < 2000, seed
        assert contents(store) == before, seed
        assert {p for p in folder.rglob("*") if p.suffix != ".db-shm"} == files, seed
        return
    name = loaded.dump.study.name
    study = optuna.load_study(study_name=name, storage=store.storage)
    summary = Summary.of(study, "here")
    for trial in summary.trials:
        for ask in (
            lambda: prepare_replay(summary, trial.number, Conditions()),  # noqa: B023
            lambda: prepare_repetition(summary, trial),  # noqa: B023
        ):
            try:
                ask()
            except CvfpOptError:
                continue
    for one in store.storage.get_all_studies():
        store.storage.delete_study(one._study_id)


def try_cases(folder: Path, seeds: range) -> None:
    members = take_apart(GOOD)
    with open_for_search(resolve_location("x.db")) as store:
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for seed in seeds:
            with no_longer_than(PATIENCE):
                try_case(folder, store, members, seed)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown
    assert grown < MAX_GROWTH


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_some_cases(isolated_folder: Path) -> None:
    try_cases(isolated_folder, range(40))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_thousand_cases(isolated_folder: Path) -> None:
    try_cases(isolated_folder, range(1000, 2000))
