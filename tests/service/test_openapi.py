"""The description of the routes: valid, whole, stable; what is answered is as it says."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode, checks
from service.conftest import filled_office
from serving import Client

from cvfp_opt.api.schemas import ENTRIES
from cvfp_opt.service.openapi import openapi
from cvfp_opt.service.reading import keys_of
from cvfp_opt.service.route import Route
from cvfp_opt.service.routes import ROUTES

API_ROUTES = [route for route in ROUTES if route.path.startswith("/api/v1/")]
NAMES = [f"{route.method} {route.path}" for route in API_ROUTES]
# The tool knows no 428, which RFC 6585 has for a change without If-Match; what a type allows and
# a study does not is refused with 400.
EXCLUDED = (checks.missing_required_header, checks.positive_data_acceptance)
ANSWERS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, str]]:
    """A server that asks for a token, and one that is good for all."""
    with pytest.MonkeyPatch.context() as patch:
        # nobody waits for events
        patch.setattr("cvfp_opt.service.event_routes._WAITING", threading.Semaphore(0))
        yield from _guarded(tmp_path_factory.mktemp("openapi"))


def _guarded(folder: Path) -> Iterator[tuple[Client, str]]:
    for office in filled_office(folder):
        client = office.serve(allowed_hosts=["lab.example"])
        yield client, office.token("admin")
        assert client.said == []  # nothing has failed
        client.end()


@pytest.fixture(scope="module")
def described(guarded: tuple[Client, str]) -> Any:
    client, token = guarded
    return schemathesis.openapi.from_url(
        f"http://{client.host}/api/v1/openapi.json", headers={"Authorization": f"Bearer {token}"}
    )


def operation_of(described: Any, route: Route) -> Any:
    return described[route.path][route.method]


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("route", API_ROUTES, ids=NAMES)
def test_every_answer_is_as_described(
    described: Any, guarded: tuple[Client, str], route: Route, mode: GenerationMode
) -> None:
    operation = operation_of(described, route)
    headers = {"Authorization": f"Bearer {guarded[1]}"}

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=2 if route.slow else 8,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, excluded_checks=list(EXCLUDED))
        if "name" in route.words and route.method != "DELETE":  # of a study that there is
            case.path_parameters["name"] = "known"
            case.call_and_validate(headers=headers, checks=list(ANSWERS))

    ask()


def test_it_is_valid_and_has_every_route_once(shared: Client) -> None:
    found = shared.ask("/api/v1/openapi.json").json
    validate(found)
    operations = [
        (path, method.upper(), operation)
        for path, methods in found["paths"].items()
        for method, operation in methods.items()
    ]
    assert [(route.path, route.method) for route in API_ROUTES] == [
        (path, method) for path, method, _ in sorted(operations, key=_place)
    ]
    assert len({operation["operationId"] for _, _, operation in operations}) == len(API_ROUTES)
    for _, _, operation in operations:
        assert operation["summary"].endswith(".")
        assert operation["description"].endswith(".")
        assert all(one["description"] for one in operation["parameters"])


def _place(operation: tuple[str, str, Any]) -> int:
    pairs = [(route.path, route.method) for route in ROUTES]
    return pairs.index(operation[:2])


def test_it_is_the_same_each_time_and_needs_no_database() -> None:
    assert openapi(ROUTES) == openapi(ROUTES)
    assert openapi(ROUTES, "/cvfp")["servers"] == [{"url": "/cvfp"}]


@pytest.mark.parametrize("route", API_ROUTES, ids=NAMES)
def test_each_thing_that_may_be_sent_is_explained(route: Route) -> None:
    operation = openapi(ROUTES)["paths"][route.path][route.method.lower()]
    if route.body is not None:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            schema = openapi(ROUTES)["components"]["schemas"][name]
        assert schema["properties"].keys() == keys_of(route.body).keys()
        assert all(one.get("description") for one in schema["properties"].values())
        assert schema["additionalProperties"] is False
    if route.query is not None:
        named = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        assert named == keys_of(route.query).keys()


def test_its_schemas_are_those_of_the_commands() -> None:
    named = {route.gives for route in ROUTES if isinstance(route.gives, str)}
    schemas = openapi(ROUTES)["components"]["schemas"]
    assert {name.replace(" ", "-") for name in named & ENTRIES.keys()} <= schemas.keys()
