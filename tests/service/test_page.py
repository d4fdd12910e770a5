"""The queue's page: all stands in it, in its order, and buttons only for whoever may use them."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from boards import BOARD, BUSY, EMPTY, EVIL, GONE, IDLE, LEAVING, standing

from cvfp_opt.report.board import Board
from cvfp_opt.report.confirmation import ConfirmationVerdict
from cvfp_opt.service.page import Page, make_page, page_html, script_source
from cvfp_opt.service.page_studies import StudyRow
from cvfp_opt.store.record.queue_entry import QueueEntry
from cvfp_opt.store.record.tokens import Rights, Scope

READER = Rights(scopes=frozenset((Scope.READ,)))
KEEPER = Rights(scopes=frozenset((Scope.READ, Scope.CONTROL)))
TEAM = replace(KEEPER, studies="team/")


def page(board: Board = BOARD, rights: Rights = KEEPER, **more: str) -> Page:
    return make_page(board, rights, **{"where": "x.db", **more})


def row(name: str, rights: Rights = KEEPER) -> StudyRow:
    [found] = [one for one in page(rights=rights).studies if one.name == name]
    return found


class Elements(HTMLParser):
    """All elements of a page with their attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, attribute: str) -> list[str]:
        return [
            attrs[attribute] or ""
            for one, attrs in self.found
            if one == tag and attribute in attrs
        ]


def test_an_empty_queue_says_what_to_type() -> None:
    html = page_html(page(EMPTY, option=" --storage x.db"))
    text = Elements(html).text
    assert "There is no study yet." in text
    assert "cvfp-opt submit quick --storage x.db --n-trials 20" in text
    assert "cvfp-opt worker --storage x.db" in text


def test_the_headline_counts_what_runs() -> None:
    assert page().headline == (
        "1 trial runs. Studies: 1 running, 1 waiting, 1 paused, 1 cancelled, 1 budget spent, "
        "1 done, 1 no total. Workers: 1 running, 1 idle, 1 draining, 1 gone."
    )


def test_studies_stand_in_the_order_in_which_they_are_served() -> None:
    shown = page()
    assert [one.name for one in shown.studies[:2]] == [EVIL, "team/a"]
    assert {one.name for one in shown.studies[-2:]} == {"cancelled", "done"}
    assert [(one.name, one.why) for one in shown.following] == [
        (EVIL, "200 trials to begin; priority 5, 0 workers for weight 2.5"),
        ("team/a", "37 trials to begin; priority 0, 1 worker for weight 1"),
    ]


def test_a_study_shows_how_far_it_is_and_whether_to_believe_it() -> None:
    one = row("team/a")
    assert (one.finished, one.total, one.others) == (12, 50, "2 pruned, 1 failed, 1 waiting")
    assert one.running == ["trial 12 on host-1", "trial 13: its worker on host-2 is dead"]
    assert (one.best, one.untrained, one.is_better) == ("0.900", "0.500", True)
    assert (one.verdict, one.owner, one.tags) == ("confirmed", "ada", ("thesis", "x"))
    assert row("paused").is_better is False  # it is not a score's noise above the untrained net
    assert (row("done").untrained, row("done").is_better) == ("", None)
    assert row("done").verdict == "not confirmed yet"
    assert row(EVIL).verdict == row(EVIL).best == ""
    assert row(EVIL).workers == "0 of at most 4"
    assert row("spent").why == "1 failed trials, of a budget of 1"


def test_each_verdict_has_its_words() -> None:
    assert len({shown_verdict(one) for one in (None, *ConfirmationVerdict)}) == 6


def shown_verdict(verdict: ConfirmationVerdict | None) -> str:
    confirmed = replace(BOARD.studies[0], verdict=verdict)
    [found] = page(Board(now=0.0, studies=(confirmed,), workers=())).studies
    return found.verdict


def test_a_worker_shows_what_it_runs_and_why_it_takes_nothing() -> None:
    busy, leaving, idle, gone = page().workers
    assert (busy.trials, busy.why, busy.seen) == ([("team/a", "study-1", 12)], "", "1.0 s ago")
    assert (leaving.trials, leaving.why) == ([], "ends after the trials that it runs")
    assert idle.why == IDLE.reason
    assert idle.about == "cpu, 4 trials at once, version 1.2"
    assert dict(idle.skipped) == IDLE.skipped
    assert (gone.seen, gone.why) == ("1 min 10 s ago", "")


def test_only_what_can_be_done_has_a_button() -> None:
    verbs = {one.name: one.verbs for one in page().studies}
    assert verbs == {
        EVIL: ("pause", "cancel"),
        "team/a": ("pause", "cancel"),
        "unasked": ("pause", "cancel"),
        "spent": ("pause", "cancel"),
        "paused": ("resume", "cancel"),
        "cancelled": ("resume",),
        "done": (),
    }
    assert [one.verbs for one in page().workers] == [
        ("drain", "stop"),
        ("stop",),
        ("drain", "stop"),
        (),
    ]


def test_whoever_may_only_look_has_no_button() -> None:
    elements = Elements(page_html(page(rights=READER)))
    assert {tag for tag, _ in elements.found} & {"form", "button", "input"} == set()
    assert "0.900" in elements.text


def test_whoever_sees_some_studies_sees_nothing_of_others_and_ends_no_worker() -> None:
    shown = page(rights=TEAM)
    assert [one.name for one in shown.studies] == ["team/a"]
    assert shown.headline.startswith("1 trial runs. Studies: 1 running. Workers:")
    assert [one.name for one in shown.following] == ["team/a"]
    assert [one.verbs for one in shown.workers] == [()] * 4
    assert [name for one in shown.workers for name, _ in one.skipped] == ["team/a"]
    html = page_html(shown)
    assert "xxx" not in html
    assert "/dashboard" not in html
    hidden = page(rights=replace(TEAM, studies="other/"))
    assert [one.trials for one in hidden.workers] == [[]] * 4


def test_forms_name_the_study_in_their_address_and_its_version() -> None:
    elements = Elements(page_html(page(base="/cvfp")))
    targets = elements.all("button", "formaction")
    assert "/cvfp/studies/team%2Fa/pause" in targets
    assert f"/cvfp/workers/{BUSY.worker}/drain" in targets
    assert f"/cvfp/workers/{LEAVING.worker}/drain" not in targets
    assert not any(GONE.worker in target for target in targets)
    assert elements.all("form", "method") == ["post"] * len(elements.all("form", "method"))
    assert "3" in elements.all("input", "value")
    links = elements.all("a", "href")
    assert "/cvfp/api/v1/studies/team%2Fa/report" in links
    assert "/cvfp/dashboard/studies/1" in links
    assert elements.all("body", "data-home") == ["/cvfp/"]


def test_texts_of_others_stay_texts() -> None:
    html = page_html(page(notice=EVIL, where=EVIL, option=EVIL))
    assert html.count("<script") == html.count("</script") == 1  # our own
    assert "\u202e" not in html
    text = Elements(html).text
    for shown in (
        "Nothing was changed: </td><script>alert(1)</script>\\u202exxx",
        "</td><script>alert(1)</script>\\u202exxx",
    ):
        assert shown in text


def test_what_was_not_done_stands_above_all() -> None:
    html = page_html(page(notice="study 's' is done"))
    assert '<p class="notice" role="alert">Nothing was changed: study &#39;s&#39; is done' in html
    assert "http-equiv" not in html  # or the reason would be gone in seconds
    assert 'http-equiv="refresh"' in page_html(page())


def test_the_policy_names_the_script_that_the_page_has() -> None:
    import base64
    import hashlib

    [script] = re.findall(r"<script>(.*?)</script>", page_html(page()), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert script_source() == f"'sha256-{digest}'"


@pytest.mark.parametrize("total", [1, 5, 100])
def test_a_bar_is_never_longer_than_its_frame(total: int) -> None:
    one = standing(1, "s", QueueEntry(total=total), {"complete": 5})
    html = page_html(page(Board(now=0.0, studies=(one,), workers=())))
    [value], [most] = (Elements(html).all("progress", name) for name in ("value", "max"))
    assert int(value) == 5 <= int(most)
