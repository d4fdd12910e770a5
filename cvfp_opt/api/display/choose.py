"""Choose how to show what runs, by where it is shown."""

import sys

from cvfp_opt.api.display.protocol import TrainingView, View


def search_view(progress: bool | None) -> View:
    """Choose how to show a search.

    Args:
        progress: False for silence, True for lines at least, None to choose: bars on a terminal
            and in a notebook, silence elsewhere.
    """
    if not is_shown(progress):
        from cvfp_opt.api.display.silent import SILENT

        return SILENT
    if in_notebook():
        from cvfp_opt.api.display.notebook import NOTEBOOK

        return NOTEBOOK
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.display.search import view_on

    return view_on(make_console(stderr=True))


def training_view(progress: bool | None) -> TrainingView:
    """Choose how to show training runs; see ``search_view``."""
    if not is_shown(progress):
        from cvfp_opt.api.display.silent import SilentTraining

        return SilentTraining()
    if in_notebook():
        from cvfp_opt.api.display.notebook import NotebookTraining

        return NotebookTraining()
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.display.training import ConsoleTraining

    return ConsoleTraining(make_console(stderr=True))


def is_shown(progress: bool | None) -> bool:
    """Check whether to show anything; None for where somebody looks."""
    return (in_notebook() or sys.stderr.isatty()) if progress is None else progress


def in_notebook() -> bool:
    """Check whether this is a kernel of Jupyter's, without importing IPython."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
