"""Choose how to show what runs, by where it is shown."""

from cvfp_opt.api.display.protocol import TrainingView, View


def search_view(progress: bool | None) -> View:
    """Choose how to show a search.

    Args:
        progress: False for silence, True for lines at least, None to choose: bars on a terminal
            and in a notebook, silence elsewhere.
    """
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.display.search import view_on

    return view_on(make_console(stderr=True))


def training_view(progress: bool | None) -> TrainingView:
    """Choose how to show training runs; see ``search_view``."""
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.display.training import ConsoleTraining

    return ConsoleTraining(make_console(stderr=True))
