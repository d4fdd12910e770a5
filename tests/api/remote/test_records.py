"""Records made of JSON are those that the JSON was made from."""

import json
from dataclasses import asdict
from typing import Any

import known_studies
import pytest
from known_studies import STUDIES

from cvfp_opt.api.remote.records import confirmation, numbers, study_summary, trial_record
from cvfp_opt.report.compare import compare_studies
from cvfp_opt.report.confirmation import confirmation_of
from cvfp_opt.report.json_text import json_text
from cvfp_opt.report.judgement import judge
from cvfp_opt.report.rows import to_csv
from cvfp_opt.report.status import status_json
from cvfp_opt.report.trial import trials_json
from cvfp_opt.report.trial_list import trial_rows
from cvfp_opt.store.record.queue_entry import QueueEntry, QueueState


def sent(value: Any) -> Any:
    return json.loads(json_text(value))


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_and_its_trials(name: str) -> None:
    summary = STUDIES[name]()
    trials = [trial_record(one) for one in sent(trials_json(summary, summary.trials))]
    assert repr(trials) == repr(summary.trials)  # NaN is not NaN
    found = study_summary(sent(status_json(summary)), trials)
    assert (found.name, found.url) == (summary.name, summary.url)
    if summary.record is None:
        assert found.record is None
    else:  # in memory its definition has tuples
        assert sent(asdict(found.record)) == sent(asdict(summary.record))
    assert (found.directions, found.queue) == (summary.directions, summary.queue)
    assert found.unread == summary.unread
    assert [one.number for one in found.ranking] == [one.number for one in summary.ranking]
    for sort in (None, "seconds"):
        rows, known = trial_rows(found, sort=sort), trial_rows(summary, sort=sort)
        assert to_csv(rows.columns, rows.rows) == to_csv(known.columns, known.rows)


def test_a_confirmation() -> None:
    summary = known_studies.confirmed()
    known = confirmation_of(summary)
    assert known is not None
    found = confirmation(sent(known.to_dict()))
    assert found == known
    assert found.to_dict() == known.to_dict()
    assert (found.optimism, found.expected_optimism) == (known.optimism, known.expected_optimism)
    assert repr(found) == repr(known)
    assert confirmation(None) is None


def test_a_confirmed_study_is_judged_as_where_it_is() -> None:
    known = known_studies.confirmed()
    assert known.confirmation is not None
    trials = [trial_record(one) for one in sent(trials_json(known, known.trials))]
    runs = [trial_record(sent(one.to_dict())) for one in known.confirmation.trials]
    found = study_summary(sent(status_json(known)), trials, runs)
    assert judge(found) == judge(known)
    assert confirmation_of(found) == confirmation_of(known)
    small = known_studies.small()
    assert compare_studies(found, small).figures == compare_studies(known, small).figures


def test_a_place_in_the_queue() -> None:
    entry = QueueEntry(
        state=QueueState.PAUSED,
        total=7,
        priority=-2,
        weight=0.5,
        max_workers=3,
        max_seconds=5400.0,
        max_failed=9,
        until=1.9e9,
        owner="me",
        tags=("a", "b"),
        submitted=1.8e9,
        version=4,
    )
    assert QueueEntry.from_words(sent(entry.in_words())) == entry
    assert QueueEntry.from_words(sent(QueueEntry().in_words())) == QueueEntry()


def test_only_words_for_numbers_become_numbers() -> None:
    assert numbers({"a": ["Infinity", "nan", "x", 1, None, True]}) == {
        "a": [float("inf"), "nan", "x", 1, None, True]
    }
    record = trial_record({"number": 0, "state": "fail", "reason": "NaN", "value": "-Infinity"})
    assert (record.reason, record.value) == ("NaN", float("-inf"))
    assert trial_record({"number": 0, "state": "waiting", "newer": 1}).number == 0
