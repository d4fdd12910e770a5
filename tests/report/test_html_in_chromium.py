"""What a notebook shows, in a real browser: light, dark, and as narrow as a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import needs_chromium, visits
from known_studies import STUDIES, confirmed

from cvfp_opt.report.confirmation import confirmation_of
from cvfp_opt.report.html import confirmation_html, study_html, trial_html

pytestmark = [needs_chromium, pytest.mark.processes]

# What JupyterLab's own styles do to tables, to the text and to the ground.
NOTEBOOK = """<!DOCTYPE html><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 8px; font: 14px/1.6 system-ui; color: rgba(0, 0, 0, 0.87); background: white; }}
@media (prefers-color-scheme: dark) {{ body {{ color: white; background: #111; }} }}
table {{ table-layout: fixed; margin: 0 auto 1em; font-size: 12px; }}
td, th, tr {{ text-align: right; vertical-align: middle; padding: 0.5em; border: none; }}
tbody tr:nth-child(even) {{ background: #888; }}
</style>
{}"""


@pytest.fixture(scope="module")
def visit() -> Iterator[Any]:
    """Opens windows of one browser."""
    with visits() as opened:
        yield opened


def page(tmp_path: Path, *fragments: str) -> str:
    path = tmp_path / "notebook.html"
    path.write_text(NOTEBOOK.format("<hr>".join(fragments)))
    return path.as_uri()


@pytest.mark.parametrize("name", STUDIES)
def test_nothing_runs_and_a_phone_scrolls_one_way_only(
    visit: Any, tmp_path: Path, name: str
) -> None:
    one = STUDIES[name]()
    found = confirmation_of(one)
    shown = [study_html(one), *(trial_html(one, trial) for trial in one.trials[:7])]
    shown += [confirmation_html(found)] if found else []
    unfolded = [fragment.replace("<details", "<details open") for fragment in shown]
    seen = visit(viewport={"width": 390, "height": 844})
    seen.page.on("dialog", lambda dialog: seen.faults.append(dialog.message))
    seen.page.goto(page(tmp_path, *unfolded))
    assert seen.faults == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390


def test_its_lines_have_the_colour_of_the_text_around_them(visit: Any, tmp_path: Path) -> None:
    seen = visit(color_scheme="dark").page
    seen.goto(page(tmp_path, study_html(confirmed())))
    colours = "[...document.querySelectorAll('path')].map(one => getComputedStyle(one).stroke)"
    white, accent = "rgb(255, 255, 255)", "rgb(59, 130, 214)"
    assert seen.evaluate(colours) == [white] * 4 + [accent]
    seen.emulate_media(color_scheme="light")
    assert seen.evaluate(colours) == ["rgba(0, 0, 0, 0.87)"] * 4 + [accent]


def test_its_tables_are_its_own(visit: Any, tmp_path: Path) -> None:
    seen = visit().page
    seen.goto(page(tmp_path, study_html(confirmed())))
    cells = (
        "[...document.querySelectorAll('td:first-child')].map(c => getComputedStyle(c).textAlign)"
    )
    assert set(seen.evaluate(cells)[:8]) == {"left"}
    rows = "[...document.querySelectorAll('tr')].map(r => getComputedStyle(r).backgroundColor)"
    assert set(seen.evaluate(rows)) == {"rgba(0, 0, 0, 0)"}
