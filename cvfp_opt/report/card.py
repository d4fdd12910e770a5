"""The model card of a network that is handed on: Markdown, with the audit in plain words."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cvfp_opt.escaping import markdown, printable
from cvfp_opt.report.card_metadata import front_matter
from cvfp_opt.report.confirmation_words import confirmation_line
from cvfp_opt.report.judgement import judge_trial
from cvfp_opt.report.words import (
    DEGENERATE,
    TEXTS,
    counts_line,
    named_values,
    number,
    parameter,
    sentence,
    share,
)
from cvfp_opt.store.record.decisions import FIXED_POINT
from cvfp_opt.store.record.published import PublishedTrial
from cvfp_opt.store.record.summary import Summary


def describe(summary: Summary, facts: PublishedTrial) -> str:
    """Write the model card of a study's trial, with its judgement and its confirmed figures."""
    return model_card(
        facts,
        judgement=judge_trial(facts.trial, dict(facts.searched), subject="It"),
        confirmed=confirmation_line(summary, trial=facts.trial, hint=False),
    )


def model_card(facts: PublishedTrial, *, judgement: str, confirmed: str = "") -> str:
    """Write the card, ending in a newline: what the hub reads, then what people read.

    What comes from a user is escaped.

    Args:
        facts: of the trial and its network.
        judgement: one sentence, see report.judgement.
        confirmed: the point on fresh seeds, a line; "" where there can be none.
    """
    trial, definition, audit = facts.trial, facts.definition, facts.trial.audit
    saw, unseen = audit["frozen_train"], audit["frozen_held_out"]
    space = {name: value for name, value in definition["space"].items() if value is not None}
    fixed = definition["objective"]["threshold"]
    return (
        _environment()
        .get_template("card.md.j2")
        .render(
            front_matter=Markup(front_matter(facts)),
            facts=facts,
            trial=trial,
            judgement=judgement,
            confirmed=confirmed,
            model=definition["model"],
            objective=definition["objective"],
            threshold=space.get("phase1_convergence_threshold") if fixed == "trial" else fixed,
            space=space | trial.params,
            metrics=trial.metrics,
            audit=audit,
            probe=trial.downstream,
            lost_rank=100 * (saw["effective_rank"] - unseen["effective_rank"]),
            degenerate=[words for flag, words in DEGENERATE.items() if audit[flag]],
            counts=counts_line(facts.trials),
            environment=trial.environment,
            texts=TEXTS,
            fixed_point=FIXED_POINT,
        )
    )


def code(text: object) -> Markup:
    """Write text as code, in a table too."""
    words = printable(" ".join(str(text).split()))
    return Markup("`" + words.replace("`", "'").replace("|", "/") + "`")


def _source(source: Mapping[str, str]) -> str:
    named = {key: one for key, one in source.items() if key not in ("source", "path") and one}
    return ", ".join(filter(None, [source.get("source", "unknown"), named_values(named)]))


def _as_text(value: Any) -> str:
    """Escape whatever the template puts in, unless it is Markdown already."""
    if isinstance(value, Markup):
        return value
    # a card is also read in a terminal
    return markdown(printable(" ".join(str(value).split())), readable=True)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cvfp_opt.report", "page"),
        autoescape=False,  # that is for HTML
        finalize=_as_text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": number,
        "share": share,
        "parameter": parameter,
        "sentence": sentence,
        "named_values": named_values,
        "code": code,
        "source": _source,
        "json": lambda text: Markup(printable(json.dumps(text, ensure_ascii=False))),
    }
    return environment
