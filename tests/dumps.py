"""Studies as dumps: generated ones of any program, and small ones of this program."""

import json
import math
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState

from cvfp_opt.store.files.artifact_names import PREFIX
from cvfp_opt.store.queue.leases import FORMER_LEASE
from cvfp_opt.store.record.confirmation import (
    CONFIRMATION_POINTS,
    DEFAULT,
    FRESH,
    ConfirmationPoint,
)
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.mirrors import SOURCE_TRIAL
from cvfp_opt.store.record.records import CONFIRMATION_RUN, CONFIRMS, MIRROR_OF, STUDY, StudyRecord
from cvfp_opt.store.transfer.dump import Dump, Param, StudyDump, Texts, TrialDump

# No half of a surrogate pair, and no NUL: no database keeps them in a name.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
# Hypothesis tries the words that the code knows; these have a meaning.
_KNOWN = {IDENTITY_KEY, FORMER_LEASE, MIRROR_OF, STUDY, "fixed_params"}
NAMES = TEXT.filter(
    lambda text: text and text not in _KNOWN and PREFIX not in text
) | st.sampled_from(["<script>alert(1)</script>", "../../x", "a'; --", "й"])
# Some servers fold case and accents, and ignore spaces at the end.
PLAIN_NAMES = st.sampled_from(["a", "b", "note", "<script>", "ключ", "x y", "../z"])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TIMES = st.none() | st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31)).map(
    lambda time: time.replace(fold=0)
)
DISTRIBUTIONS = st.sampled_from(
    [
        FloatDistribution(0.1, 0.9),
        FloatDistribution(1e-300, 1e300, log=True),
        IntDistribution(-3, 2**40 - 1, step=3),
        CategoricalDistribution([None, True, 1, 0.5, "<script>"]),
    ]
)


def texts(values: dict[str, Any]) -> Texts:
    """Attributes as a dump has them."""
    return {key: json.dumps(values[key]) for key in sorted(values)}


@st.composite
def params(draw: st.DrawFn, name: str) -> Param:
    """One parameter within its distribution."""
    distribution: BaseDistribution = draw(DISTRIBUTIONS)
    if isinstance(distribution, CategoricalDistribution):
        value = float(draw(st.integers(0, len(distribution.choices) - 1)))
    elif isinstance(distribution, IntDistribution):
        value = float(draw(st.integers(distribution.low, distribution.high)))
    else:
        value = draw(st.floats(distribution.low, distribution.high))
    return Param(name=name, value=value, distribution=distribution_to_json(distribution))


@st.composite
def trials(
    draw: st.DrawFn, number: int, directions: int, names: st.SearchStrategy[str]
) -> TrialDump:
    """A trial in any state."""
    attrs = st.dictionaries(names, JSON, max_size=3).map(texts)
    state = draw(st.sampled_from([s for s in TrialState if s is not TrialState.RUNNING]))
    value = st.floats(allow_nan=False).map(lambda v: v + 0.0)  # SQLite keeps no sign of zero
    count = directions if state is TrialState.COMPLETE else draw(st.sampled_from([0, directions]))
    steps = st.dictionaries(st.integers(0, 2**31 - 1), value | st.just(math.nan), max_size=3)
    return TrialDump(
        number=number,
        state=state,
        values=tuple(draw(st.lists(value, min_size=count, max_size=count))),
        params=tuple(
            draw(params(name)) for name in draw(st.lists(names, unique=True, max_size=3))
        ),
        intermediate=dict(sorted(draw(steps).items())),
        user_attrs=draw(attrs),
        system_attrs=draw(attrs),
        started=draw(TIMES),
        completed=draw(TIMES),
    )


@st.composite
def studies(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES) -> StudyDump:
    """A study of any program."""
    attrs = st.dictionaries(names, JSON, max_size=3).map(texts)
    directions = draw(st.lists(st.sampled_from(list(StudyDirection)), min_size=1, max_size=3))
    count = draw(st.integers(0, 4))
    return StudyDump(
        name=draw(names),
        directions=tuple(directions),
        user_attrs=draw(attrs),
        system_attrs=draw(attrs),
        trials=tuple(draw(trials(n, len(directions), names)) for n in range(count)),
    )


def record(*, seed: int = 0, uuid: str = "a" * 32, **definition: Any) -> StudyRecord:
    """A record of this program's, by default always the same study's."""
    return StudyRecord(
        definition={
            "objective": {"split": "train"},
            "search": {"seed": seed},
            "space": {},
            **definition,
        },
        definition_digest="d" * 64,
        data_digest="e" * 64,
        created=1.7e9,
        environment={},
        uuid=uuid,
    )


def own_trial(number: int, x: float | None = 0.25, **changes: Any) -> TrialDump:
    """A trial of this program's with one parameter; ``changes`` to its fields and attributes.

    ``identity`` is (letter for the uuid, seed, number at birth); None for none.
    """
    identity = changes.pop("identity", (f"{number:x}", 0, number))
    state = changes.pop("state", TrialState.COMPLETE)
    digest = changes.pop("digest", f"{x}")
    system = dict(changes.pop("system_attrs", {}))
    if identity is not None:
        letter, seed, at_birth = identity
        system[IDENTITY_KEY] = TrialIdentity(
            uuid=letter * 32, seed=seed, number=at_birth
        ).to_dict()
    user: dict[str, Any] = {}
    if state.is_finished():
        user = {"metrics": {"residual": x}, "environment": {"weights_digest": digest}}
    user |= changes.pop("user_attrs", {})
    known = [] if x is None else [x]
    distribution = distribution_to_json(FloatDistribution(0, 1))
    return TrialDump(
        number=number,
        state=state,
        values=tuple(known) if state is TrialState.COMPLETE else (),
        params=tuple(Param(name="x", value=v, distribution=distribution) for v in known),
        intermediate={},
        user_attrs=texts(user),
        system_attrs=texts(system),
        **changes,
    )


def confirmed(dump: Dump, *runs: TrialDump) -> Dump:
    """A study of this program's with a confirmation of its first trial; two runs by default."""
    assert dump.study.record is not None
    identity = dump.study.identity(dump.study.trials[0])
    assert identity is not None
    points = [
        ConfirmationPoint(key=identity.uuid, params={"x": 0.25}, trial=0, reported=0.25),
        ConfirmationPoint(key=DEFAULT, params={"x": 0.5}),
    ]
    seed = dump.study.record.seed
    runs = runs or tuple(
        own_trial(
            number,
            identity=("ef"[number], seed, FRESH),
            system_attrs={
                CONFIRMATION_RUN: {
                    "arm": point.key,
                    "label": point.label,
                    "seed": 0,
                    "changes": {},
                }
            },
        )
        for number, point in enumerate(points)
    )
    made = StudyDump(
        name=f"{dump.study.name}/confirm",
        directions=(StudyDirection.MAXIMIZE,),
        user_attrs=texts(
            {
                STUDY: asdict(record(seed=seed, uuid="c" * 32)),
                CONFIRMS: dump.study.name,
                CONFIRMATION_POINTS: {
                    "uuid": dump.study.record.identity,
                    "arms": [asdict(point) for point in points],
                },
            }
        ),
        system_attrs=texts({"study:metric_names": ["score"]}),
        trials=runs,
    )
    return replace(dump, confirmation=made)


def own_study(
    *own_trials: TrialDump, name: str = "s", of: StudyRecord | None = None, **attrs: Any
) -> Dump:
    """A study of this program's, with its mirror of the complete trials."""
    made = StudyDump(
        name=name,
        directions=(StudyDirection.MAXIMIZE,),
        user_attrs=texts({STUDY: asdict(of or record()), **attrs}),
        system_attrs=texts({"study:metric_names": ["score"]}),
        trials=own_trials,
    )
    complete = [trial for trial in own_trials if trial.state is TrialState.COMPLETE]
    mirror = StudyDump(
        name=f"{name}/pareto",
        directions=(StudyDirection.MAXIMIZE,) * 2,
        user_attrs=texts({MIRROR_OF: name}),
        system_attrs={},
        trials=tuple(
            TrialDump(
                number=place,
                state=TrialState.COMPLETE,
                values=trial.values * 2,
                intermediate={},
                user_attrs=texts({SOURCE_TRIAL: trial.number}),
                system_attrs={},
            )
            for place, trial in enumerate(complete)
        ),
    )
    return Dump(study=made, mirrors=(mirror,))
