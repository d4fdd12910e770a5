"""The description of all routes as OpenAPI 3.1, made from their table and their types."""

import inspect
import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, get_type_hints

from cvfp_opt.api.schemas import ENTRIES, components
from cvfp_opt.report.dashboard.replies import API, ProblemJson
from cvfp_opt.report.json_schema import Schema, SchemaMaker
from cvfp_opt.service.reading import TAG, bounds
from cvfp_opt.service.route import JSON, Route
from cvfp_opt.version import __version__

_REFS = "#/components/schemas/"
_PROBLEM = "application/problem+json"
_ALWAYS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_WORDS: dict[str, Schema] = {
    "name": {
        "description": "Name of the study; a slash in it is written as %2F.",
        "schema": {"type": "string", "minLength": 1},
    },
    "number": {
        "description": "Number of the trial, from 0.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "worker": {
        "description": "Id of the worker, or as much of its beginning as names one alone.",
        "schema": {"type": "string", "minLength": 1},
    },
}
_IF_MATCH: Schema = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag of the study as it was looked at, or * for any. What counts is its "
    "version: that a trial has ended meanwhile changes nothing.",
    "schema": {"type": "string", "pattern": rf"^(?:\*|{TAG})$"},
}
_IF_NONE_MATCH: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "description": "An ETag: if nothing is different, 304 is answered.",
    "schema": {"type": "string"},
}
_ETAG: Schema = {"description": "What it is now.", "schema": {"type": "string"}}
_LINK: Schema = {
    "description": 'Where the next ones are, as <...>; rel="next"; none after the last.',
    "schema": {"type": "string"},
}


def openapi(routes: Sequence[Route], base: str = "") -> dict[str, Any]:
    """Describe routes.

    Args:
        routes: all of them; those of the interface are described.
        base: the path that a proxy has put before all others.
    """
    shown = [route for route in routes if route.path.startswith(API)]
    names = dict.fromkeys(route.gives for route in shown if isinstance(route.gives, str))
    schemas = components([name for name in names if name in ENTRIES], _REFS)
    answers, requests = SchemaMaker(_REFS), SchemaMaker(_REFS, closed=True)
    answers.of(ProblemJson)
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        described = _operation(route, answers, requests)
        paths.setdefault(route.path, {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cvfp-opt",
            "version": __version__,
            "description": "Submit studies, look at them, and control them. Whatever a command "
            "prints with --json, an answer here has the same form.",
        },
        "servers": [{"url": base or "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`cvfp-opt token add` makes one. On the server's own machine "
                    "none may be needed.",
                }
            },
            "schemas": schemas | answers.definitions | _plain_numbers(requests.definitions),
        },
    }


def _operation(route: Route, answers: SchemaMaker, requests: SchemaMaker) -> dict[str, Any]:
    text = inspect.getdoc(route.answer) or ""
    summary, _, more = text.partition("\n\n")
    scope = f"Scope: `{route.scope.value}`." if route.scope else "Anybody is told."
    described: dict[str, Any] = {
        "operationId": getattr(route.answer, "__name__", ""),
        "summary": " ".join(summary.split()),
        "description": "\n\n".join(filter(None, [" ".join(more.split()), scope])),
        "tags": [route.parts[2].partition(".")[0]],
        "parameters": _parameters(route, answers),
        "responses": _responses(route, answers),
        "security": [{"token": [route.scope.value]}] if route.scope else [],
    }
    if route.body is not None:
        content = {JSON: {"schema": requests.of(route.body)}}
        described["requestBody"] = {"required": False, "content": content}
    return described


def _parameters(route: Route, maker: SchemaMaker) -> list[Schema]:
    found: list[Schema] = [
        {"name": word, "in": "path", "required": True, **_WORDS[word]} for word in route.words
    ]
    if route.query is not None:
        hints = get_type_hints(route.query, include_extras=True)
        for name, schema in maker.object(route.query)["properties"].items():
            description = schema.pop("description", "")
            if schema == {"type": "integer"}:
                least, most = bounds(hints[name])
                schema |= {"minimum": least, "maximum": most}
            found.append(
                {"name": name, "in": "query", "description": description} | {"schema": schema}
            )
    if route.changes:
        found.append(_IF_MATCH)
    elif route.method == "GET":
        found.append(_IF_NONE_MATCH)
    return found


def _responses(route: Route, maker: SchemaMaker) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status in (route.status, *route.others):
        found[str(status.value)] = {"description": status.phrase} | _content(route, maker, status)
    if route.method == "GET":
        headers = {"headers": {"ETag": _ETAG}}
        found["304"] = {"description": HTTPStatus.NOT_MODIFIED.phrase} | headers
    for status in _problems(route):
        content = {_PROBLEM: {"schema": {"$ref": f"{_REFS}Problem"}}}
        found[str(status.value)] = {"description": status.phrase, "content": content}
    return found


def _content(route: Route, maker: SchemaMaker, status: HTTPStatus) -> dict[str, Any]:
    if status is HTTPStatus.NO_CONTENT:
        return {}
    media = route.media.partition(";")[0] or JSON
    schema = {"type": "string"} if route.media else _schema(route, maker)
    headers = {}
    if route.method == "GET" or route.changes or route.method == "PUT":
        headers["ETag"] = _ETAG
    if route.many and route.query is not None and "after" in get_type_hints(route.query):
        headers["Link"] = _LINK
    found: dict[str, Any] = {"content": {media: {"schema": schema}}}
    return found | ({"headers": headers} if headers else {})


def _schema(route: Route, maker: SchemaMaker) -> Schema:
    if not isinstance(route.gives, str):
        one = maker.of(route.gives)
    elif route.gives in ENTRIES:
        one = {"$ref": f"{_REFS}{route.gives.replace(' ', '-')}"}
    else:
        one = {}
    return {"type": "array", "items": one} if route.many else one


def _problems(route: Route) -> list[HTTPStatus]:
    found = set(_ALWAYS)
    if route.words:
        found |= {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
    if route.changes:
        found |= {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED}
    if route.body is not None:
        found |= {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
    return sorted(found)


def _plain_numbers(definitions: dict[str, Schema]) -> dict[str, Schema]:
    """Let what is sent have numbers alone: a word for what JSON has none for is only answered."""
    number = json.dumps({"$ref": f"{_REFS}Number"})
    kept = {name: one for name, one in definitions.items() if name != "Number"}
    found: dict[str, Schema] = json.loads(
        json.dumps(kept).replace(number, json.dumps({"type": "number"}))
    )
    return found
