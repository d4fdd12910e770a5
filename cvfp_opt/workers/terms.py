"""The terms on which a worker stays: what it serves, with what, and until when."""

from dataclasses import dataclass, field

from cvfp_opt.store.database.location import Location
from cvfp_opt.tuning.limits import Limits
from cvfp_opt.workers.hours import Hours


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The terms of a worker. Can be pickled.

    Attributes:
        location: of the database.
        device: as typed.
        threads: of torch.
        lanes: trials at once.
        patterns: names of the studies that it serves, with wildcards; empty for all.
        allow_code: whether to run code that only a study's database names.
        mixed: whether to serve studies that began on another version or device.
        until_idle: whether to end when there is nothing to begin.
        max_trials: ends after so many; None for no end.
        hours: in which it takes trials; None for any.
        limits: of its patience.
    """

    location: Location
    device: str = "auto"
    threads: int = 1
    lanes: int = 1
    patterns: tuple[str, ...] = ()
    allow_code: bool = False
    mixed: bool = False
    until_idle: bool = False
    max_trials: int | None = None
    hours: Hours | None = None
    limits: Limits = field(default_factory=Limits)
