"""Retries: chains of trials that repeat one point."""

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
    uuids = [uuid_of(trial, study) for trial in trials]
    before = {uuid: _repeats(trial.identity) for uuid, trial in zip(uuids, trials, strict=True)}
    chains: dict[str, list[int]] = {}
    found = {}
    for uuid, trial in zip(uuids, trials, strict=True):
        chain = found[trial.number] = chains.setdefault(_first(uuid, before), [])
        chain.append(trial.number)
    return found


def _repeats(identity: Mapping[str, Any]) -> str:
    return str(identity.get("retry_of") or "")


def _first(uuid: str, before: Mapping[str, str]) -> str:
    """Find the first trial of a chain, which a missing one, after a merge, ends."""
    seen = {uuid}
    while (earlier := before.get(uuid, "")) and earlier not in seen:
        seen.add(earlier)
        uuid = earlier
    return uuid
