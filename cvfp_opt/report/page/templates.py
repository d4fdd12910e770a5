"""The templates of pages: HTML in which all that is put in is escaped."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def html_environment() -> Environment:
    """Return the environment of the templates in this folder that are HTML."""
    return Environment(
        loader=PackageLoader("cvfp_opt.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
