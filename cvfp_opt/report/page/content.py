"""The content of a report, before it is a page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from cvfp_opt.report.compare import Comparison
from cvfp_opt.report.confirmation import confirmation_of
from cvfp_opt.report.confirmation_words import confirmation_line, confirmation_lines
from cvfp_opt.report.failures import (
    costs,
    costs_sentence,
    pruned_and_failed,
    pruned_and_failed_sentence,
)
from cvfp_opt.report.figures.figure import Info
from cvfp_opt.report.figures.kinds import KINDS
from cvfp_opt.report.figures.parallel import Parallel
from cvfp_opt.report.figures.slices import draw_one
from cvfp_opt.report.judgement import Answer, Observation, answer, observations
from cvfp_opt.report.rows import Rows
from cvfp_opt.report.status import drift_lines
from cvfp_opt.report.toml import definition_toml
from cvfp_opt.report.trial_rows import scored, scored_quantities
from cvfp_opt.report.words import (
    commands,
    counts_line,
    fixed_parameters,
    named_values,
    parameter,
    sentence,
    trial_definition,
    value_words,
)
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Part:
    """A figure on the page: in words, as pictures, as a table.

    Attributes:
        kind: its name in KINDS.
        title, caption: see there.
        missing: why there is none; the rest is empty then.
        pictures: of each its label, height in pixels, and plotly's JSON.
        table: the same as a table; None where another figure's table holds it.
    """

    kind: str
    title: str
    caption: str
    missing: str
    pictures: tuple[tuple[str, int, str], ...]
    table: Rows | None


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The best trial.

    Attributes:
        number: of the trial.
        worth: its score or value in words.
        confirmed: its figures on fresh seeds, or that there are none; "" of other programs'.
        figures: label, figure and what it means, the most telling ones.
        observations: of its audit: "for", "against" or "note", and a sentence.
        parameters: name and value.
    """

    number: int
    worth: str
    confirmed: str
    figures: tuple[tuple[str, str, str], ...]
    observations: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything that a report shows."""

    name: str
    url: str
    note: str
    counts: str
    answer: Answer
    winner: Winner | None
    parts: Mapping[str, Part]
    confirmation: tuple[str, ...]
    pruned_and_failed: str
    pruned_and_failed_table: Rows
    costs: str
    costs_table: Rows
    drift: tuple[str, ...]
    same: str
    record: tuple[tuple[str, str], ...]
    definition: str
    commands: tuple[tuple[str, str], ...]
    comparison: Comparison | None


def content(
    summary: Summary, option: str = "", other: Comparison | None = None, made_by: str = ""
) -> Content:
    """Collect everything that the report of a study says.

    Args:
        option: what to add to commands to name the database, see ``Location.option``.
        other: a comparison with another study, to be shown too.
        made_by: the command that makes this very report; "" for one that makes a report.
    """
    best = summary.best
    record, confirmed = summary.record, confirmation_of(summary)
    definition = definition_toml(completed(record.definition)) if record else ""
    return Content(
        name=summary.name,
        url=summary.url,
        note=sentence(summary.note) if summary.note else "",
        counts=counts_line(summary.counts, "none yet"),
        answer=answer(summary),
        winner=_winner(summary, best, option) if best else None,
        parts={kind: _part(kind, summary) for kind in KINDS},
        confirmation=tuple(confirmation_lines(confirmed)) if confirmed else (),
        pruned_and_failed=pruned_and_failed_sentence(summary),
        pruned_and_failed_table=pruned_and_failed(summary),
        costs=costs_sentence(summary),
        costs_table=costs(summary),
        drift=tuple(drift_lines(summary)),
        same=_same_words(summary),
        record=_record(summary),
        definition=definition,
        commands=_commands(summary, option, made_by),
        comparison=other,
    )


def data_tables(summary: Summary) -> dict[str, Rows]:
    """List the numbers behind a report, by the names of files for them."""
    tables = {name: kind.info(summary).rows() for name, kind in KINDS.items() if name != "slices"}
    return tables | {"endings": pruned_and_failed(summary), "costs": costs(summary)}


_SLICES = "The best trial is the star. The table above holds the numbers."


def _part(kind: str, summary: Summary) -> Part:
    one = KINDS[kind]
    info = one.info(summary)
    rows = info.rows()
    return Part(
        kind=kind,
        title=one.title,
        caption=_SLICES if kind == "slices" and info.caption else info.caption,
        missing=info.missing,
        pictures=() if info.missing else tuple(_pictures(kind, info)),
        table=rows if rows.rows and kind != "slices" else None,
    )


def _pictures(kind: str, info: Info) -> list[tuple[str, int, str]]:
    drawn = [(KINDS[kind].title, KINDS[kind].draw(info))]
    if kind == "slices" and isinstance(info, Parallel):
        drawn = [(f"{info.name} over {d.name}", draw_one(info, d)) for d in info.dimensions]
    return [(label, int(figure.layout.height), script_json(figure)) for label, figure in drawn]


def script_json(figure: go.Figure) -> str:
    """Write JSON that may stand in a script element: no ``</script>`` can be read in it."""
    plain = json.loads(figure.to_json())
    return json.dumps(plain, separators=(",", ":")).replace("<", "\\u003c")


def _winner(summary: Summary, best: TrialRecord, option: str) -> Winner:
    definition = trial_definition(summary, best)
    figures = scored_quantities([best]) if scored(best) else ()
    return Winner(
        number=best.number,
        worth=value_words(summary, best),
        confirmed=_confirmed(summary, option),
        figures=tuple((one.label, one.write(one.take(best)), one.meaning) for one in figures),
        observations=tuple(
            (_side(one), sentence(one.text))
            for one in observations(best, definition, subject=f"Trial {best.number}")
        ),
        parameters=tuple(
            [(name, parameter(value, 5)) for name, value in best.params.items()]
            + [
                (name, f"{parameter(value, 5)} (fixed)")
                for name, value in fixed_parameters(definition, best).items()
            ]
        ),
    )


def _confirmed(summary: Summary, option: str) -> str:
    line = confirmation_line(summary, option=option)
    return sentence(line) if line else ""


def _side(one: Observation) -> str:
    if one.good is None:
        return "note"
    return "for" if one.good else "against"


def _record(summary: Summary) -> tuple[tuple[str, str], ...]:
    record = summary.record
    if record is None:
        return ()
    at = record.environment
    rows = [
        ("identity", record.identity),
        ("definition", f"SHA-256 {record.definition_digest}"),
        ("text", f"SHA-256 {record.data_digest}"),
        ("created on", str(at.get("host", "an unknown host"))),
        ("versions", named_values(at.get("versions", {}))),
    ]
    return tuple((label, text) for label, text in rows if text)


def _commands(summary: Summary, option: str, made_by: str) -> tuple[tuple[str, str], ...]:
    if summary.record is None:
        return ()
    typed = commands(summary, option)
    typed |= {"report": made_by} if made_by else {}
    shown = {"what it lacks": "confirm"} if summary.confirms else {"ten trials more": "more"}
    if summary.best is not None:
        shown |= {} if summary.confirms else {"the winner on fresh seeds": "confirm"}
        shown |= {
            "the winner again, from its record": "replay",
            "the winner's definition": "definition",
            "a study of the winner alone": "again",
            "this report": "report",
        }
    return tuple((label, typed[key]) for label, key in shown.items())


def _same_words(summary: Summary) -> str:
    """Say that trials can be compared, where nothing differs between those that left a record."""
    if not any(trial.environment for trial in summary.trials):
        return "No trial has left a record of what it ran on."
    return (
        "All trials that left a record ran on the same: their numbers can be compared to the last "
        "bit."
    )
