"""The guard at a join: whether a worker would add to a study what does not belong in it.

What differs has a level of ``record.differences``: silent or recorded, said in a
line, or refused unless ``--allow-drift`` is typed. docs/drift.md is the user's account.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import check_distribution_compatibility
from optuna.trial import FrozenTrial

from cvfp_opt.errors import StudyError
from cvfp_opt.escaping import quoted
from cvfp_opt.search.custom_code import foreign_names
from cvfp_opt.search.definition import LOCATED, StudyDefinition, shown
from cvfp_opt.store.record.definition_sections import completed, with_changes
from cvfp_opt.store.record.differences import Difference, Level
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.training.data import Tokens


def facts_of_record(record: StudyRecord) -> dict[str, Any]:
    """What a study was created with, as ``differences`` takes it."""
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
    tokens: Tokens,
    code: Mapping[str, str],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """What a worker brings, as ``differences`` takes it."""
    return {
        **environment,
        "definition": definition.flat(),
        "data": tokens.digest,
        "embedding": tokens.sources["embedding"].get("digest"),
        "code": dict(code),
    }


def refused(differences: Sequence[Difference]) -> list[Difference]:
    """Those that need to be allowed."""
    return [one for one in differences if one.level is Level.REFUSED]


def drift_lines(differences: Sequence[Difference]) -> list[str]:
    """What the user is told at a join: a line on numbers, a line on what was allowed."""
    numbers = [one for one in differences if one.level is Level.NUMBERS]
    allowed = refused(differences)
    lines = []
    if numbers:
        words = ", ".join(f"{one.name} {one.ours} (was {one.theirs})" for one in numbers)
        lines.append(f"numbers may differ from those of the study's first worker: {words}")
    if allowed:
        names = ", ".join(one.name for one in allowed)
        lines.append(f"drift allowed, and recorded in the study for ever: {names}")
    return lines


def marked(
    environment: Mapping[str, Any],
    differences: Sequence[Difference],
    definition: StudyDefinition,
    tokens: Tokens,
) -> dict[str, Any]:
    """The environment of a worker's trials: with what it does differently, if that was allowed.

    ``drift`` holds the digests, the differing keys with their values, and, where the text or the
    embeddings differ, where these lie: enough to repeat the trial, see ``definition_of``.
    """
    allowed = refused(differences)
    if not allowed:
        return dict(environment)
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


def changed(
    definition: StudyDefinition,
    tokens: Tokens,
    environment: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> tuple[StudyDefinition, Tokens, dict[str, Any]]:
    """A definition with some keys changed, its tokens, and the environment of a trial by it.

    Args:
        definition, tokens, environment: of the worker.
        changes: see ``with_changes``; the trial says so, as ``marked`` does.

    Raises:
        StudyError: they name code that the definition does not, and that nobody has allowed.
        DataError: they mean another part of the text, and that cannot be read.
    """
    other = StudyDefinition.from_dict(with_changes(definition.to_dict(), changes))
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
    differences: Sequence[Difference],
    definition: StudyDefinition,
    option: str,
    *,
    mendable: bool = True,
) -> None:
    """Refuse what was not allowed.

    Args:
        study: its name.
        differences: between the study and what is asked for.
        definition: that is asked for.
        option: ``Location.option`` of the database.
        mendable: whether another study, or to go on all the same, would be a way: not where the
            study's own trials are run again.

    Raises:
        StudyError: there is a difference of level REFUSED; says how to go on.
    """
    by_kind: dict[str, list[Difference]] = {}
    for one in refused(differences):
        by_kind.setdefault(one.key.partition(".")[0], []).append(one)
    another = f"--study-name {quoted(f'{study}-2')}"
    allow = "or go on all the same, which the study will tell for ever: --allow-drift"
    if found := by_kind.get("definition"):
        lines = (
            f"  {one.name}: the study has {shown(one.theirs)}, you asked for {shown(one.ours)}"
            for one in found
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
    for kind, own, mend in (
        ("data", definition.data.place, "give the study's own text with --data PATH"),
        (
            "embedding",
            definition.embedding.path or definition.embedding.hub,
            "give its own with --set embedding.path=PATH" if mendable else "restore its own there",
        ),
    ):
        for one in by_kind.get(kind, ()):
            raise StudyError(
                f"study {study!r} was created with {_KINDS[kind]} have the digest "
                f"{_short(one.theirs)}, those of {own} have {_short(one.ours)}; {mend}{ways}"
            )
    for one in by_kind.get("code", ()):
        raise StudyError(
            f"study {study!r}: the file of {one.name} has changed since the study was created "
            f"(digest {_short(one.theirs)}, now {_short(one.ours)}); restore it{ways}"
        )


_KINDS = {
    "data": "another text: its tokens",
    "embedding": "other embeddings: its own",
}


def refuse_unmixable(
    study: str,
    record: StudyRecord,
    definition: StudyDefinition,
    option: str,
    trials: Sequence[FrozenTrial] = (),
) -> None:
    """Refuse what no study can hold side by side, allowed or not.

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


def _short(digest: str | None) -> str:
    return (digest or "none")[:12]
