"""A Dask cluster: reaching it or starting one here, and which of its workers may search."""

import asyncio
import logging
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from cvfp_opt.errors import ClusterError, CvfpOptError
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.queue.leases import this_boot
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.workers.dask.members import (
    PACKAGES,
    SCHEDULER_COMPARED,
    Member,
    fair_share,
    mismatch,
    neighbours_of,
    own_versions,
)
from cvfp_opt.workers.dask.task import (
    Assignment,
    Place,
    code_version,
    describe,
    environment_here,
    search_here,
)
from cvfp_opt.workers.signals import signals_blocked

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

# A call of a function that takes no time may take so long.
ANSWER_SECONDS = 10.0
# One that imports torch first may take longer.
IMPORT_SECONDS = 60.0

# A worker is left out if it was asked so many times who it is.
MAX_ASKED = 3


def check_installed() -> None:
    """Raise ClusterError where the extra is missing."""
    if find_spec("distributed") is None:
        raise ClusterError(
            "--engine dask: the package distributed is required, which is not installed; "
            "type `pip install -e '.[dask]'`"
        )


class Cluster:
    """A connection to a Dask scheduler.

    Args:
        client: connected.
        location: of the database, which every worker has to reach.
        local: the cluster, if it is ours to end.

    Attributes:
        address: of the scheduler.
    """

    def __init__(
        self, client: "Client", location: Location, local: "LocalCluster | None" = None
    ) -> None:
        self._client = client
        self._local = local
        self._one_host = kind_of(location).one_host
        self._where = location.where
        self._members: dict[str, Member | None] = {}  # None: refused
        self._last: dict[str, Any] = {}
        self._asked: Counter[str] = Counter()  # in vain
        self._refusals: list[str] = []
        assert client.scheduler is not None, "connected"
        self.address = str(client.scheduler.address)

    def members(self) -> list[Member]:
        """List the workers that may search and are ready to.

        Raises:
            ClusterError: the scheduler is gone.
        """
        workers = self._workers()
        self._members = {a: m for a, m in self._members.items() if a in workers}
        self._admit({a: w for a, w in workers.items() if a not in self._members})
        found = [(member, workers[address]) for address, member in self._members.items()]
        return [m for m, worker in found if m is not None and worker["status"] == "running"]

    def present(self) -> set[str]:
        """Give the addresses of all members at the last look, whether ready or not."""
        return {address for address, member in self._members.items() if member is not None}

    def take_refusals(self) -> list[str]:
        """Give, and forget, the reasons why workers were left out since the last call."""
        refusals, self._refusals = self._refusals, []
        return refusals

    def _workers(self) -> dict[str, Any]:
        """Ask the scheduler for its workers; give its last answer if it is busy."""

        async def ask() -> Any:
            return await self._client.scheduler.identity(n_workers=-1)  # type: ignore[union-attr]

        if self._client.status == "running":
            with suppress(OSError, TimeoutError):
                self._last = self._client.sync(ask, callback_timeout=ANSWER_SECONDS)["workers"]
        if self._client.status != "running":  # it has lost all its tasks, though it tries again
            raise ClusterError(
                f"the Dask scheduler {self.address} is gone, and its workers give their trials "
                "back; start them again, then type the same command again"
            )
        return self._last

    def _admit(self, workers: dict[str, Any]) -> None:
        """Compare and describe new workers."""
        if not workers:
            return
        from distributed.versions import get_versions

        ours = own_versions()
        versions = self.ask(workers, get_versions, PACKAGES)
        places = self.ask(workers, describe)
        for address, worker in workers.items():
            name = f"Dask worker {worker['name']}"
            if str(worker["name"]) != address:
                name += f" ({address})"
            found, place = versions.get(address), places.get(address)
            if _is_missing(found) or _is_missing(
                place
            ):  # busy, or gone again: asked at the next look
                self._asked[address] += 1
                if self._asked[address] < MAX_ASKED:
                    continue
            why = self._refusal(place, found, ours)
            self._members[address] = None
            if why is not None:
                self._refusals.append(f"{name}: {why}")
            elif isinstance(place, Place):
                self._members[address] = Member(
                    address=address, name=name, num_threads=worker["nthreads"], place=place
                )

    def _refusal(
        self,
        place: "Place | Exception | None",
        versions: "dict[str, Any] | Exception | None",
        ours: dict[str, str | None],
    ) -> str | None:
        """Say why a worker may not search; None if it may."""
        if not isinstance(place, Place):
            found = place or "no answer"
            return f"cvfp_opt cannot be imported there: {found}; install it on every worker"
        if self._one_host and place.boot != this_boot():
            return (
                f"runs on {place.host}, but {self._where} is an SQLite database, which serves one "
                "machine; for several use a server: --storage postgresql://USER@HOST/DATABASE"
            )
        return mismatch(versions, place.version, ours)

    def check(self) -> None:
        """Compare the scheduler, and the workers that are there.

        Raises:
            ClusterError: one of them is not fit.
        """
        from distributed.versions import get_versions

        version = self._on_scheduler(code_version)
        if isinstance(version, Exception):
            why: str | None = f"cvfp_opt cannot be imported there: {version}; install it there too"
        else:
            found = self._on_scheduler(get_versions, PACKAGES)
            why = mismatch(found, version, own_versions(), SCHEDULER_COMPARED)
        if why is not None:
            raise ClusterError(f"Dask scheduler {self.address}: {why}")
        self.members()
        for refusal in self.take_refusals():
            raise ClusterError(refusal)

    def environment(self, device: str, threads: int | None) -> StoredEnvironment | None:
        """Describe what trials will run on; None while there is no worker.

        Args:
            device, threads: as typed.

        Raises:
            ClusterError: a worker has no such device.
        """
        members = self.members()
        for member in members:
            share = fair_share(member, neighbours_of(members), threads)
            answers = self.ask(
                [member.address], environment_here, device, share, seconds=IMPORT_SECONDS
            )
            found = answers.get(member.address)
            if isinstance(found, CvfpOptError):
                raise ClusterError(f"{member.name}: {found}")
            if isinstance(found, dict):
                return cast(StoredEnvironment, found)
        return None

    def _on_scheduler(self, function: Callable[..., Any], *args: Any) -> Any:
        async def ask() -> Any:
            return await self._client.run_on_scheduler(function, *args)

        try:
            return self._client.sync(ask, callback_timeout=ANSWER_SECONDS)
        except Exception as error:  # whatever the scheduler raised
            return error

    def ask(
        self,
        addresses: Iterable[str],
        function: Callable[..., Any],
        *args: Any,
        seconds: float = ANSWER_SECONDS,
    ) -> dict[str, Any]:
        """Call a function on workers, beside their tasks; give what each returned or raised."""

        async def ask() -> dict[str, Any]:
            workers = list(addresses)
            answers: dict[str, Any] = await self._client.run(
                function, *args, workers=workers, on_error="return"
            )
            return answers

        try:
            answers: dict[str, Any] = self._client.sync(ask, callback_timeout=seconds)
            return answers
        except (OSError, TimeoutError, RuntimeError):  # the scheduler is gone, or busy
            return {}

    def call_later(self, address: str, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on a worker some time later, and wait for no answer."""
        loop = self._client.loop
        assert loop is not None, "connected"
        with suppress(RuntimeError):  # closed: nobody is left to call
            loop.add_callback(
                self._client.run, function, *args, workers=[address], on_error="ignore"
            )

    def listen(self, topic: str, receive: Callable[[Any], None]) -> None:
        """Receive all events of a topic, in another thread."""
        self._client.subscribe_topic(topic, lambda event: receive(event[1]))

    def submit(self, member: Member, assignment: Assignment) -> "Future[Any]":
        """Start a task there and nowhere else."""
        return self._client.submit(
            search_here,
            assignment,
            key=assignment.key,
            workers=[member.address],
            allow_other_workers=False,
            pure=False,
        )

    def kill(self) -> None:
        """End the worker processes that we started, whatever they do."""
        local = self._local
        if local is None:
            return

        async def end() -> None:
            nannies = local.workers.values()
            await asyncio.gather(*(nanny.close(timeout=0.1) for nanny in nannies))

        with suppress(Exception):
            local.sync(end, callback_timeout=ANSWER_SECONDS)

    def close(self) -> None:
        """Disconnect, and end what we started. Tasks that still run give their trials back."""
        with suppress(Exception):  # the user is told how the search went, not how Dask closed
            self._client.close(timeout=5)
        if self._local is not None:
            with suppress(Exception):
                self._local.close(timeout=5)


def connect(address: str, location: Location) -> Cluster:
    """Reach a scheduler, within Dask's own time for it: 30 s.

    Raises:
        ClusterError: it cannot be reached, or it or one of its workers is not fit.
    """
    if "@" in address:  # a password is written nowhere, and Dask would write it
        raise ClusterError(
            "--scheduler: an address such as tcp://HOST:8786 is required, what was given has an "
            "@; Dask asks for no user and no password: leave them out"
        )
    check_installed()
    _quieten()
    import dask.config
    from dask.utils import parse_timedelta
    from distributed import Client

    seconds = parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))
    try:
        # Dask's client would wait for ever for one who listens there but says nothing
        kind = asyncio.run(asyncio.wait_for(_identity(address), seconds + 1))["type"]
        if kind != "Scheduler":
            raise ValueError(f"there is a Dask {kind.lower()} at this address")
        client = Client(address, set_as_default=False, name="cvfp-opt")
    except Exception as error:  # no scheduler need be there: anything may answer
        reason = " ".join(str(error).split()) or f"no answer within {seconds:.0f} s"
        raise ClusterError(
            f"--scheduler {address}: no Dask scheduler can be reached: {reason}; "
            "start one with `dask scheduler`, or correct the address"
        ) from None
    cluster = Cluster(client, location)
    try:
        cluster.check()
    except BaseException:
        cluster.close()
        raise
    return cluster


async def _identity(address: str) -> Any:
    """Ask who answers at an address."""
    from distributed.core import rpc
    from distributed.security import Security

    arguments = Security().get_connection_args("client")
    async with rpc(address, connection_args=arguments) as server:
        return await server.identity()


def start_local(count: int, threads: int, location: Location) -> Cluster:
    """Start a scheduler and ``count`` workers on this machine, ended with us.

    Raises:
        ClusterError: it could not be started.
    """
    check_installed()
    _quieten()
    from distributed import Client, LocalCluster

    try:
        with signals_blocked(signal.SIGINT):
            local = LocalCluster(
                n_workers=count,
                threads_per_worker=threads,
                processes=True,
                dashboard_address="127.0.0.1:0",
                memory_limit=0,  # or Dask would end what it thinks too large
                silence_logs=logging.CRITICAL,
            )
        client = Client(local, set_as_default=False, name="cvfp-opt")
    except (OSError, RuntimeError, TimeoutError) as error:
        raise ClusterError(f"--engine dask: no local cluster could be started: {error}") from None
    return Cluster(client, location, local)


def _is_missing(answer: object) -> bool:
    return answer is None or isinstance(answer, OSError | TimeoutError)


def _quieten() -> None:
    """Silence Dask's lines on workers that come and go: the engine shows them itself."""
    import distributed
    from distributed.versions import VersionMismatchWarning

    for name in (distributed.__name__, "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)
