"""Run rows of the benchmark: ``python -m benchmarks [ROW ...]``."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table

from benchmarks import (
    asking,
    bookkeeping,
    commands,
    dashboard,
    events,
    gpu,
    gpu_checks,
    gpu_setting,
    looking,
    online,
    passes,
    rivals,
    scaling,
    searches,
    service,
    step,
    trial,
)
from benchmarks.setting import machine
from benchmarks.timing import Result
from cvfp_opt.api.display.console import make_console
from cvfp_opt.training.device import set_threads

ROWS: Mapping[str, Callable[..., Result | list[Result]]] = {
    "pass": passes.sequential,
    "segments": passes.segments,
    "step": step.step,
    "adam": step.adam,
    "rank": step.rank,
    "online": online.online,
    "trial": trial.trial,
    "untrained": trial.untrained,
    "rivals": rivals.rivals,
    "searches": searches.searches,
    "search": trial.search,
    "bookkeeping": bookkeeping.bookkeeping,
    "durable": bookkeeping.durable,
    "ask": asking.ask,
    "resume": asking.resume,
    "overhead": bookkeeping.overhead,
    "events": events.events,
    "dashboard": dashboard.dashboard,
    "commands": commands.commands,
    "stays": service.stays,
    "claims": service.claims,
    "first-claim": service.first_claim,
    "looking": looking.looking,
}
# Only when they are named: an hour, and some minutes all together.
LONG = (
    *(
        "untrained",
        "rivals",
        "searches",
        "search",
        "bookkeeping",
        "durable",
        "ask",
        "resume",
        "overhead",
        "events",
    ),
    *("dashboard", "commands", "stays", "claims", "first-claim", "looking"),
)

# The sizes that can be set, by row.
SIZED = {
    "trial": ("tokens",),
    "untrained": ("tokens",),
    "rivals": ("tokens", "trials", "width"),
    "searches": ("tokens", "trials", "width"),
}


@click.command()
@click.argument("rows", nargs=-1, metavar="[ROW]...")
@click.option("--threads", type=int, help="Of torch. [default: all processors]")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option(
    "--tokens", type=click.IntRange(min=64), help="Of trial, untrained, rivals and searches."
)
@click.option(
    "--trials", type=click.IntRange(min=1), help="Of rivals and searches: in each search."
)
@click.option("--width", type=click.IntRange(min=16), help="Of rivals and searches: D and E.")
@click.option("--small", is_flag=True, help="Of gpu: a tiny network, on a CPU too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    rows: tuple[str, ...],
    threads: int | None,
    repeats: int,
    tokens: int | None,
    trials: int | None,
    width: int | None,
    small: bool,
    as_json: bool,
) -> None:
    """Compare old and new ways of doing the same work, in turn, in one process.

    ROWS are pass, segments, step, adam, rank, online and trial (minutes), all of them by default;
    untrained and rivals (minutes); searches and search (an hour); scaling; dashboard and commands
    (minutes); those of the service: stays, claims, first-claim and looking (minutes, claims a
    quarter of an hour); those of the database: bookkeeping, durable, ask, resume, overhead and
    events (five minutes); and gpu: checks and figures of a CUDA device.
    """
    unknown = set(rows) - ROWS.keys() - {"scaling", "gpu"}
    if unknown:
        raise click.UsageError(
            f"rows are {', '.join([*ROWS, 'gpu', 'scaling'])}; got {', '.join(sorted(unknown))}"
        )
    given = {"tokens": tokens, "trials": trials, "width": width}
    sizes = {key: value for key, value in given.items() if value is not None}
    console = make_console(stderr=as_json)
    found: dict[str, Any] = {"machine": machine(set_threads(threads)), "rows": []}
    console.print("  ".join(f"{key} {value}" for key, value in found["machine"].items()))
    for row in rows or [name for name in ROWS if name not in LONG]:
        if row == "scaling":
            found["scaling"] = scaling.scaling()
            console.print_json(json.dumps(found["scaling"]))
            continue
        if row == "gpu":
            found["gpu"] = show_gpu(console, small=small)
            continue
        results = ROWS[row](repeats, **{k: v for k, v in sizes.items() if k in SIZED.get(row, ())})
        for result in results if isinstance(results, list) else [results]:
            found["rows"].append(result.to_dict())
            show(console, result)
    if as_json:
        print(json.dumps(found, indent=1))
    if not all(one.get("passed", True) for one in found.get("gpu", {}).get("found", [])):
        raise SystemExit(1)


def show_gpu(console: Console, *, small: bool) -> dict[str, Any]:
    """Check and measure a device, a line each as they come; return plain JSON values."""
    if not torch.cuda.is_available() and not small:
        raise click.UsageError("gpu: a CUDA device is required, torch finds none; type --small")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    about = gpu.accelerator(device)
    console.print("  ".join(f"{key} {value}" for key, value in about.items()))
    found = []
    for one in gpu.gpu(device, gpu_setting.SMALL if small else gpu_setting.STANDARD):
        found.append(gpu.to_json(one))
        if isinstance(one, gpu_checks.Check):
            line = f"{one.name}: {one.figure:.2g}, at most {one.limit:.2g}"
            console.print(f"{'pass' if one.passed else 'FAIL'}  {line}", soft_wrap=True)
        elif isinstance(one, gpu.Figure):
            memory = "" if one.memory is None else f"{one.memory / 2**20:,.0f} MiB"
            words = f"{one.value:,.4g} {one.unit}".rjust(20)
            console.print(f"{one.name:<58}{words}{memory:>12}  {one.note}", soft_wrap=True)
        else:
            console.print(one)
    return {"device": about, "found": found}


def show(console: Console, result: Result) -> None:
    """Print a row as a table."""
    unit = f" a {result.unit}" if result.unit else ""
    table = Table(title=result.title, title_justify="left")
    for header in (
        "",
        f"median{unit}",
        "fastest ... slowest",
        "times as fast",
        "lowest ... highest",
    ):
        table.add_column(header, justify="left" if not header else "right", no_wrap=True)
    for variant in result.variants:
        value = variant.to_dict()
        table.add_row(
            variant.name,
            seconds(value["median_seconds"]),
            f"{seconds(value['fastest_seconds'])} ... {seconds(value['slowest_seconds'])}",
            f"{value['ratio']:.2f}",
            f"{value['lowest_ratio']:.2f} ... {value['highest_ratio']:.2f}",
        )
    console.print()
    console.print(table)
    for note in result.notes:
        console.print(note, style="dim")


def seconds(value: float) -> str:
    """Format a duration at three digits."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if value * factor >= 1 or unit == "us":
            return f"{value * factor:.3g} {unit}"
    raise AssertionError


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
