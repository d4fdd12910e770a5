"""Runs without a study: training once, and the original report's tests."""

from pathlib import Path
from typing import TYPE_CHECKING

from cvfp_opt.tuning.definition import StudyDefinition

if TYPE_CHECKING:
    from cvfp_opt.api.display.protocol import TrainingView
    from cvfp_opt.single.train import Trained
    from cvfp_opt.single.verify import Check


def train_once(
    definition: StudyDefinition,
    view: "TrainingView",
    *,
    device: str = "auto",
    threads: int | None = None,
    save: Path | None = None,
) -> "Trained":
    """Train by a definition that searches nothing; a run that was stopped goes on.

    Args:
        definition: of the run.
        view: shows it.
        device, threads: what to compute on, see training.device.
        save: a new folder for its network; None for none.

    Raises:
        CvfpOptError: something is not as required.
    """
    definition.hyperparameters()  # what is mistyped needs not wait for torch

    from cvfp_opt.single.train import FileKeeper, Trained, run_resumable, save_network
    from cvfp_opt.store.files.saved_networks import check_target
    from cvfp_opt.training.device import resolve_device, set_threads
    from cvfp_opt.tuning.custom_code import load_code
    from cvfp_opt.tuning.environment import describe_environment
    from cvfp_opt.tuning.objective import Objective

    chosen = resolve_device(device)
    environment = describe_environment(chosen, set_threads(threads))
    environment["code"] = load_code(definition)
    if save is not None:
        check_target(save)
    tokens = definition.load_tokens()
    objective = Objective(definition=definition, tokens=tokens, device=chosen)
    run = objective.prepare({}, 0)
    view.compile(definition, environment["device"])
    with view.show(definition) as shown:
        if tokens.notice:
            shown.notice(f"note: {tokens.notice}")
        keeper = FileKeeper(definition, tokens, environment, shown.notice)
        result = run_resumable(run, shown.observe, keeper)
    trained = Trained(
        objective=objective,
        network=run.network,
        result=result,
        environment=environment,
        seed=definition.search.seed,
    )
    if save is not None:
        save_network(save, trained)
    keeper.finished()
    return trained


def verify_network_of(
    source: StudyDefinition | Path,
    protocol: str,
    view: "TrainingView",
    *,
    threads: int | None = None,
) -> "list[Check]":
    """Check a saved network, or one that is trained by a definition first.

    Args:
        source: a definition that searches nothing, or a folder that `train --save` wrote.
        protocol: "quick" or "standard".
        view: shows the training.
        threads: number of torch's threads; None for all processors.

    Raises:
        CvfpOptError: something is not as required.
    """
    if isinstance(source, StudyDefinition):
        source.hyperparameters()

    from cvfp_opt.single.train import load_network
    from cvfp_opt.single.verify import PROTOCOLS, reduced, verify_definition, verify_network
    from cvfp_opt.training.device import set_threads

    set_threads(threads)
    if isinstance(source, Path):
        network, definition, saved = load_network(source)
        origin = saved.account.origin
        seed, number = origin.get("seed"), origin.get("number", 0)
        return verify_network(network, definition, PROTOCOLS[protocol], seed=seed, number=number)
    with view.show(reduced(source, PROTOCOLS[protocol])) as shown:
        checks, _ = verify_definition(source, PROTOCOLS[protocol], shown.observe)
    return checks
