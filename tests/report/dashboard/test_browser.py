"""The dashboard in a real browser."""

import shutil
from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from known_studies import EVIL
from optuna_dashboard import save_note
from serving import NAME, Serve, Site

from cvfp_opt.report.dashboard.page import refresh

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]


class Browser:
    """A page, and all that went wrong on it."""

    def __init__(self, page: Any, host: str) -> None:
        self.page, self.host = page, host
        self.wrong: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._request)
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((f"http://{self.host}/", "data:", "blob:")):
            self.wrong.append(f"asked {request.url}")

    def open(self, path: str) -> Any:
        self.page.goto(f"http://{self.host}{path}")
        return self.page


@pytest.fixture
def browser(serve: Serve, site: Site) -> Iterator[Browser]:
    """Chromium before a dashboard on a hostile study."""
    playwright = pytest.importorskip("playwright.sync_api")
    refresh(site.store, site.study, print)
    client = serve(read_only=True)
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield Browser(chromium.new_page(), client.host)
        chromium.close()


def test_the_pages_of_a_hostile_study(browser: Browser, site: Site) -> None:
    page = browser.open("/")
    page.wait_for_url("**/dashboard/studies/1")
    page.locator("header").get_by_text(f"{NAME} (id=1)").wait_for()
    page.locator(".scatterlayer .point").first.wait_for()
    page = browser.open("/dashboard/studies/1/note")
    page.get_by_text("better than the untrained net").wait_for()
    assert page.locator("h1").inner_text() == NAME
    page.get_by_text("Definition").wait_for()
    link = page.get_by_role("link", name=f"{NAME}/pareto", exact=True)
    assert link.get_attribute("href") == "/dashboard/studies/2"
    link.click()
    page.wait_for_url("**/dashboard/studies/2")
    page.get_by_text("Pareto Front").wait_for()
    chart = page.locator(".js-plotly-plot").first
    chart.locator(".scatterlayer .point").nth(2).wait_for()
    complete = [t for t in site.study.trials if t.state is optuna.trial.TrialState.COMPLETE]
    assert chart.locator(".scatterlayer .point").count() == len(complete) == 3
    browser.open("/dashboard/studies/1/trials")
    page.get_by_text("Trial 1", exact=True).first.click()
    page.get_by_text("Trial 1 (trial_id=2)").wait_for()
    assert EVIL not in page.content()
    assert browser.wrong == []


def test_the_users_own_html_runs_nothing(browser: Browser, site: Site) -> None:
    words = "<img src=x onerror='window.ran=1'><script>window.ran=1</script>"
    save_note(site.study, f"own words {words} <iframe srcdoc='<script>parent.ran=1</script>'>")
    page = browser.open("/dashboard/studies/1/note")
    page.get_by_text("own words").wait_for()
    assert page.evaluate("window.ran") is None
