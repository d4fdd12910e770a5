"""A trial goes on from its last checkpoint, wherever that was made, to the same bits."""

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from support import TINY

from cvfp_opt.errors import StorageError
from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.training.events import Event, IterationTrained
from cvfp_opt.training.result import TrainingResult
from cvfp_opt.training.snapshot import NOTHING, Keeper, Snapshot
from cvfp_opt.tuning import checkpointing as trial_keeper
from cvfp_opt.tuning.checkpointing import MAX_SHARE, Checkpointing, TrialKeeper
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import resolve_definition
from cvfp_opt.tuning.objective import Objective, never

TRIAL = "ab" * 16
HERE = {
    "versions": {"torch": "2.13", "numpy": "2"},
    "threads": 1,
    "host": "somewhere",
}
CODE = {"my.loss:f": "digest"}
POINT = [
    "space.dist_reg_weight=0.7",
    "space.phase1_learning_rate=0.005",
    "space.phase1_convergence_threshold=0.5",
    "space.layernorm_mix=1",
    "search.pruner=none",
    "training.min_converged_ratio=1.0",
]
FALLING = ["training.learning_rate_schedule=linear", "schedule.kind=adaptive"]
PROBED = ["objective.kind=pareto", "objective.downstream=true"]
ONLINE = [
    "training.trainer=online",
    "training.learning_rate_schedule=constant",
    "training.precision=float32",
    "training.training_pass=exact",
    "diversity.loss=deviation",
    "diversity.scale=untrained",
    "model.context_size=64",
    "model.embedding_size=64",
    "model.num_layers=2",
]


def define(*settings: str) -> StudyDefinition:
    return resolve_definition({}, [*TINY, *POINT, *settings], where="x")


class Died(Exception):
    """The process went away."""


class Case:
    """One trial, trained by one worker after the other.

    Attributes:
        notices: what the last worker's keeper said.
        registered: the trial's system attributes.
    """

    def __init__(self, *settings: str) -> None:
        self.definition = define(*settings)
        self.tokens = self.definition.load_tokens()
        self.store = FolderStore(Path.cwd() / "artifacts")
        self.notices: list[str] = []
        self.registered: dict[str, str] = {}

    def keeper(
        self,
        *,
        store: Any = None,
        code: dict[str, str] = CODE,
        every: float = 0.0,
        **changed: Any,
    ) -> TrialKeeper:
        self.notices = []
        words: dict[str, Any] = {
            "checkpoints": Checkpointing(artifacts=store or self.store, code=code, every=every),
            "trial": TRIAL,
            "definition": self.definition,
            "tokens": self.tokens,
            "environment": HERE,
            "register": self.registered.__setitem__,
            "notify": self.notices.append,
        }
        return TrialKeeper(**(words | changed))

    def train(
        self, keeper: Keeper = NOTHING, *, die_in: int | None = None, seed: int = 3
    ) -> TrainingResult:
        """To the end, or to the death after an iteration's training, before it is kept."""

        def observe(event: Event) -> None:
            if isinstance(event, IterationTrained) and event.metrics.iteration == die_in:
                raise Died

        objective = Objective(
            definition=self.definition, tokens=self.tokens, device=torch.device("cpu")
        )
        return objective({}, 7, observe, never, keeper, seed=seed)

    def die_in(self, iteration: int, **changed: Any) -> None:
        with pytest.raises(Died):
            self.train(self.keeper(**changed), die_in=iteration)


def outcome(result: TrainingResult) -> dict[str, Any]:
    """All that a run gives but for what the clock says."""
    plain = result.to_dict() | {"seconds": {}}
    plain["audit"] = plain["audit"] | {"seconds": 0.0}
    return plain


@pytest.mark.parametrize("settings", [[], FALLING, PROBED, ONLINE, ONLINE + FALLING])
def test_a_trial_goes_on_from_every_iteration_to_the_same_bits(settings: list[str]) -> None:
    case = Case(*settings)
    undisturbed = case.train()
    assert len(undisturbed.iterations) == 4
    case.die_in(1)
    for iteration in (1, 2):
        content = {path: path.read_bytes() for path in case.store.folder.iterdir()}
        keeper = case.keeper()
        assert outcome(case.train(keeper)) == outcome(undisturbed)
        assert keeper.restored == iteration
        assert case.notices == [f"goes on from pass {iteration + 1} of a checkpoint"]
        for path in case.store.folder.iterdir():
            path.unlink()
        for path, old in content.items():
            path.write_bytes(old)
        case.die_in(2)  # the next worker comes one iteration further
    assert outcome(case.train(case.keeper())) == outcome(undisturbed)


def test_what_is_kept_is_registered_and_goes_with_the_trial() -> None:
    case = Case()
    keeper = case.keeper()
    case.train(keeper)
    assert sorted(os.listdir(case.store.folder)) == [f"{TRIAL}-1", f"{TRIAL}-2"]
    assert sorted(case.registered) == keeper.attributes
    assert keeper.attributes == [f"artifacts:{TRIAL}-1", f"artifacts:{TRIAL}-2"]
    names = {json.loads(value)["filename"] for value in case.registered.values()}
    assert names == {"checkpoint-2.safetensors", "checkpoint-3.safetensors"}
    keeper.remove()
    assert os.listdir(case.store.folder) == []
    assert case.notices == []


def test_a_worker_that_lost_the_trial_ends_with_its_claims_error() -> None:
    class LeaseLost(Exception):
        pass

    def refuse(key: str, value: str) -> None:
        raise LeaseLost

    case = Case()
    with pytest.raises(LeaseLost):
        case.train(case.keeper(register=refuse))


def test_the_seed_is_that_of_the_trials_birth() -> None:
    case = Case()
    digests = [case.train(seed=seed).weights_digest for seed in (3, 3, 4)]
    assert digests[0] == digests[1] != digests[2]
    case.definition = define("search.seed=3")
    objective = Objective(
        definition=case.definition, tokens=case.tokens, device=torch.device("cpu")
    )
    assert objective({}, 7).weights_digest == digests[0]


def test_another_build_is_told_and_goes_on() -> None:
    case = Case()
    undisturbed = case.train()
    case.die_in(2, environment=HERE | {"versions": {"torch": "2.12", "numpy": "2"}, "threads": 4})
    result = case.train(case.keeper(environment=HERE | {"host": "elsewhere"}))
    assert case.notices == [
        "goes on from pass 3 of a checkpoint made with torch 2.12, threads 4: last bits may differ"
    ]
    assert outcome(result) == outcome(undisturbed)


def test_what_belongs_to_another_definition_or_code_is_passed_over() -> None:
    case = Case()
    case.die_in(1)
    for changed, reason in (
        ({"definition": define("training.num_epochs=3")}, "another definition"),
        ({"code": {"my.loss:f": "changed"}}, "another code"),
        ({"tokens": replace(case.tokens, digest="other")}, "another data"),
    ):
        keeper = case.keeper(**changed)
        assert keeper.load() is None
        assert keeper.restored == 0
        beginning = f"a checkpoint is passed over: checkpoint {TRIAL}-1: of "
        assert case.notices == [beginning + reason]


def test_what_belongs_to_another_trial_is_passed_over() -> None:
    case = Case()
    case.die_in(1)
    with case.store.open_reader(f"{TRIAL}-1") as file:
        content = file.read()
    other = TRIAL[::-1]
    case.store.write(f"{other}-1", io.BytesIO(content))
    assert case.keeper(trial=other).load() is None
    assert [line.endswith("of another trial") for line in case.notices] == [True]


def test_a_torn_one_is_passed_over_and_the_trial_still_ends_the_same() -> None:
    case = Case()
    undisturbed = case.train()
    case.train(case.keeper())
    newest = case.store.path(f"{TRIAL}-1")
    newest.write_bytes(newest.read_bytes()[:-1])
    assert outcome(case.train(case.keeper())) == outcome(undisturbed)
    assert "damaged, or no snapshot: it ends too early" in case.notices[0]
    assert case.notices[1:] == ["goes on from pass 3 of a checkpoint"]


class Slow:
    """A store that takes ``seconds`` for each write by a clock of its own, and may refuse.

    Stands in for ``time``, too.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.seconds = 0.0
        self.broken = False
        self.written: list[float] = []
        self.opened = 0
        self._store = FolderStore(Path.cwd() / "artifacts")

    def monotonic(self) -> float:
        return self.now

    def open_reader(self, artifact_id: str) -> BinaryIO:
        self.opened += 1
        return self._store.open_reader(artifact_id)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        self.now += self.seconds
        if self.broken:
            raise StorageError("the disk is full")
        self._store.write(artifact_id, content_body)
        self.written.append(self.now)

    def remove(self, artifact_id: str) -> None:
        if self.broken:
            raise StorageError("the disk is gone")
        self._store.remove(artifact_id)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    store = Slow()
    monkeypatch.setattr(trial_keeper, "time", store)
    return store


def save_each_second(keeper: TrialKeeper, slow: Slow, seconds: int) -> None:
    for _ in range(seconds):
        slow.now += 1.0
        keeper.save(Snapshot(tensors={"a": torch.ones(3)}, values={"iteration": 1}))


def test_a_checkpoint_is_made_when_the_last_one_is_old_enough(slow: Slow) -> None:
    keeper = Case().keeper(store=slow, every=60.0)
    save_each_second(keeper, slow, 59)
    assert slow.written == []
    save_each_second(keeper, slow, 130)
    assert slow.written == [160.0, 220.0, 280.0]


def test_a_slow_store_is_given_a_small_share_of_the_time(slow: Slow) -> None:
    slow.seconds = 30.0
    keeper = Case().keeper(store=slow, every=60.0)
    save_each_second(keeper, slow, 2000)
    spent, all_of_it = 30.0 * len(slow.written), slow.now - 100.0
    assert len(slow.written) > 2
    assert spent / all_of_it < 1.5 * MAX_SHARE


def test_a_store_that_refuses_is_told_once_and_training_goes_on(slow: Slow) -> None:
    case = Case()
    undisturbed = case.train()
    slow.broken = True
    keeper = case.keeper(store=slow)
    assert outcome(case.train(keeper)) == outcome(undisturbed)
    assert case.notices == ["no checkpoint can be kept, training goes on: the disk is full"]
    assert case.registered == {}
    slow.broken = False
    save_each_second(keeper, slow, 1)
    slow.broken = True
    save_each_second(keeper, slow, 2)
    keeper.remove()
    assert case.notices[1:] == [
        "no checkpoint can be kept, training goes on: the disk is full",
        "checkpoints are left behind: the disk is gone",
    ]


def test_a_trial_too_short_for_a_checkpoint_has_nothing_to_remove(slow: Slow) -> None:
    case = Case()
    keeper = case.keeper(store=slow, every=60.0)
    case.train(keeper)
    asked = slow.opened
    keeper.remove()
    assert (keeper.attributes, slow.written, slow.opened) == ([], [], asked)
