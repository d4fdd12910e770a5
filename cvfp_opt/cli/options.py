"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def storage_option(command: Command) -> Command:
    """``--storage``."""
    return click.option(
        "--storage",
        envvar="CVFP_OPT_STORAGE",
        metavar="URL|PATH",
        help="Study database: an SQLite file or sqlite:///PATH. "
        "[default: storage/cvfp.db in the current folder; environment: CVFP_OPT_STORAGE]",
    )(command)


def study_name_option(command: Command) -> Command:
    """``--study-name``."""
    return click.option("--study-name", metavar="NAME", help="Name of the study.")(command)


def json_option(command: Command) -> Command:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
