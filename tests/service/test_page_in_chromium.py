"""The queue's page in a real browser: it fits, looks again by itself, and its buttons work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boards import BOARD, EMPTY, EVIL
from browsing import needs_chromium, visits
from serving import Client, Office

from cvfp_opt.report.board import Board
from cvfp_opt.service.page import make_page, page_html
from cvfp_opt.store.queue import control
from cvfp_opt.store.record.queue_entry import QueueEntry, QueueState
from cvfp_opt.store.record.studies import load_study
from cvfp_opt.store.record.tokens import Rights, Scope

pytestmark = [needs_chromium, pytest.mark.processes]
KEEPER = Rights(scopes=frozenset((Scope.ADMIN,)))
WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def visit() -> Iterator[Any]:
    """Opens windows of one browser."""
    with visits() as opened:
        yield opened


def shown(visit: Any, folder: Path, board: Board, **window: Any) -> Any:
    path = folder / "queue.html"
    path.write_text(page_html(make_page(board, KEEPER, where=f"x {EVIL}", notice=EVIL)))
    seen = visit(**window)
    seen.page.goto(path.as_uri())
    assert seen.faults == []
    return seen.page


@pytest.mark.parametrize("board", [EMPTY, BOARD], ids=["empty", "full"])
@pytest.mark.parametrize("width", [390, 981, 1280])
def test_the_page_scrolls_one_way_only(
    visit: Any, tmp_path: Path, board: Board, width: int
) -> None:
    page = shown(visit, tmp_path, board, viewport={"width": width, "height": 844})
    assert page.evaluate(WIDTH) == width
    for place in page.locator(".sure > summary").all()[:3]:
        place.click()
    assert page.evaluate(WIDTH) == width


def test_dark_is_dark(visit: Any, tmp_path: Path) -> None:
    page = shown(visit, tmp_path, BOARD, color_scheme="dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert page.evaluate(ground) == "rgb(20, 23, 28)"
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"


def entry(office: Office) -> QueueEntry:
    return QueueEntry.of(load_study(office.store, "known").user_attrs)


def opened(visit: Any, client: Client, **window: Any) -> Any:
    page = visit(**window).page
    page.goto(f"http://{client.host}/")
    return page


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_buttons_work_with_scripts_and_without(
    visit: Any, office: Office, client: Client, scripts: bool
) -> None:
    page = opened(visit, client, java_script_enabled=scripts)
    page.click("button[aria-label='Pause known']")
    page.wait_for_selector("button[aria-label='Resume known']")
    assert entry(office).state is QueueState.PAUSED
    page.click("button[aria-label='Resume known']")
    page.wait_for_selector("button[aria-label='Pause known']")
    page.click("summary[aria-label='Cancel known?']")
    page.click("button[aria-label='Cancel known']")
    page.wait_for_selector("button[aria-label='Resume known']")
    assert entry(office).state is QueueState.CANCELLED


def test_the_page_follows_what_happens_but_not_under_a_finger(
    visit: Any, office: Office, client: Client
) -> None:
    faults: list[str] = []
    page = visit().page
    page.on("console", lambda message: faults.append(message.text))
    page.clock.install()
    page.goto(f"http://{client.host}/")
    study = load_study(office.store, "known")

    def looks(words: str) -> None:
        """Let it ask once more, and wait until it has these words."""
        page.clock.run_for(5000)
        page.wait_for_selector(f"text={words}")

    control.amend(office.store, study, {"total": 77})
    looks("of 77")
    page.click("summary[aria-label='Cancel known?']")
    control.amend(office.store, study, {"total": 78})
    page.clock.run_for(20_000)
    assert "of 77" in page.inner_text("main")  # or the button would be another one's
    page.click("summary[aria-label='Cancel known?']")
    page.focus("main a:text('Report')")
    looks("of 78")
    focused = "document.activeElement.textContent"
    assert page.evaluate(focused) == "Report"  # as a keyboard left it
    page.evaluate("document.getSelection().selectAllChildren(document.querySelector('h1'))")
    control.amend(office.store, study, {"total": 79})
    page.clock.run_for(20_000)
    assert "of 78" in page.inner_text("main")  # or what was marked could not be copied
    page.evaluate("document.getSelection().removeAllRanges()")
    looks("of 79")
    assert faults == []


def test_a_page_that_is_old_says_so(visit: Any, office: Office, client: Client) -> None:
    page = visit().page
    page.clock.install()
    page.goto(f"http://{client.host}/")
    page.route("**/*", lambda route: route.abort())
    page.clock.run_for(5000)
    page.wait_for_selector("#told:has-text('No answer since')")
    page.unroute("**/*")
    page.clock.run_for(5000)
    page.wait_for_selector("#told:empty", state="attached")


def test_a_browser_signs_in_by_the_form(visit: Any, office: Office, guarded: Client) -> None:
    page = opened(visit, guarded)
    page.fill("input[name=token]", office.token("read", "control"))
    page.click("button")
    page.wait_for_selector("button[aria-label='Pause known']")
    page.click("button[aria-label='Pause known']")
    page.wait_for_selector("button[aria-label='Resume known']")
