"""The queue's page: what runs where, what is next, and buttons for whoever may use them.

It is whole without scripts; its only one asks for the page again every few seconds.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment

from cvfp_opt.report.board import Board
from cvfp_opt.report.fragment import shown_as_itself
from cvfp_opt.report.page.templates import html_environment
from cvfp_opt.report.words import moment
from cvfp_opt.service.page_studies import NextRow, StudyRow, headline, next_rows, study_rows
from cvfp_opt.service.page_workers import WorkerRow, worker_rows
from cvfp_opt.store.record.tokens import Rights, Scope
from cvfp_opt.version import __version__


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything that the page shows.

    Attributes:
        where: the database, without passwords.
        option: what to add to a command to mean it, see ``Location.option``.
        base: the path that all of the server's paths begin with; "" for none.
        at: when the board was read, in words.
        headline: what matters most.
        notice: why what was asked for was not done; "" if all was.
        studies, workers: a row each.
        following: studies that the next free worker would serve, in that order.
        sees_all: whether no study is left out.
    """

    where: str
    option: str
    base: str
    at: str
    headline: str
    notice: str
    studies: Sequence[StudyRow]
    following: Sequence[NextRow]
    workers: Sequence[WorkerRow]
    sees_all: bool


def make_page(
    board: Board,
    rights: Rights,
    *,
    where: str,
    option: str = "",
    base: str = "",
    notice: str = "",
) -> Page:
    """Collect what somebody with these rights is shown of a board.

    Args:
        board: of the database.
        rights: of whoever looks.
        where, option, base, notice: see Page.
    """
    seen = [standing for standing in board.studies if rights.covers(standing.study.name)]
    may_control = rights.may(Scope.CONTROL)
    return Page(
        where=where,
        option=option,
        base=base,
        at=moment(board.now),
        headline=headline(seen, board.workers),
        notice=notice,
        studies=study_rows(seen, board.workers, base=base, may_control=may_control),
        following=next_rows(seen),
        workers=worker_rows(board, rights, base=base),
        sees_all=not rights.studies,
    )


def page_html(page: Page) -> str:
    """Render the page; all that came from a database is escaped."""
    return (
        _environment()
        .get_template("queue.html.j2")
        .render(
            page=page,
            script=_script(),
            version=__version__,
        )
    )


@cache
def script_source() -> str:
    """Name the page's script as a Content-Security-Policy allows it: by its digest."""
    digest = hashlib.sha256(_script().encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _script() -> str:
    found, _, _ = _environment().loader.get_source(_environment(), "queue.js")  # type: ignore[union-attr]
    return found


@cache
def _environment() -> Environment:
    return html_environment("cvfp_opt.service").overlay(finalize=shown_as_itself)
