"""A report as one page of HTML that needs nothing else."""

import base64
import gzip
from functools import cache

from plotly.offline import get_plotlyjs

from cvfp_opt.report.page.content import Content
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


@cache
def compressed_plotly() -> str:
    """Pack Plotly's script as gzip in base64: 2 MB instead of 4.8.

    Browsers unpack it since 2023. It is the one that the installed plotly came with: it knows
    what that plotly draws.
    """
    packed = gzip.compress(get_plotlyjs().encode(), compresslevel=9, mtime=0)
    return base64.b64encode(packed).decode()
