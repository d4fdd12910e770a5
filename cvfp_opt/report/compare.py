"""Two studies side by side."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from cvfp_opt.report.confirmation import ConfirmationJson, confirmation_json, confirmation_of
from cvfp_opt.report.confirmation_words import interval_words
from cvfp_opt.report.rows import Cell, Rows
from cvfp_opt.report.trial_columns import TrialRowJson, trial_row
from cvfp_opt.report.trial_rows import AUDITED, PERPLEXITY, SCORED, Quantity
from cvfp_opt.report.words import duration, joined, number, parameter, share
from cvfp_opt.store.record.decisions import SCORE_NOISE
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Counts, Summary, untrained_score


class SideJson(TypedDict):
    """One of two studies, in numbers.

    Attributes:
        study_name: its name.
        counts: trials by state.
        seconds: wall time of all its trials.
        winner: its best trial, as `trial list` has it; null if none is complete.
        confirmation: what fresh seeds said of its best trials; null if nobody has asked.
    """

    study_name: str
    counts: Annotated[dict[str, Any], Counts]
    seconds: float
    winner: Annotated[dict[str, Cell | bool], TrialRowJson] | None
    confirmation: ConfirmationJson | None


class DifferenceJson(TypedDict):
    """A key in which two definitions differ.

    Attributes:
        key: "section.key"; "text" for the digest of the text.
        values: of the two studies; null where one has no such key.
    """

    key: str
    values: tuple[Any, Any]


class ComparisonJson(TypedDict):
    """Two studies side by side: in numbers, and as the rows of the tables that people see.

    Attributes:
        studies: their names.
        sentence: which winner is better, if that can be said.
        sides: both studies in numbers.
        differences: where the definitions differ.
        figures: rows of text: a figure's name, and both studies' figures.
        parameters: rows of text: a parameter's name, and both winners' values.
        definition: rows of text: a key of the definition, and both studies' values.
    """

    studies: list[str]
    sentence: str
    sides: list[SideJson]
    differences: list[DifferenceJson]
    figures: list[list[Cell]]
    parameters: list[list[Cell]]
    definition: list[list[Cell]]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two studies side by side: their figures, winners and definitions.

    Attributes:
        names: of the studies.
        sentence: which winner is better, if that can be said.
        figures: a row for each figure.
        parameters: of both winners.
        differences: keys of the definitions that differ.
        pair: the studies.
    """

    names: tuple[str, str]
    sentence: str
    figures: Rows
    parameters: Rows
    differences: Rows
    pair: tuple[Summary, Summary]

    def __repr__(self) -> str:
        return f"Comparison of {' and '.join(map(repr, self.names))}: {self.sentence}"

    @property
    def tables(self) -> dict[str, Rows]:
        """All tables, by what stands above them."""
        return {
            "Figures": self.figures,
            "Parameters of the winners": self.parameters,
            "Where the definitions differ": self.differences,
        }

    def to_dict(self) -> ComparisonJson:
        """Convert to plain JSON values."""
        first, second = map(_definition, self.pair)
        return {
            "studies": list(self.names),
            "sentence": self.sentence,
            "sides": [_side(one) for one in self.pair],
            "differences": [
                {"key": key, "values": (first.get(key), second.get(key))}
                for key in _changed(first, second)
            ],
            "figures": [list(row) for row in self.figures.rows],
            "parameters": [list(row) for row in self.parameters.rows],
            "definition": [list(row) for row in self.differences.rows],
        }


def compare_studies(first: Summary, second: Summary) -> Comparison:
    """Compare both winners, their audits, what they took, and the definitions."""
    pair = (first, second)
    names = (first.name, second.name)
    sides = (_definition(first), _definition(second))
    changed = _changed(*sides)
    return Comparison(
        names=names,
        sentence=_sentence(first, second, changed),
        figures=Rows(
            columns=("figure", *names),
            rows=tuple((label, *(take(one) for one in pair)) for label, take in _figures(pair)),
        ),
        parameters=Rows(columns=("parameter", *names), rows=tuple(_parameters(pair))),
        differences=Rows(
            columns=("key", *names),
            rows=tuple((key, *(_shown(side.get(key)) for side in sides)) for key in changed),
        ),
        pair=pair,
    )


def _side(summary: Summary) -> SideJson:
    best = summary.best
    return {
        "study_name": summary.name,
        "counts": summary.counts,
        "seconds": sum(summary.seconds.values()),
        "winner": None if best is None else trial_row(summary, best),
        "confirmation": confirmation_json(summary),
    }


def _changed(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """List the keys in which two definitions differ."""
    return [key for key in dict.fromkeys([*ours, *theirs]) if ours.get(key) != theirs.get(key)]


def _definition(summary: Summary) -> dict[str, Any]:
    """Flatten the definition; with the digest of the text, which is as much a part of it."""
    if summary.record is None:
        return {}
    sections = completed(summary.record.definition)
    flat = {f"{name}.{key}": v for name, keys in sections.items() for key, v in keys.items()}
    return flat | {"text": summary.record.data_digest[:12]}


def _sentence(first: Summary, second: Summary, changed: list[str]) -> str:
    if first.record is None or second.record is None:
        return "At least one of the two has no record: their values cannot be compared."
    winners = first.best, second.best
    if winners[0] is None or winners[1] is None:
        return "At least one of the two has no complete trial: there is nothing to compare yet."
    apart = {
        "are scored differently": any(key.startswith("objective.") for key in changed),
        "read different texts": "text" in changed,
        "have nets of different size": any(key.startswith("model.") for key in changed),
    }
    reasons = [reason for reason, writers in apart.items() if writers]
    if reasons:
        return f"Scores of the two cannot be compared: they {joined(reasons)}."
    scores = [one.value if one is not None and one.value is not None else 0.0 for one in winners]
    ahead = scores[1] - scores[0]
    better = second.name if ahead > 0 else first.name
    if scores[0] == scores[1] or abs(ahead) <= SCORE_NOISE:
        return (
            f"The winners are level: {scores[0]:.3f} and {scores[1]:.3f} differ by no more than "
            f"the spread over seeds, {SCORE_NOISE:g}."
        )
    return f"The winner of {better} scores {abs(ahead):.3f} more than the other's."


def _parameters(pair: tuple[Summary, Summary]) -> list[tuple[Cell, ...]]:
    taken = [one.best.params if one.best else {} for one in pair]
    names = dict.fromkeys([*taken[0], *taken[1]])
    return [(name, *(_shown(one.get(name)) for one in taken)) for name in names]


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping) and {"low", "high"} <= value.keys():
        scale = ", log" if value.get("log") else ""
        return f"{parameter(value['low'])} to {parameter(value['high'])}{scale}"
    return parameter(value, 6)


def _of_best(take: Callable[[TrialRecord], str]) -> Callable[[Summary], str]:
    return lambda summary: take(summary.best) if summary.best else "-"


def _written(quantity: Quantity) -> Callable[[TrialRecord], str]:
    return lambda trial: quantity.write(quantity.take(trial))


def _on_fresh_seeds(summary: Summary) -> str:
    found = confirmation_of(summary)
    score = found.winner.score if found and found.winner else None
    return interval_words(score) if score else "-"


def _verdict(summary: Summary) -> str:
    found = confirmation_of(summary)
    if found is None:
        return "not confirmed yet"
    return found.winner.verdict.value if found.winner else "the winner was not among them"


def _time(summary: Summary) -> str:
    seconds = summary.seconds
    return duration(sum(seconds.values())) if seconds else "-"


def _figures(
    pair: tuple[Summary, Summary],
) -> tuple[tuple[str, Callable[[Summary], str]], ...]:
    """List the figures to compare, and the perplexity where one of the winners has it."""
    if not any(one.best and one.best.downstream for one in pair):
        return _FIGURES
    return (*_FIGURES, (PERPLEXITY.label, _of_best(_written(PERPLEXITY))))


_FIGURES: tuple[tuple[str, Callable[[Summary], str]], ...] = (
    ("complete trials", lambda s: str(s.counts["complete"])),
    ("pruned", lambda s: str(s.counts["pruned"])),
    ("failed", lambda s: str(s.counts["fail"])),
    ("computing time", _time),
    ("winner", _of_best(lambda t: f"trial {t.number}")),
    ("its score", _of_best(lambda t: number(t.value, 4))),
    ("on fresh seeds", _on_fresh_seeds),
    ("verdict of fresh seeds", _verdict),
    ("its untrained net's score", _of_best(lambda t: number(untrained_score(t), 4))),
    *((f"{one.label}, as scored", _of_best(_written(one))) for one in SCORED[2:]),
    *((one.label, _of_best(_written(one))) for one in AUDITED if one.write is share),
)
