"""A real browser for tests of pages: Debian's Chromium through playwright."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cvfp_opt.report.chromium import find_chromium

needs_chromium = pytest.mark.skipif(
    find_chromium() is None, reason="no Chromium here: apt-get install chromium"
)


class Visit:
    """A page that was opened.

    Attributes:
        page: playwright's.
        faults: what went to the console, what was thrown, what was asked of the network.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.faults: list[str] = []
        page.on("console", lambda message: self.faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.faults.append(f"thrown: {error}"))
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.faults.append(f"request: {request.url}")

    def open(self, path: Path) -> "Visit":
        """Open a report and wait for its pictures.

        The page's own policy forbids the strings that ``wait_for_function`` evaluates: a window
        for that takes ``bypass_csp``.
        """
        self.page.goto(path.absolute().as_uri())
        self.page.wait_for_selector("html[data-drawn]", state="attached", timeout=30_000)
        return self


@contextmanager
def visits() -> Iterator[Any]:
    """A function that opens a new window, by playwright's words for it."""
    from playwright.sync_api import sync_playwright

    words = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=words)
        yield lambda **window: Visit(browser.new_context(**window).new_page())
        browser.close()
