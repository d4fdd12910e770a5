"""Submitting a study over HTTP: a definition that was sent, and what is wanted of the study."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypedDict, cast

from cvfp_opt.api.plan import Plan, define
from cvfp_opt.api.submitting import submit_request
from cvfp_opt.api.wishes import Wishes
from cvfp_opt.errors import DefinitionError, StudyError, StudyMissing, nearest
from cvfp_opt.escaping import excerpt, listed
from cvfp_opt.report.dashboard.replies import Reply
from cvfp_opt.service.route import Answer, Call, Refusal, refuse, require_covered
from cvfp_opt.store.record.studies import check_new_name
from cvfp_opt.store.record.tokens import Rights, Scope
from cvfp_opt.tuning.custom_code import foreign_names
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import builtin_definitions
from cvfp_opt.tuning.plan import DEFAULT_DEFINITION, Request
from cvfp_opt.tuning.typed_values import read_toml


class WishesBody(TypedDict, total=False):
    """What is wanted of a study; null for no limit.

    Attributes:
        n_trials: trials of the study in all.
        priority: the studies of the highest priority are served first; 0 where nothing is said.
        weight: share of the workers among studies of one priority; 1 where nothing is said.
        max_workers: workers that may run its trials at once; 1 keeps proposals repeatable.
        budget_hours: hours that its trials may take together.
        max_failed: failed trials after which no further one begins.
        until: time after which no trial begins, as 2027-01-31T18:00.
        tags: words to find it by.
    """

    n_trials: int
    priority: int
    weight: float
    max_workers: int | None
    budget_hours: float | None
    max_failed: int | None
    until: str | None
    tags: list[str]


class SubmissionBody(TypedDict, total=False):
    """A study definition, and what is wanted of the study.

    Attributes:
        definition: name of a definition that comes with the package; "recommended" where nothing
            is said.
        toml: text of a definition, instead.
        sections: sections of a definition, instead.
        set: values in the place of the definition's, by ``section.key``.
    """

    definition: str
    toml: str
    sections: dict[str, dict[str, Any]]
    set: dict[str, Any]


Submission = Annotated[dict[str, Any], SubmissionBody, WishesBody]

_SOURCES = ("definition", "toml", "sections")
# Characters of a definition's text: the longest one of the package has 9 thousand, and reading
# takes time with the square of what dotted keys have (this long: 1 s).
_LONGEST = 1 << 14
# Those of all losses and schedules are fewer than a hundred.
_MOST_CHOICES = 1000


def submit(call: Call) -> Answer:
    """Submit a study, for workers to run.

    Sent again it changes nothing. A study of that name that is another, or of which another thing
    is wanted, stays as it is. Its owner is the name of the token.
    """
    require_covered(call.rights, call.study)
    try:
        check_new_name(call.study)
    except StudyError as error:
        error_class = type(error).__name__
        raise Refusal(
            Reply(status=HTTPStatus.BAD_REQUEST, text=str(error), error=error_class)
        ) from None
    body = dict(call.body)
    plan = _plan(body)
    _refuse_foreign(plan.definition, call.rights)
    wishes = {key: body[key] for key in WishesBody.__annotations__ if key in body}
    request = Request(definition=plan.name, sections=plan.to_dict(), study_name=call.study)
    try:
        done = submit_request(
            call.desk.location, request, cast("Wishes", wishes | {"owner": call.rights.name})
        )
    except StudyMissing as error:  # one of another name, which the database takes for this one
        if call.rights.studies:
            raise StudyError(f"{call.study!r}: the database takes it for another name") from None
        raise StudyError(str(error)) from None
    return Answer(
        value=done.to_dict(),
        status=HTTPStatus.CREATED if done.created else HTTPStatus.OK,
        version=done.entry.version,
    )


def _plan(body: dict[str, Any]) -> Plan:
    """Read the definition that was sent."""
    given = [key for key in _SOURCES if key in body]
    if len(given) > 1:
        raise DefinitionError(
            f"one of {', '.join(_SOURCES)} is required, got {' and '.join(given)}"
        )
    name = body.get("definition", DEFAULT_DEFINITION)
    if "toml" in given:
        if len(body["toml"]) > _LONGEST:
            raise DefinitionError(
                f"toml: at most {_LONGEST} characters are taken, got {len(body['toml'])}"
            )
        sections = read_toml(body["toml"], "toml")
        _refuse_many(sections, body.get("set", {}))
        plan = define(sections)
    elif "sections" in given:
        _refuse_many(body["sections"], body.get("set", {}))
        plan = define(body["sections"])
    elif name in (known := builtin_definitions()):
        _refuse_many({}, body.get("set", {}))
        plan = define(name)
    else:
        raise DefinitionError(
            f"definition: one that comes with the package is required, got {excerpt(name)!r}; "
            f"{nearest(name, known)}; send another one as toml or sections"
        )
    return plan.set(body["set"]) if body.get("set") else plan


def _refuse_many(sections: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse more choices than there can be: reading a definition tries all their combinations."""
    space = sections.get("space", {})
    lists = [*space.values()] if isinstance(space, Mapping) else []
    lists += [value for key, value in settings.items() if key.startswith("space.")]
    choices = math.prod(len(one) for one in lists if isinstance(one, list))
    if choices > _MOST_CHOICES:
        raise DefinitionError(
            f"space: at most {_MOST_CHOICES} combinations of choices are taken over HTTP, got "
            f"{choices}"
        )


def _refuse_foreign(definition: StudyDefinition, rights: Rights) -> None:
    """Refuse what would have the server run code, or read files or the hub, for a stranger."""
    names = [name for found in foreign_names(definition).values() for name in found]
    if names:
        raise DefinitionError(
            f"{listed(names)}: code is not taken over HTTP; where it is installed, type "
            "`cvfp-opt submit` with this definition"
        )
    own = definition.data.source == "embedded" and definition.embedding.source == "random"
    if not own and not rights.may(Scope.ADMIN):
        raise refuse(
            HTTPStatus.FORBIDDEN,
            "data and embedding: what comes with the package is required (data.source embedded, "
            f"embedding.source random), got {definition.data.source} and "
            f"{definition.embedding.source}: to have the server read files, or the hub, the token "
            f"needs the scope `{Scope.ADMIN.value}`",
        )
