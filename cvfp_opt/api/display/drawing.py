"""Draw below the lines that are printed, anew several times a second."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import RenderableType
from rich.live import Live
from rich.spinner import Spinner

from cvfp_opt.api.display.console import PlainConsole, print_line

if TYPE_CHECKING:
    from cvfp_opt.tuning.definition import StudyDefinition

PER_SECOND = 4
NOTEWORTHY_SECONDS = 2.0


class Drawing:
    """Draws on a terminal, below what is printed meanwhile; nowhere else.

    rich's Live draws in a thread of its own, and goes up as many lines as it drew last. Where
    another thread printed in between and the number of lines changed, it went too far or not far
    enough: at 80x24, 4 of the 50 lines of a search were overwritten, and as many bars stayed. So
    here the console lets one draw or print at a time.

    Args:
        console: where to draw.
        draw: makes what is to be drawn now.
        transient: whether nothing of it stays at the end.
    """

    def __init__(
        self,
        console: PlainConsole,
        draw: Callable[[], RenderableType],
        *,
        transient: bool = True,
    ) -> None:
        self._console = console
        self._live = Live(
            get_renderable=draw, console=console, transient=transient, auto_refresh=False
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="drawing", daemon=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            with self._console:
                self._live.start(refresh=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread.is_alive():
            self._ended.set()
            self._thread.join()
            with self._console:
                self._live.stop()

    def _draw(self) -> None:
        while not self._ended.wait(1 / PER_SECOND):
            with self._console:
                self._live.refresh()


def compile_once(console: PlainConsole, definition: "StudyDefinition", device: str) -> None:
    """Compile the kernels if this installation has not, and say so: it takes seconds."""
    import torch

    from cvfp_opt.model.kernel import why_unkept
    from cvfp_opt.training.warmup import compile_kernels

    waiting = Spinner("dots", "getting the kernels ready ...")
    with Drawing(console, lambda: waiting):
        seconds = compile_kernels(
            definition.training.trainer,
            definition.model.num_layers,
            torch.device(device),
            definition.training.precision,
        )
    if seconds > NOTEWORTHY_SECONDS:
        when = "once after an installation"
        if why_unkept():
            when = (
                "as by every process: no folder is there to keep them in; set NUMBA_CACHE_DIR to "
                "one that can be written"
            )
        print_line(console, f"kernels compiled in {seconds:.0f} s, {when}")
