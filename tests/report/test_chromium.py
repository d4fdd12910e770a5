"""Pictures by Chromium, and the message where there is none."""

from pathlib import Path

import pytest
from browsing import needs_chromium
from known_studies import small

from cvfp_opt.errors import ReportError
from cvfp_opt.report import chromium as browser
from cvfp_opt.report.chromium import WIDTH, picture
from cvfp_opt.report.figures.kinds import KINDS
from cvfp_opt.report.page.write import require_format, write_figure

FIGURE = KINDS["pareto"].draw(KINDS["pareto"].info(small()))


@needs_chromium
@pytest.mark.processes
def test_svg_is_a_picture_with_its_words(tmp_path: Path) -> None:
    write_figure(FIGURE, tmp_path / "x.svg")
    text = (tmp_path / "x.svg").read_text()
    assert text.startswith("<svg")
    assert "winner: trial 1" in text
    assert text.rstrip().endswith("</svg>")


@needs_chromium
@pytest.mark.processes
def test_png_is_twice_as_fine_as_a_screen() -> None:
    data = picture(FIGURE, Path("x.png"), "png")
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20], "big") == 2 * WIDTH


def test_html_needs_no_chromium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "find_chromium", lambda: None)
    write_figure(FIGURE, tmp_path / "x.html")
    assert "winner: trial 1" in (tmp_path / "x.html").read_text()
    with pytest.raises(ReportError, match=r"apt-get install chromium.*name the output x\.html"):
        write_figure(FIGURE, tmp_path / "x.svg")
    assert not (tmp_path / "x.svg").exists()


def test_a_browser_that_draws_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "find_chromium", lambda: "/bin/true")
    with pytest.raises(ReportError, match=r"/bin/true drew nothing; name an \.html file"):
        write_figure(FIGURE, tmp_path / "x.png")


def test_other_formats_are_refused() -> None:
    with pytest.raises(
        ReportError, match=r"x\.pdf: a file name that ends in \.html, \.svg, \.png"
    ):
        require_format(Path("x.pdf"))
