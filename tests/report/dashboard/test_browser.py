"""The dashboard in a real browser: one server, one browser, a window for each test."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import optuna
import pytest
from browsing import needs_chromium
from known_studies import EVIL
from optuna_dashboard import save_note
from serving import NAME, Site, storage_folder

from cvfp_opt.report.chromium import find_chromium
from cvfp_opt.report.dashboard.page import refresh, write_missing_curves
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.files.artifact_names import name_artifacts
from cvfp_opt.store.files.trial_files import Networks

pytestmark = [needs_chromium, pytest.mark.processes]

BEST = 2  # the id of the best trial, number 1


class Browser:
    """A page, and all that went wrong on it."""

    def __init__(self, page: Any, host: str) -> None:
        self.page, self.host = page, host
        self.wrong: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((f"http://{self.host}/", "data:", "blob:")):
            self.wrong.append(f"asked {request.url}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.status} for {response.url}")

    def open(self, path: str) -> Any:
        self.page.goto(f"http://{self.host}{path}")
        return self.page

    def open_study(self) -> Any:
        """Its page, with all figures drawn: ours by id, and the dashboard's own."""
        page = self.open("/dashboard/studies/1")
        for name in SAVED:
            page.locator(f"{figure(name)} .scatterlayer .trace").first.wait_for(state="attached")
        return page

    def open_trial(self) -> Any:
        """The best one's page, with its files."""
        page = self.open("/dashboard/studies/1/trials?numbers=1")
        page.get_by_role("heading", name="Artifacts").wait_for()
        page.get_by_text("curves-1.csv").wait_for()
        return page

    def background(self) -> tuple[int, ...]:
        """Red, green and blue of the page."""
        text = self.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return tuple(int(part) for part in text.strip("rgb()").split(",")[:3])

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


SAVED = (
    "score-and-untrained-net",
    "convergence-against-threshold",
    "trade-off",
    "passes-and-schedules",
)


def figure(name: str) -> str:
    return f"[id='user-defined-plot:{name}']"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A hostile study with notes, figures, curves and a network."""
    folder = storage_folder(tmp_path_factory.mktemp("browsed"))
    location = Location.of_file(folder / "cvfp.db")
    with open_for_search(location) as store:
        made = Site.filled(location, store)
        write_missing_curves(store, made.study, made.artifacts)
        networks = Networks(store=store, artifacts=made.artifacts, study_id=1)
        with store.engine.begin() as connection:
            name_artifacts(connection, BEST, networks.write("ab" * 16, {}, {}))
    with open_for_search(location) as store:  # anew: it read the trials before they named files
        study = optuna.load_study(study_name=NAME, storage=store.storage)
        refresh(store, study, print)
        yield Site(location, store, study)


@pytest.fixture(scope="module")
def opened(site: Site) -> Iterator[tuple[Any, str]]:
    """A function that opens Chromium, once in each way, and the host that is to be asked."""
    playwright = pytest.importorskip("playwright.sync_api")
    client = site.serve(read_only=True)
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )

        @cache
        def context(scheme: str = "light", width: int = 1300) -> Any:
            made = chromium.new_context(
                color_scheme=scheme, viewport={"width": width, "height": 900}
            )
            made.set_default_timeout(20_000)
            return made

        yield context, client.host
        chromium.close()
    client.end()


Open = Callable[..., Browser]


@pytest.fixture
def browser(opened: tuple[Any, str]) -> Iterator[Open]:
    """A new window, ``scheme`` light or dark, ``width`` in pixels; none may say of any fault."""
    contexts, host = opened
    windows: list[Browser] = []

    def open_window(**window: Any) -> Browser:
        windows.append(Browser(contexts(**window).new_page(), host))
        return windows[-1]

    yield open_window
    for one in windows:
        one.page.close()
        assert one.wrong == []


def test_the_pages_of_a_hostile_study(browser: Open, site: Site) -> None:
    window = browser()
    page = window.open("/")
    page.wait_for_url("**/dashboard/studies/1")
    page.locator("header").get_by_text(f"{NAME} (id=1)").wait_for()
    page.locator(".scatterlayer .point").first.wait_for()
    page = window.open("/dashboard/studies/1/note")
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
    window.open("/dashboard/studies/1/trials")
    page.get_by_text("Trial 1", exact=True).first.click()
    page.get_by_text("Trial 1 (trial_id=2)").wait_for()
    assert EVIL not in page.content()


def test_saved_figures_are_drawn_whole(browser: Open) -> None:
    window = browser()
    page = window.open_study()
    assert min(window.background()) > 200
    for name in SAVED:
        cell = page.locator(figure(name)).bounding_box()
        drawn = page.locator(f"{figure(name)} .main-svg").first.bounding_box()
        assert drawn["height"] <= cell["height"] == 450
        assert drawn["width"] <= cell["width"]
    words = page.locator(figure("passes-and-schedules")).inner_text()
    for title in ("convergence", "effective rank / D", "diversity weight"):
        assert title in words
    assert "untrained net" in page.locator(figure("score-and-untrained-net")).inner_text()
    assert "original test 1" in page.locator(figure("trade-off")).inner_text()


def test_a_trials_note_and_files(browser: Open) -> None:
    page = browser().open_trial()
    page.get_by_text("Trial 1 scores 0.940, better than the untrained net").wait_for()
    curves = page.get_by_alt_text("its curves, from pass to pass")
    assert curves.evaluate("image => image.complete && image.naturalWidth") == 640
    for name in ("curves-1.svg", "curves-1.csv", "network.safetensors"):
        assert page.get_by_text(name, exact=True).is_visible()
    page.get_by_label("show artifact table").click()
    page.locator("th", has_text="effective_rank").first.wait_for()
    assert page.locator("td", has_text="0.98").first.is_visible()


def test_by_night(browser: Open) -> None:
    night = browser(scheme="dark")
    page = night.open_study()
    assert max(night.background()) < 60
    # the figures let the page through, and their words stand out against it
    for name in SAVED:
        assert (
            page.locator(f"{figure(name)} .main-svg").first.evaluate(
                "svg => getComputedStyle(svg).backgroundColor"
            )
            == "rgba(0, 0, 0, 0)"
        )


def test_on_a_telephone(browser: Open) -> None:
    window = browser(width=390)
    page = window.open_study()
    assert window.overflow() <= 0
    assert page.locator(figure("trade-off")).bounding_box()["width"] > 250
    page = window.open_trial()
    assert window.overflow() <= 0
    picture = page.get_by_alt_text("its curves, from pass to pass").bounding_box()
    assert 200 < picture["width"] <= 390


def test_the_users_own_html_runs_nothing(browser: Open, site: Site) -> None:
    words = "<img src=x onerror='window.ran=1'><script>window.ran=1</script>"
    save_note(site.study, f"own words {words} <iframe srcdoc='<script>parent.ran=1</script>'>")
    page = browser().open("/dashboard/studies/1/note")
    page.get_by_text("own words").wait_for()
    assert page.evaluate("window.ran") is None
