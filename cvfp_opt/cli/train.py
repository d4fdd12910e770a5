"""``train``: one training run with fixed parameters, and no study."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cvfp_opt.cli.console import print_json, print_lines, terminal_width
from cvfp_opt.cli.options import UserPath, compute_options, json_option

if TYPE_CHECKING:
    from cvfp_opt.store.record.records import TrialRecord


@click.command(
    epilog="Example: cvfp-opt train quick --set space.dist_reg_weight=0.85 "
    "--set space.phase1_learning_rate=0.002 --set space.phase1_convergence_threshold=0.5 "
    "--set space.layernorm_mix=1"
)
@click.argument("definition", default="recommended")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change the definition or fix a parameter: --set space.layernorm_mix=1; repeatable.",
)
@click.option("--seed", type=int, help="Seed of everything random. [default: the definition's]")
@click.option("--data", type=click.Path(), help="Text to train on, as for `run`.")
@click.option(
    "--save",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="Write a checkpoint to this folder.",
)
@compute_options
@json_option
def train(
    definition: str,
    settings: tuple[str, ...],
    seed: int | None,
    data: str | None,
    save: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Train once, with fixed parameters, and audit the result.

    DEFINITION is a name (recommended, quick, standard, fixed_point, seed, staged, adaptive,
    losses, pareto, honest) or the path of a .toml file. The run is the one that trial 0 of a
    study with these parameters and this seed would be. A run that was stopped goes on after its
    last whole iteration when the same command is typed again.
    """
    from cvfp_opt.tuning.plan import Request

    request = Request(definition=definition, settings=settings, data=data, seed=seed)
    resolved = request.resolve(None)  # what is mistyped needs not wait for torch
    resolved.hyperparameters()

    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.display.training import ConsoleTraining
    from cvfp_opt.api.single_runs import train_once
    from cvfp_opt.single.run_card import record_of

    view = ConsoleTraining(make_console(stderr=as_json))
    trained = train_once(resolved, view, device=device, threads=threads, save=save)
    if as_json:
        print_json(trained.result.to_dict() | {"definition": resolved.to_dict()})
    else:
        _report(record_of(trained), resolved.to_dict(), save)
    sys.exit(0 if trained.result.audit is not None else 1)


def _report(record: "TrialRecord", definition: dict[str, Any], save: Path | None) -> None:
    from cvfp_opt.report.judgement import judge_trial
    from cvfp_opt.report.trial import account_lines
    from cvfp_opt.report.words import reason_words

    print_lines([f"{record.status}: {reason_words(record)}"])
    print_lines(account_lines(record, terminal_width()))
    if record.audit:
        print_lines(["", judge_trial(record, definition, subject="The run")])
    if save is not None:
        print_lines(["", f"checkpoint: {save}"])
