"""``train``: one training run with fixed parameters, and no study."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvfp_opt.cli.options import UserPath, compute_options, json_option

if TYPE_CHECKING:
    from rich.console import Console

    from cvfp_opt.search.definition import StudyDefinition
    from cvfp_opt.store.record.trial_attributes import StoredEnvironment
    from cvfp_opt.training.result import TrainingResult


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
    from cvfp_opt.search.plan import Request

    request = Request(definition=definition, settings=settings, data=data, seed=seed)
    resolved = request.resolve(None)  # what is mistyped needs not wait for torch
    resolved.hyperparameters()

    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.search.custom_code import load_code
    from cvfp_opt.search.environment import describe_environment
    from cvfp_opt.store.files.saved_networks import check_target
    from cvfp_opt.training.device import resolve_device, set_threads

    environment = describe_environment(resolve_device(device), set_threads(threads))
    environment["code"] = load_code(resolved)
    if save is not None:
        check_target(save)
    result = _train(resolved, environment, save, make_console(stderr=as_json))
    _report(result, resolved, save, as_json)
    sys.exit(0 if result.audit is not None else 1)


def _train(
    definition: "StudyDefinition",
    environment: "StoredEnvironment",
    save: Path | None,
    console: "Console",
) -> "TrainingResult":
    import torch

    from cvfp_opt.api.display.console import compile_once
    from cvfp_opt.api.display.training import resumable
    from cvfp_opt.search.objective import Objective
    from cvfp_opt.single.train import FileKeeper, Trained, run_resumable, save_network

    tokens = definition.load_tokens()
    objective = Objective(
        definition=definition, tokens=tokens, device=torch.device(environment["device"])
    )
    run = objective.prepare({}, 0)
    compile_once(console, definition, environment["device"])
    with resumable(console, definition) as table:
        if tokens.notice:
            table.notice(f"note: {tokens.notice}")
        keeper = FileKeeper(definition, tokens, environment, table.notice)
        result = run_resumable(run, table.observe, keeper)
    if save is not None:
        trained = Trained(
            objective=objective,
            network=run.network,
            result=result,
            environment=environment,
            seed=definition.search.seed,
        )
        save_network(save, trained)
    keeper.finished()
    return result


def _report(
    result: "TrainingResult", definition: "StudyDefinition", save: Path | None, as_json: bool
) -> None:
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.cli.console import print_json, print_lines
    from cvfp_opt.report.best import account_lines
    from cvfp_opt.report.judgement import judge_trial
    from cvfp_opt.search.objective import outcome
    from cvfp_opt.store.record.records import TrialRecord

    scored = definition.objective.scored(result)
    record = TrialRecord(
        number=0,
        state="complete" if result.audit else "fail",
        value=scored.score if scored else None,
        **outcome(result, scored),
        environment={"optimizer_steps": result.optimizer_steps},
    )
    if as_json:
        print_json(result.to_dict() | {"definition": definition.to_dict()})
        return
    print_lines([f"{result.status.value}: {result.reason}", *account_lines(record)])
    if result.audit is not None:
        print_lines([""])
        make_console().print(judge_trial(record, definition.to_dict(), subject="The run"))
    if save is not None:
        print_lines(["", f"checkpoint: {save}"])
