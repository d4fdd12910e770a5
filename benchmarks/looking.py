"""What `serve` takes to show many studies: metrics for Prometheus, and a refresh of its page."""

from benchmarks.populating import populate
from benchmarks.service import databases
from benchmarks.timing import Result, in_turn
from cvfp_opt.report.board import read_board
from cvfp_opt.report.dashboard.gate import EVERYTHING
from cvfp_opt.service.metrics import Metrics
from cvfp_opt.service.page import make_page, page_html
from cvfp_opt.store.database.storage import Store, open_for_reading

NUM_TRIALS = 50
SIZES = (100, 1000)


def looking(
    repeats: int, sizes: tuple[int, ...] = SIZES, num_trials: int = NUM_TRIALS
) -> list[Result]:
    """Read databases with many studies, each with its mirrors, for both."""
    results = []
    for size in sizes:
        with databases() as locations:
            for location in locations:
                populate(location, size, num_trials)
                with open_for_reading(location) as store:
                    result = Result(
                        row="looking",
                        title=f"{location.kind}, {size} studies of {num_trials} trials",
                        unit="",
                        variants=in_turn(
                            {
                                "the queue's page": (lambda: _page(store), 1),
                                "metrics": (lambda: Metrics(store).text(), 1),
                            },
                            repeats=repeats,
                        ),
                    )
                    results.append(result)
    return results


def _page(store: Store) -> str:
    return page_html(make_page(read_board(store), EVERYTHING, where=store.location.shown))
