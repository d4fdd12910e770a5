"""Pictures of figures, drawn by a Chromium that is installed: there is no other way offline."""

import base64
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import unquote

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from cvfp_opt.errors import ReportError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 60
WIDTH = 900
# Colours of a picture, which has no page behind it; and how much finer than a screen it is.
PAPER, INK, SCALE = "#ffffff", "#3a3f47", 2

_PAGE = """<!DOCTYPE html><meta charset="utf-8"><body><script>{script}</script><script>
const figure = {figure};
Plotly.toImage(figure, {{format: "{format}", width: {width}, height: {height}, scale: {scale}}})
  .then(url => {{ document.body.innerHTML = ""; document.body.id = "made";
                  document.body.textContent = url; }});
</script></body>"""
_MADE = re.compile(r'<body id="made">data:image/[a-z+]+(;base64)?,([^<]*)</body>')


def find_chromium() -> str | None:
    """Find a Chromium on this machine; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def require_chromium(path: Path) -> str:
    """Find a Chromium, or say how to do without.

    Args:
        path: of the picture that was asked for, for the message.

    Raises:
        ReportError: there is none.
    """
    found = find_chromium()
    if found is None:
        raise ReportError(
            f"{path}: SVG and PNG are drawn by Chromium, which is not on this machine (looked for "
            f"{', '.join(NAMES)}); install it (Debian: `apt-get install chromium`), or name the "
            f"output {path.with_suffix('.html').name}: HTML needs nothing"
        )
    return found


def picture(figure: go.Figure, path: Path, format: str) -> bytes:
    """Draw a figure as "svg" or "png", on white.

    Args:
        path: of the file that was asked for, for messages.

    Raises:
        ReportError: there is no Chromium, or it drew nothing.
    """
    chromium = require_chromium(path)
    drawn = go.Figure(figure)
    drawn.update_layout(paper_bgcolor=PAPER, plot_bgcolor=PAPER, font_color=INK)
    page = _PAGE.format(
        script=get_plotlyjs(),
        figure=drawn.to_json(),
        format=format,
        width=WIDTH,
        height=drawn.layout.height,
        scale=SCALE if format == "png" else 1,
    )
    with tempfile.TemporaryDirectory(prefix="cvfp-opt-") as folder:
        file = Path(folder) / "figure.html"
        file.write_text(page, encoding="utf-8")
        made = _MADE.search(_load(chromium, file, path))
    if made is None:
        raise ReportError(f"{path}: {chromium} drew nothing; name an .html file instead")
    is_base64, data = made.groups()
    return base64.b64decode(data) if is_base64 else _unescaped(data).encode()


def _unescaped(data: str) -> str:
    return unquote(data.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


def _load(chromium: str, file: Path, path: Path) -> str:
    """Load a page and return it as it is when its scripts have run."""
    words = [chromium, "--headless", "--disable-gpu", f"--user-data-dir={file.parent / 'profile'}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--no-sandbox")  # its sandbox refuses root; the page is our own
    words += ["--virtual-time-budget=30000", "--dump-dom", file.as_uri()]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ReportError(
            f"{path}: {chromium} did not draw within {SECONDS} s; name an .html file instead"
        ) from None
    return done.stdout
