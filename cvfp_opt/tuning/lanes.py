"""A search that runs several trials at once, as lanes of one device; see training.lanes."""

import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from cvfp_opt.errors import DefinitionError, DeviceError
from cvfp_opt.store.database.file_watch import FileGone
from cvfp_opt.training.device import load_linear_algebra
from cvfp_opt.training.lanes import Lanes
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.runner import FirstTrials, Search
from cvfp_opt.tuning.stopping import SearchStopped, Stop


def check_lanes(definition: StudyDefinition, num_lanes: int, num_processes: int = 1) -> None:
    """Check that trials of this kind can be lanes, and that nothing else runs several at once.

    Raises:
        DefinitionError, DeviceError: they cannot.
    """
    if num_lanes > 1 and num_processes > 1:
        raise DeviceError(
            f"--lanes {num_lanes} --n-jobs {num_processes}: one of the two is required; "
            "lanes for a GPU, jobs for a CPU"
        )
    trainer = definition.training.trainer
    if num_lanes > 1 and trainer != "batch":
        raise DefinitionError(
            f'--lanes {num_lanes}: training.trainer = "batch" is required, got "{trainer}", '
            "which has nothing to compute together; leave --lanes out"
        )


class _SharedStop:
    """A Stop that also ends all lanes when the search of one has raised.

    Attributes:
        error: the first that a lane raised.
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self.error: BaseException | None = None

    def check(self) -> None:
        self._stop.check()
        # all lanes notice by themselves that a file is gone, and keep what they have
        if self.error is not None and not isinstance(self.error, FileGone):
            raise SearchStopped(signal.SIGTERM)


def search_in_lanes(
    search: Search, num_lanes: int, num_trials: int, deadline: float | None = None
) -> None:
    """Run a search in ``num_lanes`` threads, their trials computed together.

    Each claims a trial, runs it, writes how it went, and claims the next one. One lane needs no
    thread: that is ``search.run`` itself.

    Raises:
        SearchStopped: the running trials were given back.
        SearchError: the first trials all raised.
    """
    if num_lanes == 1:
        search.run(num_trials, deadline)
        return
    load_linear_algebra(search.objective.device)
    stop, first = _SharedStop(search.stop), FirstTrials()
    search = replace(
        search,
        objective=replace(search.objective, place=Lanes().lane),
        environment=search.environment | {"lanes": num_lanes},
        stop=stop,
    )
    if search.looks_back:
        search.finish_earlier()

    def work() -> None:
        try:
            search.run_trials(num_trials, deadline, first)
        except BaseException as error:  # SearchStopped is one
            if stop.error is None:
                stop.error = error
            elif isinstance(error, FileGone):
                search.observer.notice(str(error))

    # the main thread receives signals, and does nothing but wait
    with ThreadPoolExecutor(num_lanes, thread_name_prefix="lane") as pool:
        for _ in range(num_lanes):
            pool.submit(work)
    if stop.error is not None:
        raise stop.error
