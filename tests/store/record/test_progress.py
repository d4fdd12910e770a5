"""The progress of a study, as it is reported after each trial."""

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from cvfp_opt.store.record.progress import ProgressTracker


def add(
    study: optuna.Study,
    *values: float,
    state: TrialState = TrialState.COMPLETE,
    constraints: dict[str, float] | None = None,
) -> None:
    last = values[-1] if values else 0.0
    scored = {"convergence_rate": 0.5, "effective_rank": 0.5, "score": last}
    study.add_trial(
        create_trial(
            state=state,
            values=values or None,
            user_attrs={"scored": scored} if values else {},
            constraints=constraints,
        )
    )


def test_trials_are_counted_when_they_end_and_the_best_is_kept() -> None:
    study = optuna.create_study(direction="maximize")
    follower = ProgressTracker(study)
    assert (follower.progress().finished, follower.progress().best) == (0, None)
    running = study.ask()
    add(study, state=TrialState.FAIL)
    study.enqueue_trial({})
    assert (follower.progress().finished, follower.progress().best) == (1, None)
    add(study, 0.5)
    add(study, 0.25)
    progress = follower.progress()
    assert progress.best is not None
    assert (progress.finished, progress.best.number, progress.best.value) == (3, 3, 0.5)
    study.tell(running, 0.75)
    progress = follower.progress()
    assert progress.best is not None
    assert (progress.finished, progress.best.number) == (4, 0)


def test_the_first_of_equals_is_the_best() -> None:
    study = optuna.create_study(direction="maximize")
    follower = ProgressTracker(study)
    for _ in range(2):
        add(study, 0.5)
        add(study, 0.5)
        best = follower.progress().best
        assert best is not None
        assert best.number == 0


def test_with_two_objectives_the_score_decides() -> None:
    study = optuna.create_study(directions=["maximize", "maximize"])
    add(study, 9.0, 0.25)
    add(study, 1.0, 0.5)
    best = ProgressTracker(study).progress().best
    assert best is not None
    assert (best.number, best.value) == (1, 0.5)


def test_what_is_not_told_yet_is_counted_later() -> None:
    study = optuna.create_study(direction="maximize")
    follower = ProgressTracker(study)
    for value in (0.25, 0.5, 0.125):
        add(study, value)
    before = follower.progress(untold={1})
    assert before.best is not None
    assert (before.finished, before.best.number) == (2, 0)
    after = follower.progress()
    assert after.best is not None
    assert (after.finished, after.best.number) == (3, 1)


@pytest.mark.parametrize("values", [(0.5, 0.9, 0.4, 0.95), (0.9, 0.5, 0.95, 0.4)])
def test_what_violates_a_constraint_is_the_best_only_as_long_as_nothing_else_is(
    values: tuple[float, ...],
) -> None:
    study = optuna.create_study(direction="maximize")
    tracker = ProgressTracker(study)
    add(study, 0.99, constraints={"threshold": 0.1})
    best = tracker.progress().best
    assert best is not None
    assert best.number == 0
    for value in values:
        add(study, value, constraints={"threshold": 0.2 if value > 0.6 else -0.2})
        best = tracker.progress().best
        assert best is not None
    assert best.value == 0.5
    assert best.number == study.best_trial.number  # as stock Optuna has it
