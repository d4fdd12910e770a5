"""A staying worker's lines: on a terminal that several share, nothing but whole lines."""

import io

import pytest
from rich.console import Console

from cvfp_opt.api.display import log


def test_it_draws_nothing_on_a_terminal_and_wraps_at_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=40)
    monkeypatch.setattr(log, "make_console", lambda: terminal)
    display = log.LogDisplay("worker 1")
    with display._console.status("compiling"):
        display.notice("a sentence of words " * 4)
    text = shown.getvalue()
    assert "\x1b" not in text
    assert "compiling" not in text
    assert all(len(line) <= 40 for line in text.splitlines())
    assert text.split() == ["worker", "1:", *["a", "sentence", "of", "words"] * 4]


def test_it_says_why_it_is_idle_once(capsys: pytest.CaptureFixture[str]) -> None:
    display = log.LogDisplay()
    for reason in ("nothing", "nothing", "hours"):
        display.resting(reason)
    assert capsys.readouterr().out == "idle: nothing\nidle: hours\n"
