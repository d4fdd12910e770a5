"""Records made of the JSON that a server sends, so that all reports can start from them."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from cvfp_opt.api.remote.connection import Connection
from cvfp_opt.api.required import require_whole
from cvfp_opt.report.confirmation import Confirmation, ConfirmationVerdict, Result
from cvfp_opt.report.json_text import NOT_FINITE
from cvfp_opt.report.statistics import Interval
from cvfp_opt.store.record.confirmation import (
    DEFAULT,
    UNTRAINED,
    ConfirmationPoint,
    Runs,
    confirmation_name,
)
from cvfp_opt.store.record.differences import AllowedDrift
from cvfp_opt.store.record.event import Event
from cvfp_opt.store.record.queue_entry import QueueEntry
from cvfp_opt.store.record.records import StudyRecord, TrialRecord, Unread
from cvfp_opt.store.record.summary import Summary

# fields of a trial's record whose texts are texts, whatever they say
_TEXTS = ("state", "status", "reason", "params", "environment", "identity", "run")


_NEWEST, _LONGEST = 50, 1000


def numbers(value: Any) -> Any:
    """Turn the words for what JSON has no number for into such numbers."""
    if isinstance(value, dict):
        return {key: numbers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [numbers(one) for one in value]
    return float(value) if isinstance(value, str) and value in NOT_FINITE else value


def trial_record(found: Mapping[str, Any]) -> TrialRecord:
    """Read a trial, as ``TrialRecord.to_dict`` wrote it; further keys are left out."""
    fields: dict[str, Any] = {}
    for field in TrialRecord.__dataclass_fields__:
        name = TrialRecord.JSON_NAMES.get(field, field)
        if name in found:
            fields[field] = found[name] if field in _TEXTS else numbers(found[name])
    fields["reported"] = {int(step): one for step, one in fields.get("reported", {}).items()}
    return TrialRecord(**fields)


def study_record(found: Mapping[str, Any] | None) -> StudyRecord | None:
    """Read a study's record; a newer server's may have keys that are unknown here."""
    if found is None:
        return None
    known = StudyRecord.__dataclass_fields__
    return StudyRecord(**{key: value for key, value in found.items() if key in known})


def study_summary(
    found: Mapping[str, Any], trials: Sequence[TrialRecord], runs: Sequence[TrialRecord] = ()
) -> Summary:
    """Make a summary of what a server says of a study.

    It lacks what is not sent: the distributions of parameters.

    Args:
        found: the JSON of the study.
        trials: all of them.
        runs: trials of its confirmation.
    """
    confirmed = found["confirmation"]
    note, name = found["note"], found["study_name"]
    unread = next((one for one in Unread if note.startswith(one.sentence)), None)
    source = name.removesuffix("/confirm")
    confirms = source if confirmation_name(source) == name and any(t.run for t in trials) else ""
    return Summary(
        name=name,
        url=found["storage"],
        record=study_record(found["record"]),
        trials=list(trials),
        directions=tuple(found["directions"]),
        unread=unread,
        drift=[AllowedDrift(**one) for one in found["drift"]],
        confirms=confirms,
        confirmation=None if confirmed is None else _runs(confirmed, runs),
        queue=QueueEntry.from_words(found["queue"]),
    )


def _runs(found: Mapping[str, Any], trials: Sequence[TrialRecord]) -> Runs:
    points = [_result(numbers(one)).point for one in found["results"]]
    return Runs(study=found["study_name"], points=points, trials=trials)


def confirmation(found: Mapping[str, Any] | None) -> Confirmation | None:
    """Read a confirmation, as ``Confirmation.to_dict`` wrote it."""
    if found is None:
        return None
    results = [_result(numbers(one)) for one in found["results"]]
    named = {result.point.key: result for result in results}
    trials = [one for one in results if one.point.trial is not None]
    winner = found["winner"]
    return Confirmation(
        study=found["study_name"],
        done=found["done"],
        total=found["total"],
        trials=trials,
        default=named.get(DEFAULT),
        untrained=named.get(UNTRAINED),
        winner=next((one for one in trials if one.point.trial == winner), None),
        spread=numbers(found["spread"]),
        num_searched=found["num_searched"],
        windows=found["windows"],
    )


def read_events(
    connection: Connection,
    *path: str,
    after: int | None,
    limit: int | None,
    wait: int = 0,
) -> list[Event]:
    """Ask for events, of a study or of all.

    Args:
        connection: with the server.
        path: of the study; nothing for all.
        after: id of the last one that is known; None for the newest ones.
        limit: how many at most; None for the newest 50, or for 1000 after one.
        wait: seconds to be kept waiting for one.
    """
    for key, value, least in (("after", after, 0), ("limit", limit, 1), ("wait", wait, 0)):
        if value is not None:
            require_whole(key, value, least)
    if after is not None:
        return _events(connection, path, after, min(limit or _LONGEST, _LONGEST), wait)
    newest: deque[Event] = deque(maxlen=limit or _NEWEST)
    last = 0
    while page := _events(connection, path, last, _LONGEST, 0 if newest else wait):
        newest.extend(page)
        last = page[-1].id
    return list(newest)


def _events(
    connection: Connection, path: tuple[str, ...], after: int, limit: int, wait: int
) -> list[Event]:
    query = {"after": after, "limit": limit} | ({"wait": wait} if wait else {})
    known = Event.__dataclass_fields__
    rows = connection.get(*path, "events", query=query).value
    return [Event(**{key: row[key] for key in known if key in row}) for row in rows]


def _result(found: Mapping[str, Any]) -> Result:
    point = {key: found[key] for key in ConfirmationPoint.__dataclass_fields__}
    return Result(
        point=ConfirmationPoint(**point),
        scores={int(seed): score for seed, score in found["scores"].items()},
        diverged=found["diverged"],
        score=_interval(found["score"]),
        difference=_interval(found["difference"]),
        gain=_interval(found["gain"]),
        verdict=ConfirmationVerdict(found["verdict"] or ConfirmationVerdict.OPEN),
    )


def _interval(found: Mapping[str, Any] | None) -> Interval | None:
    return None if found is None else Interval(**found)
