"""First points: tried before the sampler begins, once each, whoever runs the trials."""

import optuna
import pytest
from claiming import Workers, take
from optuna.storages import InMemoryStorage
from searching import make_search
from stock import optimized, stock_study, tiny

from cvfp_opt.api.plan import define
from cvfp_opt.errors import DefinitionError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.queue.enqueued import enqueue_points
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.plan import Request
from cvfp_opt.tuning.sampler_kinds import SAMPLERS
from cvfp_opt.tuning.sampler_pruner import sampler_of

FIRST = {"dist_reg_weight": 0.85, "layernorm_mix": 1.0}
SECOND = {
    "dist_reg_weight": 0.3,
    "phase1_learning_rate": 0.001,
    "phase1_convergence_threshold": 0.2,
    "layernorm_mix": 0.75,
}
POINTS = (
    "search.first_points=[{dist_reg_weight = 0.85, layernorm_mix = 1}, {dist_reg_weight = 0.3, "
    "phase1_learning_rate = 0.001, phase1_convergence_threshold = 0.2, layernorm_mix = 0.75}]"
)


def ask(study: optuna.Study, definition: StudyDefinition) -> dict[str, object]:
    """The parameters of the next trial, by a worker of its own."""
    study.sampler = sampler_of(definition)
    trial = study.ask()
    params = definition.space.suggest(trial)
    study.tell(trial, 0.5)
    return params


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "brute_force"])
def test_the_first_trials_take_them_in_turn_and_what_they_leave_out_is_drawn(name: str) -> None:
    definition = tiny(POINTS, f"search.sampler={name}", "search.num_startup_trials=1")
    study = stock_study(definition)
    first, second, third = (ask(study, definition) for _ in range(3))
    assert first.items() >= FIRST.items()
    other = tiny(POINTS, f"search.sampler={name}", "search.seed=1")
    drawn = ask(stock_study(other), other)["phase1_learning_rate"]
    assert drawn != first["phase1_learning_rate"]
    assert second == SECOND
    assert third not in (first, second)


def test_a_resumed_study_proposes_the_same() -> None:
    whole = optimized(5, POINTS, study_name="s", storage=InMemoryStorage())
    storage = InMemoryStorage()
    for count in (1, 1, 3):
        pieces = optimized(count, POINTS, study_name="s", storage=storage, load_if_exists=True)
    assert [t.params for t in pieces.trials] == [t.params for t in whole.trials]
    assert [t.value for t in pieces.trials] == [t.value for t in whole.trials]
    assert whole.trials[1].params == SECOND


def test_two_workers_never_both_try_one() -> None:
    definition = tiny(POINTS)
    study = stock_study(definition)
    trials = []
    for _ in range(3):  # all run before any has parameters
        study.sampler = sampler_of(definition)
        trials.append(study.ask())
    weights = [definition.space.suggest(t)["dist_reg_weight"] for t in reversed(trials)]
    assert weights[1:] == [0.3, 0.85]
    assert weights[0] not in weights[1:]


def test_what_is_enqueued_by_hand_goes_first_and_takes_none_away() -> None:
    definition = tiny(POINTS)
    study = stock_study(definition)
    study.enqueue_trial({"dist_reg_weight": 0.5})
    by_hand = ask(study, definition)
    assert by_hand["dist_reg_weight"] == 0.5
    assert by_hand["layernorm_mix"] != 1.0
    assert ask(study, definition).items() >= FIRST.items()
    study.enqueue_trial({"dist_reg_weight": 0.6})
    assert ask(study, definition)["dist_reg_weight"] == 0.6
    assert ask(study, definition) == SECOND


def test_a_trial_that_optuna_enqueued_again_takes_none_away() -> None:
    definition = tiny(POINTS)
    study = stock_study(definition)
    ask(study, definition)
    again = optuna.trial.create_trial(
        state=optuna.trial.TrialState.WAITING,
        params=study.trials[0].params,
        distributions=study.trials[0].distributions,
        system_attrs={"failed_trial": 0},
    )
    study.add_trial(again)
    assert ask(study, definition) == study.trials[0].params
    assert ask(study, definition) == SECOND


def test_a_killed_trials_point_is_run_again() -> None:
    with open_for_search(resolve_location("sqlite:///x.db")) as store:
        search = make_search(store, POINTS)
        enqueue_points(store, search.study, [{"dist_reg_weight": 0.5}], seed=0)
        search.run(1)
        dead = take(Workers(store, search.study).add(worker="w", pid=2**22 + 1))
        assert dead.claimed.number == 1
        make_search(store, POINTS).run(3)
        by_hand, first, second = (trial.params for trial in search.study.get_trials())
    assert by_hand["dist_reg_weight"] == 0.5
    assert first.items() >= FIRST.items()
    assert second == SECOND


def test_those_of_a_trial_and_of_a_confirmation_are_none() -> None:
    definition = tiny(POINTS)
    assert definition.at(SECOND).search.first_points == ()
    assert definition.without_first_points() == tiny()
    assert tiny().digest() == tiny("search.first_points=[]").digest() != definition.digest()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            "[{dist_reg_weight = 2}]",
            "search.first_points[0].dist_reg_weight: 2 lies outside of its",
        ),
        (
            "[{layernorm_mix = 1}, {dist_reg_wight = 0.5}]",
            "search.first_points[1].dist_reg_wight: unk",
        ),
        ("[{layernorm_mix = 'x'}]", "search.first_points[0].layernorm_mix: a number is required"),
        ("[{}]", "search.first_points[0]: the point says nothing of what is searched"),
        ("[0.5]", "search.first_points[0]: a table { name = value } is required, got 0.5"),
        ("0.5", "search.first_points: a list is required, got 0.5"),
        ("[{diversity.loss = 'deviation'}]", '[0].diversity.loss: fixed here at "orthogonality"'),
    ],
)
def test_a_point_outside_of_the_space_is_refused_with_its_key(points: str, message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        tiny(f"search.first_points={points}")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_setting_that_is_searched_can_be_given() -> None:
    definition = tiny(
        'space.diversity.loss=["orthogonality", "deviation"]',
        "search.first_points=[{diversity.loss = 'deviation'}, "
        "{'diversity.loss' = 'orthogonality'}]",
    )
    study = stock_study(definition)
    found = [ask(study, definition)["diversity.loss"] for _ in range(2)]
    assert found == ["deviation", "orthogonality"]


def test_a_changed_space_leaves_out_what_it_does_not_search() -> None:
    def asked(*settings: str) -> tuple[StudyDefinition, list[str]]:
        request = Request(definition="recommended", settings=settings)
        return request.resolve(None), request.notes(None)

    definition, notes = asked("space.dist_reg_weight={low=0.1, high=0.5}")
    assert definition.first_points == []
    [note] = notes
    assert note.startswith(
        "search.first_points[0] is not tried: dist_reg_weight: 0.875 lies outside"
    )
    definition, notes = asked("space.layernorm_mix=0.7")
    assert "layernorm_mix" not in definition.first_points[0]
    assert notes == ["search.first_points[0]: layernorm_mix = 0.97 left out: fixed at 0.7"]
    definition, notes = asked("space.layernorm_mix=0.97", "training.num_epochs=1")
    assert len(definition.first_points[0]) == 3
    assert notes == []
    assert asked("training.num_epochs=1")[1] == []
    searching = define("recommended").searching(dist_reg_weight=(0.1, 0.5)).definition
    assert searching.first_points == []
    given = "search.first_points=[{layernorm_mix = 0.5}]"
    with pytest.raises(
        DefinitionError, match=r"first_points\[0\].layernorm_mix: fixed here at 0.7"
    ):
        asked("space.layernorm_mix=0.7", given)


def test_the_sampler_learns_from_them() -> None:
    """Where one point alone is good, TPE's first proposal lies nearer to it."""

    def distance(seed: int, *settings: str) -> float:
        definition = tiny(*settings, f"search.seed={seed}")
        study = stock_study(definition)

        def objective(trial: optuna.Trial) -> float:
            definition.space.suggest(trial)
            return 1.0 if trial.number == 0 else 0.0

        study.optimize(objective, n_trials=11)
        proposed = study.trials[10].params
        spans = {"dist_reg_weight": 0.8, "phase1_convergence_threshold": 0.45}
        return sum(abs(proposed[name] - SECOND[name]) / span for name, span in spans.items())

    point = POINTS.replace("{dist_reg_weight = 0.85, layernorm_mix = 1}, ", "")
    near, far = (sum(distance(n, *settings) for n in range(12)) for settings in ((point,), ()))
    assert near < 0.8 * far
