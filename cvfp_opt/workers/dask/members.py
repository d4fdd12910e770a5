"""Which workers of a Dask cluster may search, and with how many threads."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cvfp_opt.version import __version__
from cvfp_opt.workers.dask.task import Place

# These versions have to agree between this process, the scheduler and every worker; torch and
# optuna do not matter to a scheduler.
PACKAGES = ("distributed", "torch", "optuna")
COMPARED = ("python", "cvfp-opt", *PACKAGES)
SCHEDULER_COMPARED = ("python", "cvfp-opt", "distributed")


@dataclass(frozen=True, kw_only=True)
class Member:
    """A Dask worker that may search.

    Attributes:
        address: its own, gone for ever when its process ends.
        name: for people.
        num_threads: that Dask was told to use there.
        place: where it runs.
    """

    address: str
    name: str
    num_threads: int
    place: Place

    @property
    def neighbourhood(self) -> "Neighbourhood":
        """Give what is the same for all members that share processors."""
        place = self.place
        # a container that may use less than it sees has that for itself
        own = place.threads < len(place.processors)
        return place.boot, place.processors, place.host if own else ""


Neighbourhood = tuple[str, tuple[int, ...], str]


def neighbours_of(members: Iterable[Member]) -> Counter[Neighbourhood]:
    """Count the members that share the processors of each neighbourhood."""
    return Counter(member.neighbourhood for member in members)


def fair_share(member: Member, neighbours: Counter[Neighbourhood], typed: int | None) -> int:
    """Choose torch's threads for a member: as many as Dask has there, at most those there are.

    Args:
        member: one of those counted.
        neighbours: see ``neighbours_of``.
        typed: what the user named instead.
    """
    fair = member.place.threads // neighbours[member.neighbourhood]
    return typed or max(1, min(member.num_threads, fair))


def own_versions() -> dict[str, str | None]:
    """Look up the versions of what this process runs."""
    from distributed.versions import get_versions

    return get_versions(PACKAGES)["packages"] | {"cvfp-opt": __version__}


def mismatch(
    answer: "dict[str, Any] | Exception | None",
    version: str,
    ours: dict[str, str | None],
    packages: Iterable[str] = COMPARED,
) -> str | None:
    """Say which versions differ too much to work together; None if none does.

    Args:
        answer: what ``distributed.versions.get_versions`` gave there.
        version: of cvfp-opt there.
        ours: by package.
        packages: that matter.
    """
    if not isinstance(answer, dict):
        return f"did not tell its versions: {answer or 'no answer'}"
    theirs = answer["packages"] | {"cvfp-opt": version}
    found = [
        f"{package} {theirs.get(package) or 'is missing'} (here {ours[package]})"
        for package in packages
        if _release(package, theirs.get(package)) != _release(package, ours[package])
    ]
    if not found:
        return None
    return f"{', '.join(found)}: the same versions are required; install them on every machine"


def _release(package: str, version: str | None) -> str | None:
    """Shorten a version: ``2.13.0+cu126`` to ``2.13.0``, of Python to ``3.11``."""
    if version is None:
        return None
    return ".".join(version.split(".")[:2]) if package == "python" else version.split("+")[0]
