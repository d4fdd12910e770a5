"""The guard of a study: what a worker adds to it has to belong there.

What differs falls into one of the levels of ``record.differences``: silent or recorded, said in a
line, or refused unless ``--allow-drift`` is typed. docs/drift.md is the user's account.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.distributions import check_distribution_compatibility
from optuna.trial import FrozenTrial

from cvfp_opt.errors import StudyError
from cvfp_opt.escaping import quoted
from cvfp_opt.store.record.definition_sections import completed, with_changes
from cvfp_opt.store.record.differences import (
    Difference,
    changing_numbers,
    differences,
    in_words,
    refused,
)
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.tuning.custom_code import foreign_names
from cvfp_opt.tuning.definition import LOCATED, StudyDefinition
from cvfp_opt.tuning.typed_values import shown

if TYPE_CHECKING:
    from cvfp_opt.training.data import Tokens


def facts_of_record(record: StudyRecord) -> dict[str, Any]:
    """Collect what a study was created with, as ``differences`` takes it."""
    definition = StudyDefinition.from_dict(completed(record.definition))
    return {
        **record.environment,
        "definition": definition.flat(),
        "data": record.data_digest,
        "embedding": record.sources.get("embedding", {}).get("digest"),
        "code": record.code,
    }


def facts(
    definition: StudyDefinition,
    tokens: "Tokens",
    code: Mapping[str, str],
    environment: StoredEnvironment,
) -> dict[str, Any]:
    """Collect what a worker brings, as ``differences`` takes it."""
    return {
        **environment,
        "definition": definition.flat(),
        "data": tokens.digest,
        "embedding": tokens.sources["embedding"].get("digest"),
        "code": dict(code),
    }


def drift_lines(found: Sequence[Difference]) -> list[str]:
    """Say in a line what may change numbers, and in another one what was allowed."""
    allowed, lines = refused(found), []
    if numbers := changing_numbers(found):
        lines.append(
            f"numbers may differ from those of the study's first worker: {in_words(numbers)}"
        )
    if allowed:
        names = ", ".join(one.name for one in allowed)
        lines.append(f"drift allowed, and recorded in the study for ever: {names}")
    return lines


def with_drift(
    environment: StoredEnvironment,
    found: Sequence[Difference],
    definition: StudyDefinition,
    tokens: "Tokens",
) -> StoredEnvironment:
    """Add to a worker's environment what it does differently, if that was allowed.

    ``drift`` holds the digests, the differing keys with their values, and, where the text or the
    embeddings differ, where these lie: enough to repeat the trial, see ``definition_of``.
    """
    allowed = refused(found)
    if not allowed:
        return environment
    drift: dict[str, Any] = {
        "definition_digest": definition.digest(),
        "data_digest": tokens.digest,
        "keys": {one.key: one.ours for one in allowed},
    }
    if any(one.key in ("data", "embedding") for one in allowed):
        sections = definition.to_dict()
        places = (key.partition(".") for key in LOCATED)
        drift["located"] = {f"{s}.{key}": sections[s][key] for s, _, key in places}
    return {**environment, "drift": drift}


def with_point_changes(
    definition: StudyDefinition,
    tokens: "Tokens",
    environment: StoredEnvironment,
    changes: Mapping[str, Any],
) -> tuple[StudyDefinition, "Tokens", StoredEnvironment]:
    """Change some keys of a definition; return it, its tokens, and the environment of its trials.

    Args:
        definition, tokens, environment: of the worker.
        changes: see ``with_changes``; the environment records them, as ``with_drift`` does.

    Raises:
        StudyError: they name code that the definition does not, and that nobody has allowed.
        DataError: they mean another part of the text, and that cannot be read.
    """
    sections = definition.without_first_points().to_dict()  # its space may be another
    other = StudyDefinition.from_dict(with_changes(sections, changes))
    known, named = foreign_names(definition), foreign_names(other)
    added = [n for key, names in named.items() for n in names if n not in known.get(key, ())]
    if added:
        raise StudyError(
            f"a trial names code that its study does not: {', '.join(added)}; it is not run"
        )
    keys = {f"definition.{key}": value for key, value in changes.items()}
    if other.data != definition.data:
        tokens = other.load_tokens()
        keys["data"] = tokens.digest
    drift = {"definition_digest": other.digest(), "data_digest": tokens.digest, "keys": keys}
    return other, tokens, {**environment, "drift": drift}


def refuse_drift(
    study: str,
    found: Sequence[Difference],
    definition: StudyDefinition,
    option: str,
    *,
    mendable: bool = True,
) -> None:
    """Refuse differences that were not allowed.

    Args:
        study: its name.
        found: differences between the study and what is asked for.
        definition: that is asked for.
        option: ``Location.option`` of the database.
        mendable: whether to start another study, or to go on all the same, is possible: not where
            the study's own trials are run again.

    Raises:
        StudyError: there is a difference of level REFUSED; says how to go on.
    """
    another = f"--study-name {quoted(f'{study}-2')}"
    allow = "or go on all the same, which the study will tell for ever: --allow-drift"
    if other := [one for one in refused(found) if _section(one) == "definition"]:
        lines = (
            f"  {one.name}: the study has {shown(one.theirs)}, you asked for {shown(one.ours)}"
            for one in other
        )
        raise StudyError(
            f"study {study!r} was created with another definition:",
            *lines,
            f"Either start another study:  {another}",
            "or go on with the study's own definition:  "
            f"cvfp-opt run --study-name {quoted(study)}{option}",
            allow,
        )
    ways = f", start another study with {another}, {allow}" if mendable else ""
    refuse_sources(found, definition, subject=f"study {study!r}", ways=ways)


def refuse_sources(
    found: Sequence[Difference],
    definition: StudyDefinition,
    *,
    subject: str,
    made: str = "was created",
    ways: str = "",
) -> None:
    """Refuse another text, other embeddings or other code than a study or trial was made with.

    Args:
        found: differences between its record and what is there now.
        definition: says where text and embeddings lie now.
        subject: the study or trial, by name.
        made: its predicate.
        ways: what else can be done about it than to restore what it was made with.

    Raises:
        StudyError: there is such a difference of level REFUSED.
    """
    embeddings = definition.embedding.path or definition.embedding.hub
    restore = "give its own with --set embedding.path=PATH" if ways else "restore its own there"
    kinds = {
        "data": (
            "another text: its tokens",
            definition.data.place,
            "give its own with --data PATH",
        ),
        "embedding": ("other embeddings: its own", embeddings, restore),
    }
    for one in refused(found):
        theirs, ours = _short(one.theirs), _short(one.ours)
        if (section := _section(one)) in kinds:
            other, place, mend = kinds[section]
            raise StudyError(
                f"{subject} {made} with {other} have the digest {theirs}, those of {place} have "
                f"{ours}; {mend}{ways}"
            )
        if section == "code":
            raise StudyError(
                f"the file of {one.name} is not the one that {subject} {made} with (digest "
                f"{theirs}, now {ours}); restore it{ways}"
            )


def disagreements(first: StudyRecord, other: StudyRecord) -> list[str]:
    """Say in a line each what keeps trials of two studies out of one; their seeds do not."""
    sources = {"data": "the text", "embedding": "the embeddings"}
    return [
        ("" if _section(one) == "definition" else "digest of ")
        + f"{sources.get(one.key, one.name)}: {json.dumps(one.ours)}, the first has "
        f"{json.dumps(one.theirs)}"
        for one in refused(differences(facts_of_record(first), facts_of_record(other)))
        if one.key != "definition.search.seed"
    ]


def refuse_unmixable(
    study: str,
    record: StudyRecord,
    definition: StudyDefinition,
    option: str,
    trials: Sequence[FrozenTrial] = (),
) -> None:
    """Refuse trials that no study can hold beside its own, allowed or not.

    Args:
        study, definition, option: see ``refuse_drift``.
        record: of the study.
        trials: of the study; an earlier drift may have given them other distributions.

    Raises:
        StudyError: two kinds of objective, two seeds, or a parameter with other choices or of
            another kind, which Optuna cannot sample from together.
    """
    frozen = StudyDefinition.from_dict(completed(record.definition))
    found = [
        f"{name}: the study has {shown(theirs)}, you asked for {shown(ours)}; {why}"
        for name, theirs, ours, why in (
            (
                "objective.kind",
                frozen.objective.kind,
                definition.objective.kind,
                "one study has one number of objectives",
            ),
            (
                "search.seed",
                frozen.search.seed,
                definition.search.seed,
                "all that is random in a trial comes from the study's seed and its number",
            ),
        )
        if theirs != ours
    ]
    ours = definition.space.distributions()
    sampled = [frozen.space.distributions(), *(trial.distributions for trial in trials)]
    for name, theirs in (item for distributions in sampled for item in distributions.items()):
        try:
            check_distribution_compatibility(theirs, ours.get(name, theirs))
        except ValueError:
            found.append(
                f"space.{name}: the study has {theirs}, you asked for {ours[name]}; "
                "Optuna cannot sample from both"
            )
    if found:
        another = f"--study-name {quoted(f'{study}-2')}"
        raise StudyError(
            f"study {study!r}: --allow-drift cannot allow this:",
            *(f"  {line}" for line in dict.fromkeys(found)),
            f"Start another study:  {another}, and to begin it with this one's best:  "
            f"cvfp-opt trial enqueue {another} --from-study {quoted(study)}{option}",
        )


def _section(difference: Difference) -> str:
    return difference.key.partition(".")[0]


def _short(digest: Any) -> str:
    return str(digest or "none")[:12]
