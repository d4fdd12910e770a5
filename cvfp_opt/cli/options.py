"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cvfp_opt.errors import nearest

Command = TypeVar("Command", bound=Callable[..., Any])


class Name(click.ParamType):
    """One of some names; another is refused with the list and the nearest one."""

    name = "name"

    def __init__(self, valid: tuple[str, ...]) -> None:
        self.valid = valid

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Shown in the usage line."""
        return "{" + "|".join(self.valid) + "}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.valid:
            self.fail(f"unknown name {value!r}; {nearest(str(value), self.valid)}", param, ctx)
        return str(value)


def storage_option(command: Command) -> Command:
    """``--storage``."""
    return click.option(
        "--storage",
        envvar="CVFP_OPT_STORAGE",
        metavar="URL|PATH",
        help="Study database: an SQLite file, sqlite:///PATH, postgresql://USER@HOST/DATABASE or "
        "mysql://USER@HOST/DATABASE. "
        "[default: storage/cvfp.db in the current folder; environment: CVFP_OPT_STORAGE]",
    )(command)


def artifacts_option(command: Command) -> Command:
    """``--artifacts``."""
    return click.option(
        "--artifacts",
        envvar="CVFP_OPT_ARTIFACTS",
        metavar="PATH|s3://BUCKET/PREFIX",
        help="Where checkpoints of running trials lie. [default: artifacts/ beside the SQLite "
        "file, storage/artifacts for a server; environment: CVFP_OPT_ARTIFACTS]",
    )(command)


def study_name_option(command: Command) -> Command:
    """``--study-name``."""
    return click.option("--study-name", metavar="NAME", help="Name of the study.")(command)


def json_option(command: Command) -> Command:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
