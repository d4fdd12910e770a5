"""How many workers run at once on this machine, and with how many threads each."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cvfp_opt.errors import DeviceError

if TYPE_CHECKING:
    import torch

# More processes, half a gigabyte each, would fill a new user's machine.
MAX_DEFAULT_JOBS = 4


@dataclass(frozen=True, kw_only=True)
class Workers:
    """The workers that the user asked for.

    Attributes:
        device: as typed.
        threads: of torch: as typed for all workers of this machine together; once shared out, and
            on a Dask cluster of the user's, for each; None for as many as there are.
        n_jobs: how many workers at once; None for a good number, or as many as there is room for.
        lanes: trials at once in each.
        engine: one of ENGINES.
        scheduler: address of a Dask scheduler; None for workers on this machine.
    """

    device: str = "auto"
    threads: int | None = None
    n_jobs: int | None = None
    lanes: int = 1
    engine: str = "processes"
    scheduler: str | None = None

    @property
    def remote(self) -> bool:
        """Check if trials are computed by a Dask cluster of the user's, not by this machine."""
        return self.scheduler is not None

    def resolve_device(self) -> "torch.device":
        """Find the device of this machine that they mean.

        Raises:
            DeviceError: there is none.
        """
        from cvfp_opt.training.device import resolve_device

        return resolve_device("auto" if self.remote and self.device == "cuda" else self.device)


def share_out(options: Workers) -> Workers:
    """Choose how many workers run at once, and set the threads of each on this machine.

    As many processes as threads by default, up to MAX_DEFAULT_JOBS, and one on a GPU: passes use
    one thread, and training gains less from a second one than a second trial does
    (docs/performance.md). A Dask cluster of the user's chooses by itself.

    Raises:
        DeviceError: no such device; fewer than one worker or thread.
    """
    from cvfp_opt.training.device import set_threads

    device, count = options.resolve_device(), options.n_jobs
    available = set_threads(options.threads)
    if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
        raise DeviceError(f"n_jobs: a whole number is required, got {count!r}")
    if count is not None and count < 1:
        raise DeviceError(f"--n-jobs: at least 1 is required, got {count}")
    if options.remote:
        return options
    if count is None:
        single = options.lanes > 1 or device.type != "cpu"
        count = 1 if single else min(available, MAX_DEFAULT_JOBS)
    return replace(options, n_jobs=count, threads=set_threads(max(1, available // count)))
