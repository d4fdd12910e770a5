"""A report as one page of HTML that needs nothing else."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from cvfp_opt.report.page.content import Content
from cvfp_opt.report.page.plotly_script import compressed_plotly
from cvfp_opt.version import __version__


def render(content: Content, made: str) -> str:
    """Render the page; all that came from a database is escaped.

    Args:
        made: when, in words.
    """
    return (
        _environment()
        .get_template("report.html.j2")
        .render(page=content, made=made, version=__version__, plotly=compressed_plotly())
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("cvfp_opt.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
