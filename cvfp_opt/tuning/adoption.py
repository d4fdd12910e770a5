"""Adopt a study that another program made: what it has, what it lacks, and its record.

With a record a study is one of ours, and can be gone on with. That its trials' parameters are
points of the definition's space is checked; what they were trained on, nobody can check.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.errors import StudyError
from cvfp_opt.escaping import listed, positional, quoted
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.point_checks import strangers
from cvfp_opt.store.record.records import CONFIRMS, StudyRecord, TrialRecord, Unread
from cvfp_opt.store.record.studies import (
    StudyRows,
    adopt_study,
    check_new_name,
    objectives_words,
    read_study,
)
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.plan import new_record
from cvfp_opt.tuning.space import LIMITS, SETTINGS

if TYPE_CHECKING:
    from cvfp_opt.training.data import Tokens


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a study has or lacks.

    Attributes:
        text: a line.
        refuses: whether the study cannot be adopted as it is.
    """

    text: str
    refuses: bool = False


def examine(store: Store, name: str, definition: StudyDefinition | None = None) -> list[Finding]:
    """Say what a study has and lacks that is to be adopted; changes nothing.

    Args:
        definition: that it is to be gone on with; None to say only what does not depend on it.

    Raises:
        StudyError: there is no such study; or its record is a newer version's, or damaged.
    """
    return list(_findings(store, read_study(store, name), definition))


def refuse(name: str, found: Sequence[Finding]) -> None:
    """Refuse a study that cannot be adopted. Raises StudyError with all reasons."""
    reasons = [one.text for one in found if one.refuses]
    if reasons:
        raise StudyError(
            f"study {name!r} cannot be adopted; nothing was written:",
            *(f"  {reason}" for reason in reasons),
        )


def adopt(
    store: Store,
    name: str,
    definition: StudyDefinition,
    tokens: "Tokens",
    code: Mapping[str, str],
) -> None:
    """Write the record of a study that another program made, and nothing else.

    Args:
        name: of the study.
        definition: that it is gone on with.
        tokens: of its text.
        code: digests of the user's own functions, see tuning.custom_code.

    Raises:
        StudyError: it cannot be adopted; says why.
    """

    def check(rows: StudyRows) -> None:
        refuse(name, list(_findings(store, rows, definition)))

    # nobody knows what the first trials ran on
    adopt_study(store, name, new_record(definition, tokens, code, {}), check)


def _findings(
    store: Store, rows: StudyRows, definition: StudyDefinition | None
) -> Iterator[Finding]:
    yield from _whose(store, rows)
    yield from _directions(rows, definition)
    yield from _trials(store, rows)
    yield from _attributes(rows.trials)
    yield from _parameters(rows.trials)
    if definition is not None:
        yield from _points(rows.trials, definition)
        yield from _distributions(rows.trials, definition)
        yield from _missing(rows.trials, definition)
        if rows.trials:
            yield Finding(
                text="text, network and training of its trials: taken to be the definition's, "
                "nobody can check it"
            )


def _whose(store: Store, rows: StudyRows) -> Iterator[Finding]:
    """Say whose study it is."""
    _, unread = StudyRecord.look(rows.user_attrs)
    name = rows.name
    if StudyRecord.parse(name, rows.user_attrs) is not None:
        typed = f"`cvfp-opt run --study-name {quoted(name)}{store.location.option}`"
        yield Finding(text=f"it is a study of cvfp-opt already: type {typed}", refuses=True)
    elif unread is Unread.MIRROR:
        yield Finding(text="it is a mirror of another study: adopt that one", refuses=True)
    elif CONFIRMS in rows.user_attrs:
        yield Finding(text="it is a confirmation of another study", refuses=True)
    else:
        yield Finding(text="record: none, another program made it")
    try:
        check_new_name(name)
    except StudyError as error:
        typed = f"`cvfp-opt study rename{store.location.option} {positional(name)} NAME`"
        yield Finding(text=f"{error}; type {typed}", refuses=True)


def _directions(rows: StudyRows, definition: StudyDefinition | None) -> Iterator[Finding]:
    got = listed(direction.name.lower() for direction in rows.directions)
    possible = (1, 2, 3) if definition is None else (definition.objective.num_objectives,)
    wanted = "one to three objectives" if definition is None else objectives_words(*possible)
    maximized = all(one is StudyDirection.MAXIMIZE for one in rows.directions)
    if len(rows.directions) not in possible or not maximized:
        text = f"objectives: {wanted}, maximized, required, got {got}"
        yield Finding(text=text, refuses=True)
    else:
        yield Finding(text=f"objectives: {got}")


def _trials(store: Store, rows: StudyRows) -> Iterator[Finding]:
    """Count the trials, and name those that run."""
    counts = [
        f"{count} {state.name.lower()}"
        for state in TrialState
        if (count := sum(trial.state is state for trial in rows.trials))
    ]
    yield Finding(text=f"trials: {', '.join(counts) or 'none'}")
    of = f"--study-name {quoted(rows.name)}{store.location.option}"
    for trial in rows.trials:
        if trial.state is TrialState.RUNNING:
            yield Finding(
                text=f"trial {trial.number} runs: let it end, or if nobody runs it, type "
                f"`cvfp-opt trial fail {trial.number} {of}`",
                refuses=True,
            )
    # a third objective is no rate
    values = [one for trial in rows.trials for one in (trial.values or [])[:2]]
    if values and not all(0.0 <= one <= 1.0 for one in values):
        yield Finding(
            text=f"values: from {min(values):g} to {max(values):g}; those of cvfp-opt lie from 0 "
            "to 1, are these the same?"
        )


def _attributes(trials: Sequence[FrozenTrial]) -> Iterator[Finding]:
    """Say how many trials have what a search of ours records."""
    ended = [trial for trial in trials if trial.state.is_finished()]
    complete = [trial for trial in ended if trial.state is TrialState.COMPLETE]
    read = {trial.number: TrialRecord.of(trial) for trial in ended}
    kinds: list[tuple[str, Sequence[FrozenTrial], Callable[[FrozenTrial], Any], str]] = [
        (
            "identity",
            trials,
            lambda trial: TrialIdentity.read(trial.system_attrs.get(IDENTITY_KEY)),
            "that of the others follows from study and number",
        ),
        (
            "iterations",
            ended,
            lambda trial: read[trial.number].iterations,
            "the others cannot be compared by the pruner asha",
        ),
        (
            "audit",
            complete,
            lambda trial: read[trial.number].audit,
            "nobody can tell whether to believe the others",
        ),
        (
            "digest of the weights",
            complete,
            lambda trial: read[trial.number].environment.get("weights_digest"),
            "the others cannot be replayed",
        ),
    ]
    for name, asked, has, without in kinds:
        count = sum(bool(has(trial)) for trial in asked)
        if asked:
            more = f"; {without}" if count < len(asked) else ""
            yield Finding(text=f"{name}: {count} of {len(asked)} trials{more}")


def _parameters(trials: Sequence[FrozenTrial]) -> Iterator[Finding]:
    """List the parameters, and those that no definition can have."""
    found = _by_name(trials)
    for name, distributions in found.items():
        known = name in LIMITS or name.partition("[")[0] in SETTINGS
        drawn = _in_words(dict.fromkeys(distributions))
        if known:
            text = f"parameter {name}: in {len(distributions)} of {len(trials)} trials, {drawn}"
            yield Finding(text=text)
        else:
            text = f"parameter {listed([name], longest=60)}: no definition has one of that name"
            yield Finding(text=text, refuses=True)


def _points(trials: Sequence[FrozenTrial], definition: StudyDefinition) -> Iterator[Finding]:
    """Find parameters that are no point of a definition's space."""
    space, found = definition.space.to_dict(), defaultdict[str, list[int]](list)
    for trial in trials:
        for name, why in strangers(space, trial.params):
            found[f"{listed([name], longest=60)}: {why}"].append(trial.number)
    for what, numbers in found.items():
        several = "s" if len(numbers) > 1 else ""
        yield Finding(text=f"trial{several} {listed(numbers)}: {what}", refuses=True)


def _distributions(
    trials: Sequence[FrozenTrial], definition: StudyDefinition
) -> Iterator[Finding]:
    """Compare what parameters were drawn from with what the definition draws from."""
    own = definition.space.distributions()
    for name, distributions in _by_name(trials).items():
        if name not in own:
            continue
        others = [one for one in dict.fromkeys(distributions) if one != own[name]]
        if not others:
            continue
        theirs, ours = _in_words(others), _in_words([own[name]])
        try:
            for one in others:
                check_distribution_compatibility(one, own[name])
        except ValueError:
            text = f"{name}: drawn from {theirs}, the definition has {ours}"
            yield Finding(text=f"{text}; Optuna cannot sample from both", refuses=True)
        else:
            yield Finding(text=f"{name}: drawn from {theirs} so far, from {ours} from now on")


def _missing(trials: Sequence[FrozenTrial], definition: StudyDefinition) -> Iterator[Finding]:
    """Find searched parameters that trials with a value lack: those could not be repeated."""
    with_value = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    for name in definition.space.searched:
        lacking = [trial.number for trial in with_value if name not in trial.params]
        if lacking:
            yield Finding(
                text=f"{name}: missing in {len(lacking)} of {len(with_value)} complete trials; "
                f"where it was fixed, add --set space.{name}=VALUE",
                refuses=True,
            )


def _in_words(distributions: Iterable[BaseDistribution]) -> str:
    """Write what parameters are drawn from: ``0.1 to 0.9``, ``0.001 to 0.1 (log)``, ``a | b``."""
    return listed(map(_range, distributions), most=2, longest=200)


def _range(distribution: BaseDistribution) -> str:
    if isinstance(distribution, FloatDistribution | IntDistribution):
        log = " (log)" if distribution.log else ""
        return f"{distribution.low:g} to {distribution.high:g}{log}"
    if isinstance(distribution, CategoricalDistribution):
        return " | ".join(map(str, distribution.choices))
    return str(distribution)


def _by_name(trials: Sequence[FrozenTrial]) -> dict[str, list[BaseDistribution]]:
    found = defaultdict[str, list[BaseDistribution]](list)
    for trial in trials:
        for name, distribution in trial.distributions.items():
            found[name].append(distribution)
    return dict(found)
