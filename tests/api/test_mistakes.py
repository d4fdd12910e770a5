"""Mistakes that users make: each is one sentence that names the value and what is required."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cvfp_opt as cv

Wrong = Callable[[cv.Study], Any]
MISTAKES: dict[str, tuple[Wrong, str]] = {
    "a number of workers": (
        lambda study: cv.search(study.plan(), workers=4),  # type: ignore[arg-type]
        "workers: a cvfp_opt.Workers is required, got int 4",
    ),
    "workers in words": (
        lambda study: cv.search(
            study.plan(),
            n_trials=5,
            storage="studies.db",
            workers=cv.Workers(n_jobs="2"),  # type: ignore[arg-type]
        ),
        "n_jobs: a whole number is required, got '2'",
    ),
    "limits as a dict": (
        lambda study: cv.search(study.plan(), limits={}),  # type: ignore[arg-type]
        "limits: a cvfp_opt.Limits is required, got dict",
    ),
    "a name that is none": (
        lambda study: cv.search(study.plan(), name=""),
        'name: a text is required, got ""',
    ),
    "a number as a name": (
        lambda study: cv.Study(5),  # type: ignore[arg-type]
        "name: a text is required, got 5",
    ),
    "a time before now": (
        lambda study: cv.search(study.plan(), timeout=-1),
        "timeout: seconds from 0 on are required, got -1",
    ),
    "a trial in words": (
        lambda study: study.trial("3"),  # type: ignore[arg-type]
        'number: a whole number is required, got "3"',
    ),
    "a trial from the end": (
        lambda study: study.trial(-1),
        "number: at least 0 is required, got -1",
    ),
    "no trial more": (
        lambda study: study.more(0),
        "n_trials: at least 1 is required, got 0",
    ),
    "a total in words": (
        lambda study: study.set(n_trials="+5"),  # type: ignore[arg-type]
        "n_trials: a whole number from 1 to 999999999, or nothing, is required, got '+5'",
    ),
    "a list of parameters": (
        lambda study: study.enqueue([0.5]),  # type: ignore[arg-type]
        "params: a dict of values by name is required, got [0.5]",
    ),
    "one fresh seed": (
        lambda study: study.confirm(seeds=1),
        "seeds: at least 2 is required, got 1",
    ),
    "thresholds of a number": (
        lambda study: cv.thresholds(5),  # type: ignore[arg-type]
        "a trial, a study or a folder is required, got int 5",
    ),
    "a range of three numbers": (
        lambda study: study.plan().searching(layernorm_mix=(0.1, 0.5, 0.9)),
        'space.layernorm_mix: (low, high) or (low, high, "log") is required',
    ),
    "a text that is not there": (
        lambda study: cv.define("quick", data="nope.txt"),
        "data: there is no file or folder nope.txt",
    ),
    "a text of two parts": (
        lambda study: study.best.load().contexts(["a", "b"]),  # type: ignore[arg-type]
        "text: one text is required, got list",
    ),
    "a limit in words": (
        lambda study: study.table(limit="3"),  # type: ignore[arg-type]
        'limit: a whole number is required, got "3"',
    ),
    "a number as a column": (
        lambda study: study.table(sort=5),  # type: ignore[arg-type]
        "sort: a text is required, got 5",
    ),
    "a number as a state": (
        lambda study: study.table(state=5),  # type: ignore[arg-type]
        "state: a text or a list of texts is required, got 5",
    ),
    "a trial to end in words": (
        lambda study: study.fail("3"),  # type: ignore[arg-type]
        'number: a whole number is required, got "3"',
    ),
    "a trial to repeat in words": (
        lambda study: study.enqueue(retry="0"),  # type: ignore[arg-type]
        'retry: a whole number is required, got "0"',
    ),
    "a point to be clipped": (
        lambda study: study.enqueue({"dist_reg_weight": 5.0}, clip=True),
        "clip and ignore are of the best points of another study",
    ),
    "a wait in words": (
        lambda study: study.wait(timeout="5"),  # type: ignore[arg-type]
        'timeout: seconds from 0 on are required, got "5"',
    ),
    "a number as a new name": (
        lambda study: study.rename(5),  # type: ignore[arg-type]
        "name: a text is required, got 5",
    ),
    "a number to open": (
        lambda study: cv.open(5),  # type: ignore[arg-type]
        "name: a text is required, got 5",
    ),
    "events of a number": (
        lambda study: cv.events(5),  # type: ignore[arg-type]
        "study: a text is required, got 5",
    ),
    "events after more than there can be": (
        lambda study: study.events(after=10**30),
        "after: at most 2147483647 is required, got 1000000000",
    ),
    "a number to submit as": (
        lambda study: cv.submit(study.plan(), name=5),  # type: ignore[arg-type]
        "name: a text is required, got 5",
    ),
    "days in words": (
        lambda study: cv.add_token("t", days="9"),  # type: ignore[arg-type]
        'days: a number is required, got "9"',
    ),
    "a number as scopes": (
        lambda study: cv.add_token("t", 5),  # type: ignore[arg-type]
        "scopes: a text or a list of texts is required, got 5",
    ),
    "no token": (
        lambda study: cv.revoke_token(None),  # type: ignore[arg-type]
        "name: a text is required, got null",
    ),
    "a number of artifacts": (
        lambda study: cv.doctor(artifacts=5),  # type: ignore[arg-type]
        "artifacts: a path or s3://BUCKET/PREFIX is required, got int",
    ),
    "a list of figures": (
        lambda study: study.plot([]),  # type: ignore[arg-type]
        "unknown figure []",
    ),
    "a list of keys": (
        lambda study: study.plan().set([]),  # type: ignore[arg-type]
        "section.key is required",
    ),
    "a text with a null byte": (
        lambda study: cv.define("quick", data="a\0b"),
        "data: a path is required, and this has a null byte",
    ),
    "an unknown wish": (
        lambda study: study.set(foo=1),  # type: ignore[call-arg]
        "foo: one of n_trials, priority, weight, max_workers, budget_hours,",
    ),
    "a wish by its inner name": (
        lambda study: study.set(total=9),  # type: ignore[call-arg]
        "total: one of n_trials, priority,",
    ),
    "passes in words": (
        lambda study: study.best.load().contexts("a b", passes="2"),  # type: ignore[arg-type]
        "passes: a whole number from 1 on is required, got '2'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(mistake: str, study: cv.Study) -> None:
    make, words = MISTAKES[mistake]
    before = Path("studies.db").stat().st_size
    with pytest.raises(cv.CvfpOptError, match=re.escape(words)) as refused:
        make(study)
    assert len(str(refused.value).splitlines()) == 1
    assert (len(study), Path("studies.db").stat().st_size) == (3, before)


def test_a_paused_study_shows_that_it_is(study: cv.Study) -> None:
    study.set(n_trials=9)
    study.pause()
    assert (study.state, study.total) == ("paused", 9)
    assert repr(study).endswith(", paused")
    assert "3 of 9: " in repr(study)
    assert "paused" in study._repr_html_()
    with pytest.raises(cv.StudyError, match="is paused: no trial begins in it"):
        list(study.more(1))
    study.resume()
    assert study.state == "open"
    study.cancel()
    assert study.state == "cancelled"


def test_more_never_lowers_the_total(study: cv.Study) -> None:
    study.set(n_trials=9)
    assert len(list(study.more(1, workers=cv.Workers(n_jobs=1)))) == 1
    assert study.total == 9
