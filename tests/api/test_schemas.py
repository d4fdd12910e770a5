"""Every command that prints JSON has a schema, and prints nothing else; none changes unseen."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypedDict

import click
import known_studies
import pytest
import schemas
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from known_studies import STUDIES
from support import REPOSITORY, Outcome

import cvfp_opt as cv
from cvfp_opt.api.opening import locate
from cvfp_opt.api.schemas import ENTRIES, components
from cvfp_opt.cli import cli
from cvfp_opt.errors import DefinitionError, StudyError
from cvfp_opt.report.best import best_json
from cvfp_opt.report.compare import compare_studies
from cvfp_opt.report.confirmation import confirmation_json
from cvfp_opt.report.json_schema import SchemaMaker
from cvfp_opt.report.rows import to_records
from cvfp_opt.report.status import status_json
from cvfp_opt.report.study import study_json
from cvfp_opt.report.trial import trial_json
from cvfp_opt.report.trial_list import trial_rows
from cvfp_opt.store.database.storage import open_for_editing
from cvfp_opt.store.queue.leases import Worker
from cvfp_opt.store.queue.workers import StayingWorker, WorkerState, join

Invoke = Callable[..., Outcome]
KEPT = REPOSITORY / "tests" / "fixtures" / "schemas-1.json"
OLD = ("format-1", "format-2", "optuna-4")


def printing_json(group: click.Group, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from printing_json(command, f"{prefix}{name} ")
        elif any("--json" in parameter.opts for parameter in command.params):
            yield f"{prefix}{name}"


def test_each_command_that_prints_json_has_a_schema() -> None:
    assert sorted(ENTRIES) == sorted(printing_json(cli))
    assert all(schemas.command_name(name.split()) == name for name in ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_schema_is_one_and_has_a_version(name: str) -> None:
    found = cv.schema(name)
    Draft202012Validator.check_schema(found)
    assert found["$id"] == f"urn:cvfp-opt:{name.replace(' ', '-')}:1"
    assert "additionalProperties': False" not in str(found)  # later versions may add keys
    assert json.loads(json.dumps(found)) == found


def facts(schema: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each place of a schema where a type, a reference, an enum or a list of keys is."""
    for key, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if key in ("description", "title", "$schema"):
            continue
        if isinstance(value, dict) or (
            isinstance(value, list) and key in ("anyOf", "prefixItems")
        ):
            yield from facts(value, f"{path}/{key}")
        else:
            yield f"{path}/{key}", value


def test_no_schema_changes_within_a_version() -> None:
    """Keys may be added, and are kept from then on; for all else raise schemas.VERSION."""
    kept, now = json.loads(KEPT.read_text()), dict(facts(components(ENTRIES)))
    for path, fact in kept.items():
        if path.endswith(("/required", "/enum")):
            assert set(fact) <= set(now[path]), f"{path} has lost something"
        else:
            assert now.get(path) == fact, f"{path} was {fact}"
    assert now.keys() <= kept.keys(), "type `python tests/api/keep_schemas.py`"


@pytest.mark.parametrize("study", STUDIES)
def test_known_studies_keep_their_schemas(study: str) -> None:
    summary = STUDIES[study]()
    schemas.check_value("status", status_json(summary))
    schemas.check_value("study show", study_json(summary))
    schemas.check_value("trial list", to_records(trial_rows(summary)))
    for trial in summary.trials[:20]:
        schemas.check_value("trial show", trial_json(summary, trial))
    if summary.best is None:
        with pytest.raises(StudyError):
            best_json(summary)
    else:
        schemas.check_value("best", best_json(summary))
    if summary.confirmation is not None:
        schemas.check_value("confirm", confirmation_json(summary))
    for other in (known_studies.confirmed(), summary):
        schemas.check_value("compare", compare_studies(summary, other).to_dict())


@pytest.mark.parametrize("fixture", OLD)
def test_old_databases_keep_them(fixture: str, invoke: Invoke) -> None:
    [database] = (REPOSITORY / "tests" / "fixtures" / fixture).glob("*.db")
    shutil.copy(database, "old.db")
    names = [
        row["name"] for row in json.loads(invoke("list", "--storage", "old.db", "--json").out)
    ]
    assert names
    for name in names:
        for words in (("status", "--study-name"), ("study", "show"), ("trial", "list")):
            assert invoke(*words, name, "--storage", "old.db", "--json").code == 0


def test_every_column_of_a_list_is_described_or_a_parameter() -> None:
    known = ENTRIES["trial list"].parts()[0].__metadata__[0].__annotations__
    for make in STUDIES.values():
        summary = make()
        params = {name for trial in summary.trials for name in trial.params}
        columns = set(trial_rows(summary).columns)
        odd = columns - known.keys() - params - {f"params_{name}" for name in params}
        assert all(name.startswith("values_") for name in odd)


def test_what_a_sound_study_prints(run_tiny: Invoke, invoke: Invoke) -> None:
    """The fixture `invoke` checks all that is printed with --json, here and in every test."""
    run_tiny("--n-trials", "3", "--json")
    run_tiny("--n-trials", "2", "--study-name", "other", "--json")
    lines = """
        submit quick --study-name asked --n-trials 4 --budget-hours 2 --tag a
        submit quick --study-name asked --n-trials 4 --budget-hours 2 --tag a
        confirm --study-name quick --top 1 --seeds 2 --n-jobs 1 --threads 1
        status quick
        best quick
        list
        queue
        study list
        study show quick
        trial list quick
        trial list quick/confirm
        trial show 0 quick
        trial replay 0 quick --threads 1
        compare quick other
        trial enqueue quick --set dist_reg_weight=0.6
        trial enqueue quick --retry 0
        trial fail 3 quick
        study set quick --n-trials 9
        study pause quick
        study resume quick
        study cancel quick
        study doctor
        thresholds quick
        study export quick -o q.zip
        study import q.zip --storage new.db
        study copy quick --to copy.db
        study merge quick other -o joined
        study rename other another
        study delete another --yes
    """
    for line in filter(None, map(str.strip, lines.splitlines())):
        outcome = invoke(*line.split(), "--json")
        assert outcome.code == 0, outcome.err
        json.loads(outcome.out)


def test_what_a_worker_that_stays_has_told(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    with open_for_editing(locate(None)) as store:
        told = {"state": WorkerState.IDLE, "reason": "nothing to begin", "skipped": {"a": "b"}}
        join(store, StayingWorker(**asdict(Worker.of_this_process()), patterns=("a*",), **told))
    [worker] = json.loads(invoke("worker", "list", "--json").out)
    assert (worker["state"], worker["skipped"], worker["wanted"]) == ("idle", {"a": "b"}, "")
    for wanted in ("drain", "stop"):
        told = json.loads(invoke("worker", wanted, worker["worker"][:6], "--json").out)
        assert told == worker | {"wanted": wanted}


# that these tests can fail


def test_a_key_without_a_schema_is_found() -> None:
    found = status_json(known_studies.small())
    schemas.check_value("status", found)
    for wrong in ({**found, "new": 1}, {**found, "note": 3}, {k: found[k] for k in ["state"]}):
        with pytest.raises(AssertionError, match="status, "):
            schemas.check_value("status", wrong)
    deep = json.loads(json.dumps(found))
    deep["best"][0]["audit"]["baseline"]["new"] = 1
    with pytest.raises(AssertionError, match=r"best\[0\]"):
        schemas.check_value("status", deep)
    Draft202012Validator(cv.schema("status")).validate(deep)  # what is published is open


def test_a_word_for_a_number_is_one_of_three() -> None:
    check = Draft202012Validator(cv.schema("trial list"))
    check.validate([{"trial": 0, "state": "complete", "score": "NaN", "rank": "-Infinity"}])
    with pytest.raises(ValidationError):
        check.validate([{"trial": 0, "state": "complete", "score": [1]}])


def test_an_unknown_name_is_refused(invoke: Invoke) -> None:
    with pytest.raises(DefinitionError, match=r"got 'statos'; did you mean 'status'\?"):
        cv.schema("statos")
    outcome = invoke("schema", "trial", "shw")
    assert outcome.code == 1
    assert "did you mean 'trial show'?" in outcome.err


def test_the_command_prints_what_the_function_gives(invoke: Invoke) -> None:
    assert json.loads(invoke("schema", "trial", "show").out) == cv.schema("trial show")
    assert [line.partition("  ")[0].strip() for line in invoke("schema").out.splitlines()] == list(
        ENTRIES
    )


def test_what_openapi_keeps_refers_to_what_is_there() -> None:
    found = components(["status", "trial list"])
    assert {"status", "trial-list", "TrialRecord", "Number"} <= found.keys()
    for reference in json.dumps(found).split('"$ref": "')[1:]:
        name = reference.partition('"')[0].removeprefix("#/components/schemas/")
        assert name in found


# the maker of schemas


class Word(Enum):
    """One of two."""

    A = "a"
    B = "b"


@dataclass
class Inner:
    """An inner one.

    More of it.

    Attributes:
        first, second: numbers that
            go on.
        word: one of two.
    """

    first: int
    second: float | None
    word: Word


class Outer(TypedDict, total=False):
    """An outer one."""

    inner: list[Inner]
    by_seed: dict[int, bool]
    pair: tuple[str, int]


def test_a_schema_has_the_types_and_the_words_of_the_docstring() -> None:
    maker = SchemaMaker()
    assert maker.object(Outer) == {
        "type": "object",
        "description": "An outer one.",
        "properties": {
            "inner": {"type": "array", "items": {"$ref": "#/$defs/Inner"}},
            "by_seed": {
                "type": "object",
                "propertyNames": {"pattern": "^-?[0-9]+$"},
                "additionalProperties": {"type": "boolean"},
            },
            "pair": {
                "type": "array",
                "prefixItems": [{"type": "string"}, {"type": "integer"}],
                "minItems": 2,
                "maxItems": 2,
            },
        },
        "required": [],
    }
    inner = maker.definitions["Inner"]
    assert inner["description"] == "An inner one."
    assert inner["required"] == ["first", "second", "word"]
    assert inner["properties"]["first"] == {
        "type": "integer",
        "description": "Numbers that go on.",
    }
    assert inner["properties"]["word"] == {"$ref": "#/$defs/Word", "description": "One of two."}
    assert maker.definitions["Word"]["enum"] == ["a", "b"]


def test_two_types_of_one_name_and_what_is_no_type_are_refused() -> None:
    maker = SchemaMaker()
    maker.of(Inner)
    other = dataclass(type("Inner", (), {"__annotations__": {"first": int}}))
    with pytest.raises(TypeError, match="two types are called Inner"):
        maker.of(other)
    with pytest.raises(TypeError, match="no schema for"):
        maker.of(Path)
