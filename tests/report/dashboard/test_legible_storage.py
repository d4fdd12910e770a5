"""Words of other programs where optuna-dashboard reads its own: its pages do without them."""

import json
from typing import Any, NoReturn

import pytest
from serving import Client, Serve, Site

from cvfp_opt.store.database.tables import STUDY_SYSTEM_ATTRIBUTES, SYSTEM_ATTRIBUTES

STUDY = (
    *("dashboard:note_ver", "dashboard:note_str:0", "dashboard:note_str:x"),
    *("dashboard:2:note_ver", "dashboard:2:note_str:0", "dashboard:3:note_str:5"),
    *("dashboard:plot_data:t:0", "dashboard:plot_data:s:3", "dashboard:plot_data:"),
    *("study:metric_names", "dashboard:objective_names", "dashboard:form_widgets:v2"),
    *("dashboard:objective_form_widgets:v1", "dashboard:objective_form_widgets"),
    *("preference:is_preferential", "preference:values1", "preference:skip_trial:x"),
    *("preference:history1", "preference:component", "artifacts:ab", "dashboard:artifacts:2:ab"),
)
TRIAL = ("fixed_params", "constraints", "constraints:a", "artifacts:ab", "nsga2:generation")
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, float("nan"), 10**400, "", "x", '{"a":', "[1]", "{}", "null"),
    *([], [1], ["x"], [None], [float("inf")], [[1, 2], "x"], {}, {"body": ["x"]}),
    *('{"a": NaN}', {"output_type": 1, "widgets": [1]}, "[" * 3000),
)
PAGES = ("/api/studies", "/api/studies/1", "/csv/1", "/api/studies/1/param_importances")


def put(site: Site, study: dict[str, str], trial: dict[str, str]) -> None:
    """Write attributes as another program might."""
    for table, of, values in (
        (STUDY_SYSTEM_ATTRIBUTES, {"study_id": 1}, study),
        (SYSTEM_ATTRIBUTES, {"trial_id": 2}, trial),
    ):
        [(column, one)] = of.items()
        with site.store.engine.begin() as connection:
            where = table.c[column] == one, table.c.key.in_(list(values))
            connection.execute(table.delete().where(*where))
            rows = [{**of, "key": key, "value_json": text} for key, text in values.items()]
            connection.execute(table.insert(), rows)
    site.store.forget([1])  # Optuna reads a trial that has ended only once


def read(client: Client, path: str) -> Any:
    """What a browser reads there."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{path}: no browser reads {constant}")

    answer = client.ask(path)
    assert answer.status in (200, 400), (path, answer.status, answer.body[:200], client.said)
    if "json" in answer.headers["content-type"]:
        return json.loads(answer.body, parse_constant=refuse)
    return None


def test_no_page_fails_over_them(site: Site, serve: Serve) -> None:
    client = serve()
    for odd in (*map(json.dumps, ODD), "{", ""):
        put(site, dict.fromkeys(STUDY, odd), dict.fromkeys(TRIAL, odd))
        for path in PAGES:
            read(client, path)
    assert not client.said


def test_what_is_text_of_a_note_is_shown_and_edited(site: Site, serve: Serve) -> None:
    client = serve()
    pieces = {0: '"one "', 1: '{"body": ["x"]}', 3: '"two"'}
    for prefix, path in (("dashboard:", "note"), ("dashboard:2:", "2/note")):
        odd = {f"{prefix}note_str:{place}": text for place, text in pieces.items()}
        put(site, odd | {f"{prefix}note_ver": "[1]"}, dict.fromkeys(TRIAL, "0"))
        study = read(client, "/api/studies/1")
        [trial] = [one for one in study["trials"] if one["trial_id"] == 2]
        holder = study if path == "note" else trial
        assert holder["note"] == {"version": 0, "body": "one two"}
        late = client.change(f"/api/studies/1/{path}", "PUT", {"version": 9, "body": "x"})
        assert (late.status, late.json["note"]) == (409, {"version": 0, "body": "one two"})
        for version, body in ((1, "n" * 5000), (2, "short")):
            edited = {"version": version, "body": body}
            assert client.change(f"/api/studies/1/{path}", "PUT", edited).status == 204
            study = read(client, "/api/studies/1")
            [trial] = [one for one in study["trials"] if one["trial_id"] == 2]
            assert (study if path == "note" else trial)["note"] == edited


@pytest.mark.parametrize("body", [["x"], {"a": 1}, 1, None])
def test_a_note_that_is_no_text_is_refused(reader: Client, body: Any) -> None:
    sent = {"version": 1, "body": body}
    assert reader.change("/api/studies/1/note", "PUT", sent).status == 400
    assert reader.change("/api/studies/1/1/note", "PUT", sent).status == 400
