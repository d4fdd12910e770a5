"""Groups of trials that ran on the same, as far as it may change numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cvfp_opt.report.words import ranges
from cvfp_opt.store.record.differences import Difference, Level, differences, release
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.trial_attributes import StoredEnvironment

# A trial's environment leaves these out where they are the usual.
_USUAL = StoredEnvironment(lanes=1)
# Keys shown of every group; others are shown only where groups differ in them.
_ALWAYS = ("versions.torch", "device")
# Ranges of numbers shown of one group: workers side by side make many.
_RANGES = 6


@dataclass(frozen=True, kw_only=True)
class EnvironmentGroup:
    """Trials whose numbers can be compared to the last bit.

    Attributes:
        numbers: of the trials, ascending.
        environment: of the first of them.
    """

    numbers: list[int]
    environment: StoredEnvironment


def environment_groups(trials: Sequence[TrialRecord]) -> list[EnvironmentGroup]:
    """Group the trials that have run to an end by what they ran on; in order of their first."""
    found: list[EnvironmentGroup] = []
    for trial in trials:
        if not trial.environment:
            continue
        environment = _USUAL | trial.environment
        for group in found:
            if not _apart(group.environment, environment):
                group.numbers.append(trial.number)
                break
        else:
            found.append(EnvironmentGroup(numbers=[trial.number], environment=environment))
    return found


def groups_line(found: Sequence[EnvironmentGroup]) -> str:
    """Write all groups in one line; "" if there is nothing to tell apart."""
    if len(found) < 2:
        return ""
    first = found[0].environment
    keys = [*_ALWAYS]
    for group in found[1:]:
        keys += [one.key for one in _apart(first, group.environment)]
    places = {n: i for i, n in enumerate(sorted(n for s in found for n in s.numbers))}
    return "trials " + "; ".join(
        f"{_ranges(group.numbers, places)}: {_words(group.environment, keys)}" for group in found
    )


def _apart(theirs: StoredEnvironment, ours: StoredEnvironment) -> list[Difference]:
    return [one for one in differences(theirs, ours) if one.level > Level.HARMLESS]


def _ranges(numbers: Sequence[int], places: dict[int, int]) -> str:
    words = ranges(numbers, places)
    more = [f"... ({len(numbers)} trials)"] if len(words) > _RANGES else []
    return ", ".join([*words[:_RANGES], *more])


def _words(environment: Mapping[str, Any], keys: Sequence[str]) -> str:
    words = []
    for key in dict.fromkeys(keys):
        table, dot, name = key.partition(".")
        value = environment.get(table)
        if dot:
            value = value.get(name) if isinstance(value, dict) else None
        words += _word(name or key, value, version=table == "versions")
    return ", ".join(words)


def _word(name: str, value: Any, *, version: bool) -> list[str]:
    if name == "drift":
        changed = value.get("keys", {}) if isinstance(value, dict) else {}
        names = ", ".join(key.removeprefix("definition.") for key in changed)
        return [f"drift allowed in {names}"] if names else []
    if value is None:
        return []
    if version:
        return [f"{name} {release(value)}"]
    if name in ("device", "gpu"):
        return [str(value)]
    if name == "uncommitted":
        return ["uncommitted changes"] if value else []
    return [f"{name} {value}"]
