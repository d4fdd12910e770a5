"""The parents of a generation are the same trials in a copy, whatever their ids there."""

import optuna
import pytest
from optuna.samplers import NSGAIISampler

from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.storage import open_for_editing, open_for_search
from cvfp_opt.store.transfer.generations import by_ids, by_numbers, without_parents
from cvfp_opt.store.transfer.operations import Place, copy_study

KEY = "NSGAIISampler:parent:1"


def search(location: Location, name: str, trials: int) -> None:
    with open_for_search(location) as store:
        study = optuna.create_study(
            study_name=name,
            storage=store.storage,
            directions=["maximize", "maximize"],
            sampler=NSGAIISampler(population_size=2, seed=0),
            load_if_exists=True,
        )
        study.optimize(
            lambda trial: (trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("y", 0.0, 1.0)),
            n_trials=trials,
        )


def parents(location: Location, name: str, generation: int) -> list[int]:
    """The numbers of a generation's parents, as Optuna's sampler finds them."""
    sampler = NSGAIISampler(population_size=2, seed=0)
    with open_for_editing(location) as store:
        study = optuna.load_study(study_name=name, storage=store.storage)
        return [trial.number for trial in sampler.get_parent_population(study, generation)]


def test_a_copy_has_the_parents_of_its_study(location: Location) -> None:
    search(location, "front", 7)
    before = [parents(location, "front", generation) for generation in (1, 2)]
    assert all(len(one) == 2 for one in before)
    other = resolve_location("other.db")
    search(other, "another", 3)  # so that ids differ
    copy_study(Place(location=location), "front", Place(location=other), None)
    assert [parents(other, "front", generation) for generation in (1, 2)] == before


def test_ids_become_numbers_and_numbers_ids() -> None:
    attrs = {KEY: "[12, 15]", "other": "[12]"}
    portable = by_numbers(attrs, {12: 0, 15: 1})
    assert portable == {f"cvfp_opt:{KEY}": "[0, 1]", "other": "[12]"}
    assert by_ids(portable, {0: 7, 1: 8}) == {KEY: "[7, 8]", "other": "[12]"}
    assert without_parents(portable) == without_parents(attrs) == {"other": "[12]"}


@pytest.mark.parametrize("text", ["[12, 99]", "12", "{", '["a"]', "[[1]]"])
def test_parents_that_are_not_there_are_left_to_optuna(text: str) -> None:
    assert by_numbers({KEY: text}, {12: 0}) == {}


def test_ids_of_an_older_archive_mean_nothing_here() -> None:
    assert by_ids({KEY: "[1, 2]"}, {0: 1, 1: 2}) == {}
