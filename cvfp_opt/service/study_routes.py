"""Studies: listed, shown, changed, deleted."""

import time
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypedDict, cast

from cvfp_opt.api import changing
from cvfp_opt.api.wishes import Wishes, changes_of
from cvfp_opt.errors import DefinitionError
from cvfp_opt.report.dashboard.security_headers import REPORT
from cvfp_opt.report.status import status_json
from cvfp_opt.report.words import moment
from cvfp_opt.service.route import Answer, Call, refuse
from cvfp_opt.service.submissions import WishesBody
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.overview import read_queue
from cvfp_opt.store.record.links import Source, linked_studies
from cvfp_opt.store.record.queue_entry import QueueEntry
from cvfp_opt.store.record.studies import load_study, summarize
from cvfp_opt.store.record.tokens import Scope


class StudiesQuery(TypedDict, total=False):
    """Which studies to list.

    Attributes:
        tag: those with this word; repeatable, all must be there.
        owner: those of this owner.
        stage: those that stand so.
    """

    tag: list[str]
    owner: str
    stage: Literal["running", "waiting", "paused", "cancelled", "budget spent", "done", "no total"]


class ChangesBody(TypedDict, total=False):
    """What is to be different.

    Attributes:
        owner: whose study it is; for the scope ``admin``.
    """

    owner: str


Changes = Annotated[dict[str, Any], ChangesBody, WishesBody]


class PauseBody(TypedDict, total=False):
    """How to pause.

    Attributes:
        now: give running trials back, too; else they run on to their end.
    """

    now: bool


class DeletionQuery(TypedDict, total=False):
    """How to delete.

    Attributes:
        force: even if workers run it; they stop with an error.
    """

    force: bool


def list_studies(call: Call) -> Answer:
    """List the studies, but for mirrors and confirmations."""
    query = call.query
    rows = [row for row in summarize(call.desk.store.fresh()) if call.rights.covers(row.name)]
    if "tag" in query:
        rows = [row for row in rows if set(query["tag"]) <= set(row.queue.tags)]
    if "owner" in query:
        rows = [row for row in rows if row.queue.owner == query["owner"]]
    if "stage" in query:
        found = {one.name for one in read_queue(call.desk.store) if one.stage == query["stage"]}
        rows = [row for row in rows if row.name in found]
    return Answer(value=[row.to_dict() for row in rows])


def show_study(call: Call) -> Answer:
    """Show how far a study is, its best trials, and whether to believe them."""
    summary = call.summary()
    return Answer(value=status_json(summary), version=summary.queue.version)


def show_report(call: Call) -> Answer:
    """Show a study's report, one page that needs no network."""
    from cvfp_opt.report.page.content import content
    from cvfp_opt.report.page.render import render

    page = render(content(call.summary(), call.desk.location.option), moment(time.time()))
    return Answer(content=page.encode(), policy=REPORT)


def change_study(call: Call) -> Answer:
    """Change what is wanted of a study: all that is named, or nothing."""
    if not call.body:
        raise DefinitionError("nothing to change: n_trials, weight or another wish is required")
    if "owner" in call.body and not call.rights.may(Scope.ADMIN):
        text = f"owner: to change it the token needs the scope `{Scope.ADMIN.value}`"
        raise refuse(HTTPStatus.FORBIDDEN, text)
    changes = changes_of(cast("Wishes", dict(call.body)))
    return _controlled(call, partial(control.amend, changes=changes, version=call.version))


def pause_study(call: Call) -> Answer:
    """Let no further trial of a study begin."""
    now = call.body.get("now", False)
    return _controlled(call, partial(control.pause, now=now, version=call.version))


def resume_study(call: Call) -> Answer:
    """Let trials of a paused or cancelled study begin again."""
    return _controlled(call, partial(control.resume, version=call.version))


def cancel_study(call: Call) -> Answer:
    """Give a study's running trials back, and let none begin."""
    return _controlled(call, partial(control.cancel, version=call.version))


def delete_study(call: Call) -> Answer:
    """Delete a study with all its trials, mirrors and checkpoints; there is no way back."""
    store = call.desk.store
    study = load_study(store, call.require_study())
    control.require_version(study, QueueEntry.of(study.user_attrs), call.version)
    ids = [study_id_of(one) for one in linked_studies(store, Source.of_study(study))]
    changing.delete(
        call.desk.location,
        call.study,
        call.desk.artifacts,
        force=call.query.get("force", False),
    )
    call.desk.forget([study_id_of(study), *ids])
    return Answer(status=HTTPStatus.NO_CONTENT)


def _controlled(call: Call, act: Any) -> Answer:
    call.require_study()
    name, done = changing.control(call.desk.location, call.study, act)
    return Answer(value=done.to_dict(name), version=done.entry.version)
