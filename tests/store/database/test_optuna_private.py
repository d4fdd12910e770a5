"""Private names of Optuna: in one module, of the shape that we rely on, and called by Optuna.

A name that was renamed breaks its import. A method that we override and that Optuna renamed, or
calls no longer, breaks nothing: it is only slow, or wrong. Therefore calls are counted.
"""

import ast
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState, create_trial
from support import REPOSITORY

from cvfp_opt.store.database import optuna_private
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import (
    ClaimingStorage,
    KeptTrials,
    ReadingStorage,
    open_for_search,
)
from cvfp_opt.tuning.sampler import PerTrialSampler

PACKAGE = REPOSITORY / "cvfp_opt"
PRIVATE = {"optuna": "optuna_private.py", "optuna_dashboard": "dashboard_private.py"}


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (
            RDBStorage._get_trials,
            "self study_id states included_trial_ids trial_id_greater_than",
        ),
        (optuna.Study._get_trials, "self deepcopy states use_cache"),
        (optuna.Trial._get_latest_trial, "self"),
        (optuna.distributions.FloatDistribution._contains, "self param_value_in_internal_repr"),
        (optuna_private.CachedStorage.__init__, "self backend"),
        (optuna_private.CachedStorage.delete_study, "self study_id"),
        (optuna_private.CachedStorage.get_study_id_from_name, "self study_name"),
        (
            optuna_private.FrozenStudy.__init__,
            "self study_name direction user_attrs system_attrs study_id directions",
        ),
        (optuna_private.nondomination_rank, "loss_values penalty n_below"),
        (models.TrialValueModel.value_to_stored_repr, "value"),
        (models.TrialIntermediateValueModel.intermediate_value_to_stored_repr, "value"),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_signatures_are_those_that_we_rely_on(
    function: Callable[..., Any], parameters: str
) -> None:
    assert list(inspect.signature(function).parameters) == parameters.split()


def test_tables_have_the_columns_that_we_read_and_write() -> None:
    assert set(optuna_private.TABLES) == {
        "studies",
        "study_directions",
        "study_user_attributes",
        "study_system_attributes",
        "trials",
        "trial_params",
        "trial_values",
        "trial_intermediate_values",
        "trial_user_attributes",
        "trial_system_attributes",
        "trial_heartbeats",
        "version_info",
    }
    columns = {name: [*table.c.keys()] for name, table in optuna_private.TABLES.items()}
    assert columns["trials"] == [
        *("trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"),
    ]
    assert columns["trial_values"] == [
        *("trial_value_id", "trial_id", "objective", "value", "value_type"),
    ]


def counting(calls: Counter[str], owner: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the calls of all methods that a class defines itself."""
    for name, method in vars(owner).copy().items():
        if inspect.isfunction(method):

            def counted(
                self: Any, *args: Any, _name: str = name, _method: Any = method, **kwargs: Any
            ) -> Any:
                calls[_name] += 1
                return _method(self, *args, **kwargs)

            monkeypatch.setattr(owner, name, counted)


def overrides(owner: type) -> set[str]:
    return {name for name, value in vars(owner).items() if inspect.isfunction(value)}


def test_every_override_of_the_storage_is_called(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    owners = (ReadingStorage, ClaimingStorage, KeptTrials)
    expected = set().union(*map(overrides, owners))
    assert "_get_trials" in expected
    for owner in owners:
        counting(calls, owner, monkeypatch)
    with open_for_search(location) as store:
        optuna.create_study(study_name="s", storage=store.storage)
    with open_for_search(location) as store:  # nothing of it is cached
        study = optuna.load_study(study_name="s", storage=store.storage)
        study.enqueue_trial({"x": 0.5})
        trial = study.ask({"x": FloatDistribution(0.0, 1.0)})
        study.tell(trial, 1.0)
        assert study.directions == [optuna.study.StudyDirection.MINIMIZE]
        assert study.user_attrs == {}
        assert store.storage.get_study_system_attrs(optuna_private.study_id_of(study)) == {}
        [found] = study.trials
        assert store.storage.get_trial(optuna_private.trial_id_of(found)).params == {"x": 0.5}
        assert [one.study_name for one in store.storage.get_all_studies()] == ["s"]
    assert expected - calls.keys() == set()


def test_samplers_ask_what_they_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    [shown] = [
        one
        for one in optuna.Study.__subclasses__()
        if one.__module__.startswith("cvfp_opt.") and "_get_trials" in vars(one)
    ]
    calls: Counter[str] = Counter()
    counting(calls, shown, monkeypatch)
    sampler = PerTrialSampler(
        lambda seed: TPESampler(seed=seed, n_startup_trials=1), 7, max_trials=2
    )
    study = optuna.create_study(sampler=sampler)
    distributions = {"x": FloatDistribution(0.0, 1.0)}
    for x in (0.25, 0.5, 0.75):
        study.add_trial(create_trial(value=x, params={"x": x}, distributions=distributions))
    trial = study.ask(distributions)
    assert calls["_get_trials"] > 0
    assert optuna_private.latest(trial).params == trial.params
    assert optuna_private.contains(distributions["x"], trial.params["x"])


def test_studies_are_forgotten_without_a_word_to_the_database(location: Location) -> None:
    with open_for_search(location) as store:
        study = optuna.create_study(study_name="s", storage=store.storage)
        study.add_trial(create_trial(value=1.0))
        assert len(study.trials) == 1
        optuna_private.forget_studies(store.storage, [optuna_private.study_id_of(study)])
        assert not store.storage._studies  # type: ignore[attr-defined]
        assert len(study.trials) == 1  # read anew


def test_special_values_are_stored_as_optuna_stores_them() -> None:
    assert optuna_private.value_columns(0.5)["value"] == 0.5
    assert optuna_private.value_columns(float("inf"))["value_type"].name == "INF_POS"
    assert optuna_private.intermediate_columns(float("nan"))["intermediate_value"] is None
    assert TrialState.WAITING.name == "WAITING"  # as the column of states has it


def private_uses(path: Path) -> Iterator[str]:
    """Imports of private modules and names of Optuna, and private attributes of other objects."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {
        name
        for node in ast.walk(tree)
        for name in (
            [node.name]
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            else [node.target.id]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            else [node.attr]
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and ast.unparse(node.value) == "self"
            else []
        )
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PRIVATE:
            module = node.module or ""
            names = [part for part in module.split(".") if part.startswith("_")]
            names += [one.name for one in node.names if one.name.startswith("_")]
            yield from (f"{module}: {name}" for name in names)
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            of_itself = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not of_itself and node.attr not in own and not node.attr.startswith("__"):
                yield f"{ast.unparse(node)}"


def test_only_two_modules_use_private_names() -> None:
    with_optuna = [
        path
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in ("model", "training")
        and path.name not in PRIVATE.values()
    ]
    found = {path.name: uses for path in with_optuna if (uses := list(private_uses(path)))}
    assert found == {}
