"""A fragment of HTML for a notebook: text first, then a picture and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from cvfp_opt.escaping import printable
from cvfp_opt.report.judgement import Answer
from cvfp_opt.report.page.templates import html_environment
from cvfp_opt.report.rows import Rows
from cvfp_opt.report.sketch import HEIGHT, WIDTH, Sketch


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """What a notebook shows of one thing.

    Attributes:
        title: what it is.
        state: how it stands, and where.
        answer: whether to believe it; None where that is no question.
        lines: a paragraph each.
        picture: of a study.
        tables: beside each other, where there is room.
        folded: tables to unfold, by what is written there.
    """

    title: str
    state: str = ""
    answer: Answer | None = None
    lines: Sequence[str] = ()
    picture: Sketch | None = None
    tables: Sequence[Rows] = ()
    folded: Mapping[str, Rows] = field(default_factory=dict)


def render_fragment(fragment: Fragment) -> str:
    """Render HTML without scripts or links, whose styles are inline; all text is escaped."""
    template = _environment().get_template("fragment.html.j2")
    return template.render(one=fragment, width=WIDTH, height=HEIGHT).strip()


def shown_as_itself(value: object) -> object:
    """Write what a reader would not see as itself, a change of reading direction, as an escape."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _stands_right(rows: Rows, column: int) -> bool:
    """Check whether a column stands to the right: one of numbers, or of figures after labels."""
    return rows.numeric[column] or (column > 0 and not rows.columns[column])


@cache
def _environment() -> Environment:
    environment = html_environment().overlay(finalize=shown_as_itself)
    environment.filters["right"] = _stands_right
    return environment
