"""The original report's bugs and tests, run again."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cvfp_opt.api.display.choose import training_view
from cvfp_opt.api.interrupts import interruptible
from cvfp_opt.errors import DefinitionError, nearest

if TYPE_CHECKING:
    from cvfp_opt.api.display.protocol import TrainingView


def reproduce(
    name: str,
    *,
    tokens: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Run a bug of the original report and its fix, or one of its tests; return both figures.

    At the standard size of the network: a bug takes a minute or two, a test up to an hour.

    Args:
        name: "bug-1", "bug-2", "test-1" or "test-2".
        tokens: tokens to train on; None for 256, 64 or 6400.
        device: "auto", "cpu" or "cuda".
        threads: number of torch's threads; None for all processors.
        progress: show it; None to choose by where it is shown.

    Returns:
        Its title, explanation, and ``variants`` with the figures of the report and of now.

    Raises:
        DefinitionError: there is no such bug or test.
        KeyboardInterrupt: it was stopped; the same call goes on.
    """
    from cvfp_opt.single.reproduce import EXPERIMENTS

    if name not in EXPERIMENTS:
        raise DefinitionError(f"unknown name {name!r}; {nearest(str(name), EXPERIMENTS)}")
    view = training_view(progress)
    with interruptible():
        ((_, found),) = reproductions([name], view, tokens=tokens, device=device, threads=threads)
    return found


def reproductions(
    names: Sequence[str],
    view: "TrainingView",
    *,
    tokens: int | None,
    device: str,
    threads: int | None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run experiments one after another, and yield what each has found by its name."""
    from cvfp_opt.single import reproduce as library
    from cvfp_opt.training.device import resolve_device, set_threads
    from cvfp_opt.tuning.environment import describe_environment

    environment = describe_environment(resolve_device(device), set_threads(threads))
    for name in names:
        experiment = library.EXPERIMENTS[name]
        count = tokens or experiment.tokens
        rows = []
        for variant in experiment.variants:
            definition = library.define(experiment, variant, count)
            view.notify("")
            view.notify(f"{name}: {variant.label}, {count} tokens")
            with view.show(definition, notices=False) as shown:
                rows.append(
                    library.reproduce(
                        definition, variant, shown.observe, environment, shown.notice
                    )
                )
        yield (
            name,
            {
                "title": experiment.title,
                "tokens": count,
                "explanation": experiment.explanation,
                "variants": [asdict(row) for row in rows],
            },
        )
