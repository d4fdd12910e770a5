"""Retries: chains of trials that repeat one point."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from cvfp_opt.store.record.identity import derived_uuid
from cvfp_opt.store.record.records import TrialRecord

# Retries of a point by hand, beyond its first trial.
MAX_RETRIES = 3


def uuid_of(trial: TrialRecord, study: str) -> str:
    """Get a trial's uuid, derived with ``StudyRecord.identity`` if it was given none."""
    return str(trial.identity.get("uuid") or derived_uuid(f"{study}/{trial.number}"))


def retry_chain(trials: Sequence[TrialRecord], study: str, number: int) -> list[int]:
    """List a trial's chain by ascending numbers: the first of its point, and all its retries.

    Args:
        trials: all of the study.
        study: ``StudyRecord.identity``.
        number: of the trial.
    """
    return retry_chains(trials, study)[number]


def retry_chains(trials: Sequence[TrialRecord], study: str) -> dict[int, list[int]]:
    """List the chain of each trial, by its number; see ``retry_chain``."""
    before = {uuid_of(trial, study): _repeats(trial.identity) for trial in trials}
    chains: defaultdict[str, list[int]] = defaultdict(list)
    first = {trial.number: _first(uuid_of(trial, study), before) for trial in trials}
    for number, root in first.items():
        chains[root].append(number)
    return {number: chains[root] for number, root in first.items()}


def _repeats(identity: Mapping[str, Any]) -> str:
    return str(identity.get("retry_of") or "")


def _first(uuid: str, before: Mapping[str, str]) -> str:
    """Find the first trial of a chain, which a missing one, after a merge, ends."""
    seen = {uuid}
    while (earlier := before.get(uuid, "")) and earlier not in seen:
        seen.add(earlier)
        uuid = earlier
    return uuid
