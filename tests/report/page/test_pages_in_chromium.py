"""The report in a real browser: it draws, asks for nothing, and can be read everywhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import needs_chromium, visits
from known_studies import STUDIES, small

from cvfp_opt.report.compare import compare_studies
from cvfp_opt.report.page.write import write_report

pytestmark = [needs_chromium, pytest.mark.processes]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def visit() -> Iterator[Any]:
    """Opens windows of one browser."""
    with visits() as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small study beside another."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(small(), path, "", compare_studies(small(), STUDIES["1000 trials"]()))
    return path


def test_it_draws_all_pictures_and_asks_for_nothing(visit: Any, page: Path) -> None:
    seen = visit().open(page)
    assert seen.faults == []
    drawn = seen.page.locator(".picture .main-svg:first-child").count()
    assert drawn == seen.page.locator(".picture").count() == 10
    stars = "document.querySelector('#answer .picture').data.map(t => [t.name, t.x.length])"
    assert dict(seen.page.evaluate(stars)) == {
        "trials": 1,
        "front": 2,
        "original test 1": 1,
        "original test 2": 1,
        "untrained net": 1,
        "winner: trial 1": 1,
    }
    # each mark is there to be seen, not only among the data
    assert seen.page.locator("#answer .scatterlayer .point").count() == 7


@pytest.mark.parametrize("name", ["empty", "not numbers", "foreign", "1000 trials"])
def test_odd_studies_draw_too(visit: Any, tmp_path: Path, name: str) -> None:
    write_report(STUDIES[name](), tmp_path / "report.html", "")
    seen = visit().page
    faults: list[str] = []
    seen.on("pageerror", lambda error: faults.append(str(error)))
    seen.on("dialog", lambda dialog: faults.append(dialog.message))
    seen.goto((tmp_path / "report.html").as_uri())
    if name == "empty":
        assert seen.locator(".picture").count() == 0
        assert "nothing to believe" in seen.locator("h1").inner_text()
    else:
        seen.wait_for_selector("html[data-drawn]", state="attached")
    assert faults == []


def test_dark_is_dark_and_follows_the_system(visit: Any, page: Path) -> None:
    seen = visit(color_scheme="dark", bypass_csp=True).open(page).page
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    ink = "document.querySelector('.picture').layout.font.color"
    assert (seen.evaluate(ground), seen.evaluate(ink)) == ("rgb(20, 23, 28)", "#d5dae2")
    seen.emulate_media(color_scheme="light")
    seen.wait_for_function(f"{ink} === '#3a3f47'")
    assert seen.evaluate(ground) == "rgb(255, 255, 255)"


def test_a_phone_scrolls_one_way_only(visit: Any, page: Path) -> None:
    seen = visit(**PHONE).open(page).page
    assert seen.evaluate("document.documentElement.scrollWidth") == 390
    widths = seen.evaluate("[...document.querySelectorAll('.picture')].map(p => p.offsetWidth)")
    assert max(widths) <= 390
    assert seen.evaluate("document.querySelector('.picture').layout.dragmode") is False


def test_the_keyboard_reaches_answer_and_tables(visit: Any, page: Path) -> None:
    seen = visit().open(page).page
    seen.keyboard.press("Tab")
    assert seen.evaluate("document.activeElement.textContent") == "To the answer"
    first = seen.locator("details.table summary").first
    first.focus()
    seen.keyboard.press("Enter")
    cells = seen.locator("details.table").first.locator("tbody tr")
    assert cells.first.is_visible()
    assert cells.count() == 3 + 1 + 2
    names = "[...document.querySelectorAll('.picture')].map(p => p.getAttribute('aria-label'))"
    assert all(seen.evaluate(names))


def test_print_is_on_white(visit: Any, page: Path) -> None:
    seen = visit(color_scheme="dark", bypass_csp=True).open(page).page
    ink = "document.querySelector('.picture').layout.font.color"
    seen.evaluate("dispatchEvent(new Event('beforeprint'))")
    seen.wait_for_function(f"{ink} === '#3a3f47'")
    seen.emulate_media(media="print")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert seen.evaluate(ground) == "rgb(255, 255, 255)"
    seen.evaluate("dispatchEvent(new Event('afterprint'))")
    seen.wait_for_function(f"{ink} === '#d5dae2'")


def test_without_pictures_the_tables_are_open(visit: Any, page: Path) -> None:
    seen = visit().page
    seen.add_init_script("delete globalThis.DecompressionStream")
    seen.goto(page.as_uri())
    seen.wait_for_selector("details.table[open]")
    assert "cannot draw the picture" in seen.locator(".picture").first.inner_text()
