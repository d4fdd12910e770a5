"""Make the pictures of the pages from commands that a reader can type.

    pip install pyte playwright        # and Chromium: apt-get install chromium
    python docs/pictures/make.py                  # all pictures
    python docs/pictures/make.py run.svg confirm.svg

types ``COMMANDS`` in a new folder, in their order, and writes to this folder what they show; what
a picture needs from another one is typed too. Each picture has its commands in it.
"""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from io import StringIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyte
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.style import Style
from rich.text import Text

from cvfp_opt.report.chromium import find_chromium

HERE = Path(__file__).parent
WIDTH = 100
# Lines of a screen on which nothing scrolls away.
ENDLESS = 400
# Browser windows in pixels; a picture shows their first screen.
SIZES = {"report.png": (1280, 830), "dashboard.png": (1280, 660), "queue.png": (1180, 560)}
# What is on a served page once all of it has been drawn.
DRAWN = {"dashboard.png": ".scatterlayer .trace .point", "queue.png": "table"}
NOTEBOOK = 'import cvfp_opt as cv\n\ncv.open("quick")'

# What is typed for each picture; what its first commands leave is there for the later ones.
COMMANDS: dict[str, list[str]] = {
    "run.svg": ["cvfp-opt run quick --n-trials 20"],
    "confirm.svg": ["cvfp-opt confirm quick --top 2 --seeds 3"],
    "report.png": ["cvfp-opt report quick -o report.html"],
    "dashboard.png": ["cvfp-opt dashboard --study-name quick/pareto"],
    "notebook.png": [],
    "queue.png": [
        "cvfp-opt submit quick --study-name first --n-trials 4 --priority 1",
        "cvfp-opt submit losses --study-name second --n-trials 20",
        "cvfp-opt worker --n-jobs 1 --max-trials 2",
        "cvfp-opt serve",
    ],
}

# The pictures whose commands have to be typed before those of another one.
NEEDS: dict[str, list[str]] = {
    "run.svg": [],
    "confirm.svg": ["run.svg"],
    "report.png": ["run.svg", "confirm.svg"],
    "dashboard.png": ["run.svg"],
    "notebook.png": ["run.svg", "confirm.svg"],
    "queue.png": ["run.svg"],
}


def main(names: list[str]) -> None:
    """Make the named pictures, or all."""
    if unknown := set(names) - set(COMMANDS):
        raise SystemExit(f"no such picture: {', '.join(unknown)}; there are {', '.join(COMMANDS)}")
    wanted = names or list(COMMANDS)
    needed = {*wanted, *(need for name in wanted for need in NEEDS[name])}
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder, browser() as chromium:
        os.chdir(folder)
        for name in COMMANDS:
            if name in needed:
                print(name, flush=True)
                MAKERS[name](name, chromium)
            if name in wanted:
                (HERE / name).write_bytes(Path(name).read_bytes())


@contextmanager
def browser() -> Iterator[Browser]:
    """Open Chromium."""
    words = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=find_chromium(), args=words)
        yield chromium
        chromium.close()


# terminals


def terminal_picture(name: str, chromium: Browser) -> None:
    """Draw the screen of a terminal on which the commands were typed."""
    screen = pyte.Screen(WIDTH, ENDLESS)
    stream = pyte.ByteStream(screen)
    for command in COMMANDS[name]:
        stream.feed(f"$ {command}\r\n".encode())
        for written in typed(command):
            stream.feed(written)
    lines = [Text("").join(runs_of(screen.buffer[row])) for row in range(ENDLESS)]
    while not lines[-1].plain.strip():
        lines.pop()
    console = Console(file=StringIO(), record=True, width=WIDTH, force_terminal=True)
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True)
    Path(name).write_text(console.export_svg(title="", unique_id=Path(name).stem), "utf-8")


def typed(command: str) -> Iterator[bytes]:
    """Run a command on a terminal, and yield what it writes there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    process = subprocess.Popen(
        command.split(), stdin=theirs, stdout=theirs, stderr=theirs, env=environment()
    )
    os.close(theirs)
    while True:
        try:
            written = os.read(ours, 65536)
        except OSError:  # Linux's way to say that nobody writes any more
            break
        if not written:
            break
        yield written
    os.close(ours)
    if process.wait():
        raise SystemExit(f"{command}: exit status {process.returncode}")


def environment() -> dict[str, str]:
    """Give the environment of a command: no setting of this machine's user."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CVFP_OPT_")}
    return kept | {
        "TERM": "xterm-256color",
        "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
    }


def runs_of(row: Any) -> Iterator[Text]:
    """Yield the characters of a row, those of one look together: each is a piece of the SVG."""
    cells = ((row[column].data, look_of(row[column])) for column in range(WIDTH))
    for look, run in groupby(cells, key=itemgetter(1)):
        yield Text("".join(data for data, _ in run), look)


def look_of(cell: Any) -> Style:
    """Translate colours and weight of one of pyte's cells."""
    return Style(
        color=colour(cell.fg), bgcolor=colour(cell.bg), bold=cell.bold, italic=cell.italics
    )


def colour(name: str) -> str | None:
    """Translate a colour of pyte's to rich's."""
    if name == "default":
        return None
    if re.fullmatch(r"[0-9a-f]{6}", name):
        return f"#{name}"
    return {"brown": "yellow"}.get(name, name.replace("bright", "bright_"))


# pages


def report_picture(name: str, chromium: Browser) -> None:
    """Draw the first screen of a report."""
    for command in COMMANDS[name]:
        subprocess.run(command.split(), check=True, env=environment())
    page = window(chromium, *SIZES[name])
    page.goto(Path("report.html").absolute().as_uri())
    page.wait_for_selector("html[data-drawn]", state="attached", timeout=60_000)
    frame(name, chromium, page.screenshot())


def served_picture(name: str, chromium: Browser) -> None:
    """Draw a page that the last command serves, at a port that is free; the others run before."""
    *before, last = COMMANDS[name]
    for command in before:
        subprocess.run(command.split(), check=True, env=environment())
    server = subprocess.Popen(
        [*last.split(), "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment()
    )
    try:
        assert server.stdout is not None
        address = next(found[0] for line in server.stdout if (found := ADDRESS.search(line)))
        page = window(chromium, *SIZES[name])
        page.goto(address)
        page.locator(DRAWN[name]).first.wait_for(state="attached")
        page.wait_for_timeout(2_000)  # what is drawn glides into its place
        frame(name, chromium, page.screenshot())
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


ADDRESS = re.compile(r"http://\S+")


def notebook_picture(name: str, chromium: Browser) -> None:
    """Draw a cell of a notebook with what it shows."""
    shown = subprocess.run(
        [sys.executable, "-c", f"{NOTEBOOK.replace('cv.open', 'shown = cv.open')}\n"
         "print(shown._repr_html_())"],
        check=True, env=environment(), capture_output=True, text=True,
    ).stdout  # fmt: skip
    page = window(chromium, 930, 200)
    page.set_content(
        f"<body style='font: 14px system-ui, sans-serif; margin: 12px'><pre style='{CODE}'>"
        f"{escape(NOTEBOOK)}</pre>{shown}</body>"
    )
    page.wait_for_timeout(500)
    Path(name).write_bytes(page.screenshot(full_page=True))


CODE = "background: #f3f3f3; border: 1px solid #ddd; padding: 8px; font: 14px monospace"


def window(chromium: Browser, width: int, height: int) -> Any:
    """Open a window by day."""
    context = chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme="light"
    )
    context.set_default_timeout(120_000)
    return context.new_page()


def frame(name: str, chromium: Browser, picture: bytes) -> None:
    """Write a picture of a page, below the commands that lead to it."""
    width, height = SIZES[name]
    commands = escape("\n".join(f"$ {command}" for command in COMMANDS[name]))
    page = window(chromium, width, height)
    page.set_content(
        "<body style='margin: 0'><pre style='margin: 0; padding: 10px 16px; background: #24292f; "
        f"color: #fff; font: 15px monospace'>{commands}</pre>"
        f"<img src='data:image/png;base64,{b64encode(picture).decode()}' style='display: block'>"
    )
    page.wait_for_timeout(500)
    Path(name).write_bytes(page.screenshot(full_page=True))


Maker = Callable[[str, Browser], None]
MAKERS: dict[str, Maker] = {
    "run.svg": terminal_picture,
    "confirm.svg": terminal_picture,
    "report.png": report_picture,
    "dashboard.png": served_picture,
    "notebook.png": notebook_picture,
    "queue.png": served_picture,
}

if __name__ == "__main__":
    main(sys.argv[1:])
