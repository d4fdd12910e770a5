"""A report as one page of HTML that needs nothing else."""

import base64
import gzip
from functools import cache

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from cvfp_opt.report.page.content import Content, script_json
from cvfp_opt.report.page.templates import html_environment
from cvfp_opt.version import __version__


def render(content: Content, made: str) -> str:
    """Render the page; all that came from a database is escaped.

    Args:
        made: when, in words.
    """
    return (
        html_environment()
        .get_template("report.html.j2")
        .render(page=content, made=made, version=__version__, plotly=compressed_plotly())
    )


def render_figure(figure: go.Figure, *, study: str, title: str, caption: str, made: str) -> str:
    """Render a page of one figure, as the report shows it: for light and dark, and for print.

    Args:
        figure: to be drawn.
        study: its name.
        title, caption: what the figure shows.
        made: when, in words.
    """
    return (
        html_environment()
        .get_template("figure.html.j2")
        .render(
            study=study,
            title=title,
            caption=caption,
            height=int(figure.layout.height or 420),
            json=script_json(figure),
            made=made,
            version=__version__,
            plotly=compressed_plotly(),
        )
    )


@cache
def compressed_plotly() -> str:
    """Pack Plotly's script as gzip in base64: 2 MB instead of 4.8.

    Browsers unpack it since 2023. It is the one that the installed plotly came with: it knows
    what that plotly draws.
    """
    packed = gzip.compress(get_plotlyjs().encode(), compresslevel=9, mtime=0)
    return base64.b64encode(packed).decode()
