"""The front matter of a model card: what the hub's own client reads is what was written."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Outcome

from cvfp_opt.escaping import excerpt, printable
from cvfp_opt.report.card_metadata import front_matter, metadata
from cvfp_opt.store.record.published import PublishedTrial
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.tuning.definition import StudyDefinition

hub = pytest.importorskip("huggingface_hub")

COMMIT = "0123456789" * 4
TRIAL = TrialRecord(
    number=7,
    state="complete",
    scored={"score": 0.885, "convergence_rate": 0.97, "effective_rank": 0.8},
    audit={"frozen_held_out": {"convergence": 0.62, "effective_rank": 0.7}},  # type: ignore[typeddict-item]
)


def facts(**fields: Any) -> PublishedTrial:
    whole: dict[str, Any] = {
        "study": "quick",
        "trial": TRIAL,
        "recorded_score": 0.9,
        "searched": {},
        "definition": StudyDefinition().to_dict(),
        "identity": {},
        "sources": {"data": {"source": "embedded"}, "embedding": {"source": "random"}},
        "data_digest": "def456",
        "num_parameters": 1,
        "folder": "winner",
    }
    return PublishedTrial(**(whole | fields))


def read(**fields: Any) -> Any:
    """What the hub's client makes of it."""
    return hub.ModelCard(front_matter(facts(**fields)) + "\n# Text\n").data


def test_the_hub_reads_what_is_known_and_nothing_else() -> None:
    data = read()
    assert data.to_dict() == metadata(facts())
    assert (data.library_name, data.pipeline_tag) == ("cvfp-opt", "feature-extraction")
    assert (data.language, data.datasets, data.license) == ("en", None, None)
    assert data.model_name == "CVFP network: trial 7 of study quick"
    found = [(one.dataset_split, one.metric_type, one.metric_value) for one in data.eval_results]
    assert found == [
        ("train", "score", 0.885),
        ("train", "convergence_rate", 0.97),
        ("train", "effective_rank", 0.8),
        ("held_out", "frozen_convergence_rate", 0.62),
        ("held_out", "frozen_effective_rank", 0.7),
    ]
    first, last = data.eval_results[0], data.eval_results[-1]
    assert first.dataset_name == "dialogues shipped with cvfp-opt, training text"
    assert last.metric_name == "effective rank / D, two reads with the final weights"


def test_the_perplexity_of_a_probe_is_a_metric_of_the_held_out_text() -> None:
    probed = replace(TRIAL, downstream={"held_out_perplexity": 47.32})
    last = read(trial=probed).eval_results[-1]
    assert (last.dataset_split, last.metric_type, last.metric_value) == (
        "held_out",
        "perplexity",
        47.32,
    )


def test_a_text_of_the_hub_is_named_with_its_commit() -> None:
    source = {"source": "ultrachat", "hub": "some/chat", "revision": COMMIT, "split": "train_sft"}
    data = read(sources={"data": source}, study="")
    assert (data.language, data.datasets) == (None, ["some/chat"])
    assert data.model_name == "CVFP network winner"
    for result in data.eval_results:
        assert (result.dataset_type, result.dataset_revision) == ("some/chat", COMMIT)


def test_a_text_of_ones_own_is_not_named() -> None:
    source = {"source": "text", "path": "/home/me/secret.txt"}
    written = front_matter(facts(sources={"data": source}))
    assert "secret" not in written
    assert 'name: "a text that is not published, training text"\n      type: "text"\n' in written
    assert "language" not in written


def test_a_figure_that_there_is_not_is_left_out() -> None:
    trial = replace(TRIAL, scored={"score": math.nan, "effective_rank": 0.5})
    assert [one.metric_type for one in read(trial=trial).eval_results][:2] == [
        "effective_rank",
        "frozen_convergence_rate",
    ]


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=300), st.text(min_size=1))
def test_any_name_stays_one_line_of_text(name: str, source: str) -> None:
    given_facts = facts(study=f"-{name}", sources={"data": {"source": "x", "hub": source}})
    written = front_matter(given_facts)
    assert written == printable(written, keep="\n")
    assert "<" not in written
    data = hub.ModelCard(written).data
    assert data.model_name == excerpt(f"CVFP network: trial 7 of study -{name}")
    assert data.datasets == [excerpt(source)]


@pytest.mark.parametrize(
    "name", ["1e3", "0x10", "no", "~", "", "a: b", "🤖", "---", "\\x3c", "'\""]
)
def test_what_looks_like_a_value_stays_text_in_every_dialect(name: str) -> None:
    written = front_matter(facts(sources={"data": {"source": "x", "hub": name or "-"}}))
    [line] = [one for one in written.splitlines() if one.startswith('- "')]
    assert yaml.safe_load(line) == [name or "-"]


def test_the_card_that_commands_write_is_read_back(
    run_tiny: Callable[..., Outcome], invoke: Callable[..., Outcome]
) -> None:
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    assert invoke("best", "--save", "winner").code == 0
    card = hub.ModelCard.load(Path("winner") / "README.md")
    assert card.data.model_name == "CVFP network: trial 0 of study quick"
    assert len(card.data.eval_results) == 5
    assert card.text.startswith("\n# A CVFP network: trial 0 of study quick\n")
    assert hub.ModelCard(str(card)).data.to_dict() == card.data.to_dict()
