"""Studies whose figures are known, for reports: in memory, recorded as a search records them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from cvfp_opt.store.record.confirmation import DEFAULT, UNTRAINED, ConfirmationPoint, Runs
from cvfp_opt.store.record.records import STUDY, StudyRecord, TrialRecord
from cvfp_opt.store.record.retries import uuid_of
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.tuning.definition import StudyDefinition

SPACE: dict[str, BaseDistribution] = {
    "dist_reg_weight": FloatDistribution(0.1, 0.9),
    "phase1_learning_rate": FloatDistribution(0.0005, 0.005, log=True),
    "phase1_convergence_threshold": FloatDistribution(0.05, 0.5),
    "layernorm_mix": FloatDistribution(0.5, 1.0),
}
EVIL = "</script><script>alert(1)</script>"


def audit(**changed: Any) -> dict[str, Any]:
    """The audit of a sound trial: residuals from 0 to 0.2, half of them below 0.1."""
    read = {"convergence": 0.99, "convergence_strict": 0.5, "effective_rank": 0.8}
    return {
        "absolute_convergence": 0.5,
        "scale_free_convergence": 0.25,
        "residual_quantiles": [0.2 * i / 64 for i in range(65)],
        "mean_square": 0.5,
        "context_norm": 19.6,
        "global_attractor": False,
        "near_zero": False,
        "identity_map": False,
        "baseline": {
            "convergence_rate": 0.1,
            "effective_rank": 0.88,
            "validation_convergence_rate": 0.2,
            "validation_effective_rank": 0.81,
            "score": 0.49,
        },
        "frozen_train": dict(read),
        "frozen_validation": dict(read),
        "frozen_held_out": dict(read),
        "lyapunov_exponent": -0.2,
    } | changed


def point(place: float) -> dict[str, float]:
    """Parameters at a share of the way through each range."""
    return {
        "dist_reg_weight": 0.1 + 0.8 * place,
        "phase1_learning_rate": 0.0005 * 10**place,
        "phase1_convergence_threshold": 0.05 + 0.45 * place,
        "layernorm_mix": 1.0 - 0.5 * place,
    }


def attributes(convergence: float, rank: float, **changed: Any) -> dict[str, Any]:
    """What a trial that came to its end leaves behind."""
    score = (convergence + rank) / 2
    figures = {"convergence_rate": convergence, "effective_rank": rank, "score": score}
    metrics = figures | {f"validation_{name}": value for name, value in figures.items()}
    return {
        "status": "finished",
        "reason": "all 2 iterations were run",
        "scored": figures,
        "metrics": metrics,
        "iterations": [
            metrics | {"iteration": 0, "convergence_rate": 0.0, "weight": 0.8, "residual": None},
            metrics | {"iteration": 1, "weight": None, "residual": 0.1},
        ],
        "audit": audit(),
        "seconds": {"pass": 1.0, "training": 2.0},
        "environment": {"device": "cpu", "versions": {"torch": "2.13.0"}, "threads": 1},
    } | changed


def complete(
    place: float,
    convergence: float,
    rank: float,
    constraints: dict[str, float] | None = None,
    **changed: Any,
) -> optuna.trial.FrozenTrial:
    """A complete trial at a point of the space."""
    values = attributes(convergence, rank, **changed)
    return create_trial(
        value=values["scored"]["score"],
        params=point(place),
        distributions=SPACE,
        user_attrs=values,
        intermediate_values={0: 0.4, 1: values["scored"]["score"]},
        constraints=constraints,
    )


def ended(state: TrialState, place: float, **attrs: Any) -> optuna.trial.FrozenTrial:
    """A pruned or failed trial."""
    pruned = state is TrialState.PRUNED
    return create_trial(
        state=state,
        value=0.3 if pruned else None,
        params=point(place),
        distributions=SPACE,
        user_attrs=attrs,
        intermediate_values={0: 0.3} if pruned else {},
    )


def study(name: str = "known", **sections: Mapping[str, Any]) -> optuna.Study:
    """An empty study of ours, with keys of its definition changed."""
    made = optuna.create_study(study_name=name, direction="maximize")
    definition = StudyDefinition().to_dict()
    for section, keys in sections.items():
        definition[section] |= keys
    StudyRecord(
        definition=definition,
        definition_digest="d" * 64,
        data_digest="e" * 64,
        created=1.7e9,
        environment={"host": "host", "versions": {"torch": "2.13.0"}},
        uuid="u",
    ).write(made)
    return made


def summary(made: optuna.Study) -> Summary:
    """What reports start from."""
    return Summary.of(made, "sqlite:///storage/cvfp.db")


def _with(*trials: optuna.trial.FrozenTrial) -> Summary:
    made = study()
    made.add_trials(trials)
    return summary(made)


def small() -> Summary:
    """Of every state; trial 1 wins, 0 and 1 are the front."""
    made = study()
    made.add_trials(
        [
            complete(0.2, 0.2, 0.95),
            complete(0.4, 0.98, 0.9),
            ended(TrialState.PRUNED, 0.5, status="pruned", reason="pruned after iteration 0"),
            complete(0.6, 0.9, 0.6),
            ended(
                TrialState.FAIL, 0.7, status="diverged", reason="residual is nan in iteration 1"
            ),
            ended(TrialState.FAIL, 0.8, status="error", reason=f"OSError: {EVIL}"),
        ]
    )
    made.enqueue_trial(point(0.3))
    return summary(made)


def thousand() -> Summary:
    """Many trials; the winner is number 700."""
    return _with(
        *(complete((i % 97) / 97, 1 - abs(i - 700) / 1000, 0.5 + i / 2800) for i in range(1000))
    )


def not_numbers() -> Summary:
    """One sound trial, and one all of whose figures are NaN or infinite but the score."""
    nan, inf = math.nan, math.inf
    read = {"convergence": nan, "convergence_strict": nan, "effective_rank": nan}
    bad = attributes(nan, nan)
    bad["scored"] = {"convergence_rate": nan, "effective_rank": nan, "score": 0.99}
    bad["iterations"] = [{"iteration": 0, "convergence_rate": nan, "weight": inf}]
    bad["audit"] = audit(
        residual_quantiles=[nan] * 65,
        mean_square=inf,
        context_norm=nan,
        frozen_train=dict(read),
        frozen_held_out=dict(read),
        absolute_convergence=nan,
        scale_free_convergence=nan,
        lyapunov_exponent=None,
        baseline=audit()["baseline"] | {"score": nan, "convergence_rate": nan},
    )
    odd = create_trial(value=0.99, params=point(0.1), distributions=SPACE, user_attrs=bad)
    return _with(complete(0.5, 0.9, 0.9), odd)


def foreign() -> Summary:
    """Another program's, minimized, with a categorical parameter and words of its own."""
    made = optuna.create_study(study_name=f"their {EVIL}", direction="minimize")
    kinds = CategoricalDistribution(["sgd", EVIL, None])
    for i, kind in enumerate(["sgd", EVIL, None, "sgd"]):
        made.add_trial(
            create_trial(
                value=[3.0, 1.0, math.inf, 2.0][i],
                params={"kind": kind, "rate": 0.1 * (i + 1)},
                distributions={"kind": kinds, "rate": FloatDistribution(0.01, 1.0, log=True)},
                user_attrs={"audit": "mine", "metrics": [1], "reason": EVIL},
                intermediate_values={0: 5.0, 3: 4.0},
            )
        )
    return summary(made)


def on_fresh_seeds(
    searched: Summary, scores: Mapping[str, Sequence[float | None]], *, waiting: int = 0
) -> Summary:
    """A study with a confirmation: scores by ``trial N``, DEFAULT and UNTRAINED.

    None for a run that diverged; ``waiting`` more wait.
    """
    assert searched.record is not None
    points = []
    for name in scores:
        if name in (DEFAULT, UNTRAINED):
            points.append(ConfirmationPoint(key=name, params={"dist_reg_weight": 0.5}))
            continue
        trial = searched.trial(int(name.removeprefix("trial ")))
        key = uuid_of(trial, searched.record.identity)
        points.append(
            ConfirmationPoint(key=key, params={}, trial=trial.number, reported=trial.value)
        )
    runs: list[TrialRecord] = []
    for point, values in zip(points, scores.values(), strict=True):
        for seed, value in enumerate(values):
            state = "complete" if value is not None else "fail"
            status = "finished" if value is not None else "diverged"
            mark: dict[str, Any] = {"arm": point.key, "seed": seed, "label": point.label}
            runs.append(
                TrialRecord(number=len(runs), state=state, status=status, value=value, run=mark)
            )
    for seed in range(waiting):
        mark = {"arm": points[0].key, "seed": 90 + seed, "label": points[0].label}
        runs.append(TrialRecord(number=len(runs), state="waiting", run=mark))
    found = Runs(study=f"{searched.name}/confirm", points=points, trials=runs)
    return replace(searched, confirmation=found)


def confirmed() -> Summary:
    """The small one, its winner confirmed; one run of another trial diverged."""
    scores = {
        "trial 1": [0.93, 0.94, 0.95],
        "trial 3": [0.74, None, 0.76],
        DEFAULT: [0.70, 0.71, 0.72],
        UNTRAINED: [0.49, 0.50, 0.51],
    }
    return on_fresh_seeds(small(), scores)


def two_objectives() -> Summary:
    """Another program's, one objective to be small and one to be large."""
    made = optuna.create_study(study_name="theirs", directions=["minimize", "maximize"])
    for values in ([1.0, 1.0], [2.0, 3.0], [2.0, 2.0]):
        made.add_trial(create_trial(values=values))
    return summary(made)


def three_objectives() -> Summary:
    """Ours, the use of contexts the third: trial 1 wins, 2 is on the front for its perplexity."""
    made = optuna.create_study(study_name="known", directions=["maximize"] * 3)
    made.set_user_attr(STUDY, study(objective=_THREE, search=_UNPRUNED).user_attrs[STUDY])
    for place, rate, rank, perplexity in (
        (0.2, 0.2, 0.95, 60.0),
        (0.4, 0.98, 0.9, 55.0),
        (0.6, 0.9, 0.6, 47.25),
        (0.8, 0.9, 0.6, 56.0),
    ):
        probe = {
            "train_perplexity": 30.0,
            "train_accuracy": 0.4,
            "held_out_perplexity": perplexity,
            "held_out_accuracy": 0.25,
            "epochs": 2,
            "learning_rate": 0.01,
        }
        made.add_trial(
            create_trial(
                values=[rate, rank, -math.log(perplexity)],
                params=point(place),
                distributions=SPACE,
                user_attrs=attributes(rate, rank, downstream=probe),
            )
        )
    return summary(made)


_THREE = {"kind": "pareto", "downstream": True}
_UNPRUNED = {"pruner": "none"}

STUDIES: dict[str, Callable[[], Summary]] = {
    "empty": _with,
    "one trial": lambda: _with(complete(0.5, 0.9, 0.9)),
    "all pruned": lambda: _with(*[ended(TrialState.PRUNED, 0.5, status="pruned")] * 3),
    "all failed": lambda: _with(*[ended(TrialState.FAIL, 0.5, status="error", reason="x")] * 3),
    "small": small,
    "confirmed": confirmed,
    "1000 trials": thousand,
    "not numbers": not_numbers,
    "foreign": foreign,
    "two objectives": two_objectives,
    "three objectives": three_objectives,
}
