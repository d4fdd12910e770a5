"""Options that several commands share."""

import functools
import math
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from cvfp_opt.errors import nearest

Command = TypeVar("Command", bound=Callable[..., Any])

# The longest time, 31 years: no clock, timer or date fails on it.
_LONGEST = 1e9


class Name(click.ParamType):
    """A name out of some; any other is refused with the list and the nearest one."""

    name = "name"

    def __init__(self, valid: tuple[str, ...]) -> None:
        self.valid = valid

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Show the names in the usage line."""
        return "{" + "|".join(self.valid) + "}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.valid:
            self.fail(f"unknown name {value!r}; {nearest(str(value), self.valid)}", param, ctx)
        return str(value)


class UserPath(click.Path):
    """A path, in which ``~`` is the home folder; an empty one, and one of ``-``, are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).strip():
            self.fail("a path is required, got an empty one (a variable that is not set?)")
        if str(value) == "-":
            self.fail("a path is required, got -, which is no standard stream here; type ./-")
        # the shell leaves a ``~`` after ``=`` as it is: ``--output=~/page.html``
        return super().convert(os.path.expanduser(value), param, ctx)


class Seconds(click.FloatRange):
    """A time in seconds: a number is required, and an end where a clock is set by it.

    Args:
        least: seconds.
        endless: whether ``inf`` means something: to wait for ever.
    """

    name = "seconds"

    def __init__(self, least: float, *, endless: bool = False) -> None:
        super().__init__(min=least, max=None if endless else _LONGEST)
        self._least, self._most = least, math.inf if endless else _LONGEST

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not self._least <= seconds <= self._most:
            most = "on" if self.max is None else f"to {self._most:,.0f}"
            self.fail(
                f"seconds from {self._least:g} {most} are required, got {value!r}", param, ctx
            )
        return seconds


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Make several options one decorator; the help lists them in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


storage_option = click.option(
    "--storage",
    envvar="CVFP_OPT_STORAGE",
    metavar="URL|PATH",
    help="Study database: an SQLite file, sqlite:///PATH, postgresql://USER@HOST/DATABASE or "
    "mysql://USER@HOST/DATABASE. "
    "[default: storage/cvfp.db in the current folder; environment: CVFP_OPT_STORAGE]",
)
artifacts_option = click.option(
    "--artifacts",
    envvar="CVFP_OPT_ARTIFACTS",
    metavar="PATH|s3://BUCKET/PREFIX",
    help="Where files of trials lie: checkpoints, curves, the best networks. [default: artifacts/ "
    "beside the SQLite file, storage/artifacts for a server; environment: CVFP_OPT_ARTIFACTS]",
)
study_name_option = click.option("--study-name", metavar="NAME", help="Name of the study.")


def named_study(command: Command) -> Command:
    """Let a study be named by an argument or by --study-name: the command's ``study_name``.

    None if it is not named: the only study there is.
    """
    return _named(command, required=False)


def one_study(command: Command) -> Command:
    """Let a study be named as by ``named_study``, where it must be."""
    return _named(command, required=True)


def _named(command: Command, *, required: bool) -> Command:
    @click.argument("study", required=False, metavar="STUDY" if required else "[STUDY]")
    @study_name_option
    @functools.wraps(command)
    def named(*, study: str | None, study_name: str | None, **words: Any) -> Any:
        if study is not None and study_name is not None:
            raise click.UsageError("the study is named twice; give STUDY or --study-name")
        if required and not (study or study_name):
            raise click.UsageError("a study is required; give STUDY or --study-name")
        return command(study_name=study or study_name, **words)

    return cast(Command, named)


seed_option = click.option(
    "--seed", type=int, help="Seed of everything random (at creation). [default: 0]"
)
data_option = click.option(
    "--data",
    type=click.Path(),
    help="Text to train on: a .txt file, a folder of them, or a .jsonl or .parquet file.",
)
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change the definition (at creation); repeatable.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
allow_code_option = click.option(
    "--allow-code",
    is_flag=True,
    help="Run the losses and schedules that the study itself names as package.module:function.",
)
compute_options = together(
    click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="auto|cpu|cuda",
        help="Where to compute; auto: on a GPU if there is one.",
    ),
    click.option("--threads", type=int, help="Threads of torch. [default: all processors]"),
)
engine_options = together(
    click.option(
        "--engine",
        default="processes",
        show_default=True,
        metavar="processes|dask",
        help="Who runs the trials: processes of this machine, or the workers of a Dask cluster.",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Scheduler of the Dask cluster, as tcp://HOST:8786. All its workers run trials, or "
        "--n-jobs of them; each has the threads that Dask gave it, or --threads. [default: a "
        "new cluster on this machine]",
    ),
)
lanes_option = click.option(
    "--lanes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Trials computed together in one process: for a GPU, which a single trial leaves idle.",
)
lease_option = click.option(
    "--lease",
    type=Seconds(1),
    default=60,
    show_default=True,
    envvar="CVFP_OPT_LEASE",
    metavar="SECONDS",
    help="A worker that gives no sign of life for so long loses its trial to another one.",
)
retries_option = click.option(
    "--max-retries",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="Workers that may die with one trial before it counts as lost.",
)
checkpoint_option = click.option(
    "--checkpoint-every",
    type=Seconds(0, endless=True),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Time between two checkpoints of a running trial; 0: one after each iteration.",
)
wait_option = click.option(
    "--wait-for-database",
    type=Seconds(0, endless=True),
    default=600,
    show_default=True,
    envvar="CVFP_OPT_WAIT_FOR_DATABASE",
    metavar="SECONDS",
    help="How long to wait for a database that does not answer.",
)
limit_options = together(
    lease_option,
    wait_option,
    retries_option,
    checkpoint_option,
)
