"""``reproduce``: both sets of figures, and why."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from support import Outcome

from cvfp_opt.model.config import ModelConfig
from cvfp_opt.single import reproduce as library
from cvfp_opt.tuning.definition import StudyDefinition

Invoke = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The experiments at their own text, on a small net."""
    define = library.define

    def small(*arguments: object) -> StudyDefinition:
        config = ModelConfig(context_size=16, embedding_size=16, num_layers=2)
        return replace(define(*arguments), model=config)  # type: ignore[arg-type]

    monkeypatch.setattr(library, "define", small)


def test_bug_and_fix_stand_beside_the_reports_words(invoke: Invoke) -> None:
    outcome = invoke("reproduce", "bug-2", "--threads", "1")
    assert outcome.code == 0
    out = outcome.out
    assert 'the report: "backward through the graph a second time"' in out
    assert "ended:      torch: Trying to backward through the graph a second time" in out
    assert "128 optimizer steps" in out
    assert "short form: 64 tokens, where the report has 6400" in out
    assert "why: Each token's backward frees the graph" in out
    assert [line.split()[0] for line in out.splitlines() if line[:6].strip().isdigit()] == [
        "1",
        "2",
    ]


def test_all_as_json(invoke: Invoke) -> None:
    report = json.loads(invoke("reproduce", "all", "--tokens", "64", "--json").out)
    assert list(report) == ["bug-1", "bug-2", "test-1", "test-2"]
    assert [len(e["variants"]) for e in report.values()] == [2, 2, 1, 1]
    assert report["test-2"]["variants"][0]["optimizer_steps"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["bug-3"],
            "unknown name 'bug-3'; did you mean 'bug-",
        ),
        (["bug-1", "--tokens", "10"], "10 is not in the range"),
    ],
)
def test_bad_words_are_refused(words: list[str], message: str, invoke: Invoke) -> None:
    outcome = invoke("reproduce", *words)
    assert outcome.code == 2
    assert message in outcome.err
