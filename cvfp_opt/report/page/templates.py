"""The templates of pages: HTML in which all that is put in is escaped."""

from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


@cache
def html_environment(*packages: str) -> Environment:
    """Return the environment of the templates that are HTML: those in this folder, and others'.

    Args:
        packages: that have templates of their own beside their modules.
    """
    others = [PackageLoader(package, "") for package in packages]
    return Environment(
        loader=ChoiceLoader([*others, PackageLoader("cvfp_opt.report", "page")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
