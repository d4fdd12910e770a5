"""What the server says of itself."""

import platform
from importlib.metadata import version
from typing import TypedDict

from cvfp_opt.service.route import Answer, Call
from cvfp_opt.version import __version__


class VersionJson(TypedDict):
    """What answers.

    Attributes:
        version: of this program.
        optuna: version of Optuna.
        python: version of Python.
        database: kind of the database: "sqlite", "postgresql" or "mysql".
    """

    version: str
    optuna: str
    python: str
    database: str


def show_version(call: Call) -> Answer:
    """Show the versions of what answers."""
    found: VersionJson = {
        "version": __version__,
        "optuna": version("optuna"),
        "python": platform.python_version(),
        "database": call.desk.location.kind,
    }
    return Answer(value=found)


def show_openapi(call: Call) -> Answer:
    """Show this description of all routes."""
    from cvfp_opt.service.openapi import openapi
    from cvfp_opt.service.routes import ROUTES

    return Answer(value=openapi(ROUTES, call.desk.base))
