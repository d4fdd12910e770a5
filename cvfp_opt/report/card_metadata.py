"""What the Hugging Face hub reads of a model card: the YAML at its head, called front matter.

Only what is known stands there. Nobody has told this program a licence, so there is none.
"""

import math
from collections.abc import Iterator
from typing import Any

import yaml

from cvfp_opt.escaping import excerpt
from cvfp_opt.report.words import TEXTS
from cvfp_opt.store.record.published import PublishedTrial

# The hub's word for a task that fits: vectors of a text, for others to use.
TASK = "feature-extraction"
_TAGS = ("cvfp", "context-vector", "fixed-point")
_FROZEN = "two reads with the final weights"
_SHIPPED = "dialogues shipped with cvfp-opt"


class _Quoted(str):
    """Text from elsewhere: in double quotes it stays text, whatever it looks like."""


class _Dumper(yaml.SafeDumper):
    """Write plain values, and ``_Quoted``."""


_Dumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def front_matter(facts: PublishedTrial) -> str:
    """Write the metadata as YAML between two lines ``---``, ending in a newline."""
    written: str = yaml.dump(
        metadata(facts), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=math.inf
    )
    # only quoted text has any: for what shows a card as Markdown from its first line on
    return "---\n" + written.replace("<", r"\x3c") + "---\n"


def metadata(facts: PublishedTrial) -> dict[str, Any]:
    """Collect the metadata by the hub's names; text from elsewhere is on one line each."""
    source = facts.sources.get("data", {})
    language = {"language": "en"} if source.get("source") == "embedded" else {}
    datasets = {"datasets": [_quoted(source["hub"])]} if source.get("hub") else {}
    return {
        **language,
        "library_name": "cvfp-opt",
        "pipeline_tag": TASK,
        "tags": [*_TAGS],
        **datasets,
        "model-index": [{"name": _name(facts), "results": list(_results(facts))}],
    }


def _quoted(text: object) -> _Quoted:
    return _Quoted(excerpt(text))


def _name(facts: PublishedTrial) -> _Quoted:
    if facts.study:
        return _quoted(f"CVFP network: trial {facts.trial.number} of study {facts.study}")
    return _quoted(f"CVFP network {facts.folder}")


def _results(facts: PublishedTrial) -> Iterator[dict[str, Any]]:
    """Give the figures that it was scored by, and those of its audit on text it never saw."""
    scored, unseen = facts.trial.scored, facts.trial.audit["frozen_held_out"]
    yield {
        "task": _task(),
        "dataset": _dataset(facts, facts.definition["objective"]["split"]),
        "metrics": [
            *_metric("score", "score", scored.get("score")),
            *_metric("convergence_rate", "convergence rate", scored.get("convergence_rate")),
            *_metric("effective_rank", "effective rank / D", scored.get("effective_rank")),
        ],
    }
    rate, rank = unseen["convergence"], unseen["effective_rank"]
    perplexity = facts.trial.downstream.get("held_out_perplexity")
    yield {
        "task": _task(),
        "dataset": _dataset(facts, "held_out"),
        "metrics": [
            *_metric("frozen_convergence_rate", f"convergence rate, {_FROZEN}", rate),
            *_metric("frozen_effective_rank", f"effective rank / D, {_FROZEN}", rank),
            *_metric("perplexity", "perplexity of a linear next-token probe", perplexity),
        ],
    }


def _task() -> dict[str, str]:
    return {"type": TASK, "name": "context vectors"}


def _metric(kind: str, name: str, value: float | None) -> list[dict[str, Any]]:
    """Give a metric; none where there is no figure."""
    if value is None or not math.isfinite(value):
        return []
    return [{"type": kind, "name": name, "value": float(value)}]


def _dataset(facts: PublishedTrial, split: str) -> dict[str, Any]:
    """Name a text by its repository on the hub, else by its kind; never by where it lay."""
    source = facts.sources.get("data", {})
    kind = source.get("source", "unknown")
    name = _SHIPPED if kind == "embedded" else "a text that is not published"
    if source.get("hub"):
        kind = name = source["hub"]
    revision = {"revision": _quoted(source["revision"])} if source.get("revision") else {}
    return {
        "name": _quoted(f"{name}, {TEXTS[split]}"),
        "type": _quoted(kind),
        "split": split,
        **revision,
    }
