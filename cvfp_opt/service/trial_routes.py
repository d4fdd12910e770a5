"""Trials of a study: listed, shown, enqueued."""

from http import HTTPStatus
from typing import Annotated, Any, Literal, TypedDict
from urllib.parse import urlencode

from cvfp_opt.api import changing
from cvfp_opt.errors import DefinitionError, StudyMissing
from cvfp_opt.escaping import excerpt
from cvfp_opt.report.best import best_json
from cvfp_opt.report.trial import trial_json, trials_json
from cvfp_opt.service.reading import Between
from cvfp_opt.service.route import Answer, Call

_MOST, _MOST_PARAMS = 1000, 100
_SOURCES = ("params", "retry", "best_of")


class TrialsQuery(TypedDict, total=False):
    """Which trials to list.

    Attributes:
        after: those with a larger number; -1 for all.
        limit: at most so many; 100 where nothing is said.
        state: those in this state; repeatable.
    """

    after: Annotated[int, Between(-1, 10**9 - 1)]
    limit: Annotated[int, Between(1, _MOST)]
    state: list[Literal["complete", "pruned", "fail", "running", "waiting"]]


class EnqueueBody(TypedDict, total=False):
    """Trials to enqueue: one of params, retry and best_of.

    Attributes:
        params: a point, by the parameters' names; the sampler chooses what it leaves out.
        retry: number of a finished trial, whose point is to be repeated with other seeds.
        best_of: name of another study, whose best points are taken.
        top: how many of its points; 5 where nothing is said.
        clip: move its numbers into the ranges here.
        ignore: leave out parameters that are unknown here.
    """

    params: dict[str, Any]
    retry: int
    best_of: str
    top: int
    clip: bool
    ignore: bool


def list_trials(call: Call) -> Answer:
    """List the trials of a study, by number; the header Link leads to the next ones."""
    after, limit = call.query.get("after", -1), call.query.get("limit", 100)
    states = call.query.get("state", ())
    summary = call.summary()
    found = [
        trial
        for trial in summary.trials
        if trial.number > after and (not states or trial.state in states)
    ]
    shown = found[:limit]
    headers: tuple[tuple[str, str], ...] = ()
    if len(found) > limit:
        query = {"after": shown[-1].number, "limit": limit, "state": list(states)}
        link = f'<{call.target}?{urlencode(query, doseq=True)}>; rel="next"'
        headers = (("Link", link),)
    return Answer(value=trials_json(summary, shown), headers=headers)


def show_trial(call: Call) -> Answer:
    """Show a trial: parameters, every pass, metrics, audit, what it ran on."""
    word = call.words["number"]
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise StudyMissing(f"the number of a trial is required, got {excerpt(word, 40)!r}")
    summary = call.summary()
    return Answer(value=trial_json(summary, summary.trial(int(word))))


def show_best(call: Call) -> Answer:
    """Show the best trial, and whether to believe it."""
    return Answer(value=best_json(call.summary()))


def enqueue_trials(call: Call) -> Answer:
    """Enqueue trials at points of your choice; the next free worker runs them."""
    body = call.body
    given = [key for key in _SOURCES if key in body]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise DefinitionError(f"one of {', '.join(_SOURCES)} is required, got {got}")
    if not 1 <= body.get("top", 1) <= _MOST:
        raise DefinitionError(f"top: from 1 to {_MOST} is required, got {body['top']}")
    if (count := len(body.get("params", {}))) > _MOST_PARAMS:
        raise DefinitionError(f"params: at most {_MOST_PARAMS} are required, got {count}")
    call.require_study()
    source = None
    if "best_of" in body:
        other = {"name": body["best_of"]}
        source = Call(desk=call.desk, rights=call.rights, words=other).summary()
    added = changing.enqueue(
        call.desk.location,
        call.study,
        settings=changing.settings_of(body.get("params", {})),
        source=source,
        top=body.get("top", 5),
        clip=body.get("clip", False),
        ignore=body.get("ignore", False),
        retry=body.get("retry"),
    )
    new = any(one.new for one in added.trials)
    return Answer(value=added.to_dict(), status=HTTPStatus.CREATED if new else HTTPStatus.OK)
