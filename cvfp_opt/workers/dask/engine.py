"""Search tasks on the workers of a Dask cluster: started, restarted, stopped.

The database is the queue. Dask knows nothing of trials: each of its workers is given one task,
which takes trials until none is left, and another one when it comes back after it died.
"""

import pickle
import time
import uuid
from collections import Counter
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from cvfp_opt.errors import CvfpOptError, SearchError
from cvfp_opt.tuning.stopping import Stop
from cvfp_opt.workers.dask.cluster import Cluster
from cvfp_opt.workers.dask.members import Member, fair_share, neighbours_of
from cvfp_opt.workers.dask.task import TOPIC, Assignment, end_after_trial, forget, receive
from cvfp_opt.workers.engine import Job
from cvfp_opt.workers.listener import MAX_RESTARTS, Listener, WorkerError
from cvfp_opt.workers.messages import Began, Ended, Ending, Message, Refused

if TYPE_CHECKING:
    from distributed import Future

# A Dask worker that joins is seen after so long at most.
LOOK_SECONDS = 0.5
# The user is notified after so long without a worker: one that a nanny starts again takes a
# second or two.
ALONE_SECONDS = 5.0
# Sending a task may take so long: a table of embeddings of 150 MB took 5 s to four workers here.
SEND_SECONDS = 600.0

# Dask raises these, with some settings, for a task whose worker it has lost.
_ENDED_BY_DEATH = ("KilledWorker", "NoValidWorkerError")


@dataclass(eq=False)
class _Running:
    """A task that was submitted and has not ended.

    Attributes:
        began: whether it is known to run.
        ending: whether it was asked to end between two trials.
        gone: ``time.monotonic()`` at which its worker was first missed.
    """

    member: Member
    future: "Future[Any]"
    threads: int
    began: bool = False
    ending: bool = False
    gone: float | None = None


class DaskWorkers:
    """Tasks that run a job side by side, at most one on each Dask worker.

    Args:
        cluster: connected; stays so.
        job: the search; this process claims no trial itself.
        device: as typed.
        threads: of torch, for each; None for a fair share of its host's.
    """

    def __init__(self, cluster: Cluster, job: Job, device: str, threads: int | None) -> None:
        self._cluster = cluster
        self._task, self._limit = job.task, job.count
        self._device, self._threads = device, threads
        self._observer = job.observer
        self._listener = Listener(job.task, job.study, job.observer)
        self._run = uuid.uuid4().hex
        self._payload = pickle.dumps(replace(job.task, deadline=None))
        self._inbox: SimpleQueue[tuple[str, bytes | BaseException] | None] = SimpleQueue()
        self._running: dict[str, _Running] = {}  # by key
        self._excluded: set[str] = set()  # addresses of members that cannot search
        self._done = False  # a task found no trial left to take
        self._situation: object = None  # in which tasks were started last
        self._num_started = 0
        self._stopping = self._released = False
        self._news = True
        self._alone_since: float | None = None

    def stop(self) -> None:
        """Let every task give its trial back. May be called from a signal handler."""
        self._stopping = True
        self._inbox.put(None)

    def run(self, stop: Stop) -> None:
        """Give tasks to the cluster's workers, and listen until nothing is left to do.

        Whatever ends this, tasks that still run give their trials back as soon as they notice.

        Args:
            stop: whoever learns first that the user wants to stop must call ``self.stop``.

        Raises:
            SearchStopped: the running trials were given back.
            ClusterError: the scheduler is gone, or at the start a worker is not fit.
            CvfpOptError: a worker met it, and none is left that did not.
            WorkerError: a worker met a bug.
        """
        self._listener.stop = stop
        stop.check()  # it may have come before there was anybody to call
        self._cluster.listen(TOPIC, self._receive)
        try:
            while self._look():
                self._listen(LOOK_SECONDS)
            stop.check()
        finally:
            for running in self._running.values():
                self._cancel(running)

    def check_undone(self) -> None:
        """Raise SearchError if workers died too often, and trials are left undone."""
        self._listener.check_undone()

    def _look(self) -> bool:
        """See who is there and start what is due; return whether to go on."""
        members = self._cluster.members()
        for refusal in self._cluster.take_refusals():
            self._observer.notice(f"left out: {refusal}")
        self._note_deaths()
        if self._stopping:
            self._give_back()
        else:
            self._start(members)
            self._rebalance_threads()
            self._show_workers(len(members))
        return bool(self._running) or self._may_start()

    def _note_deaths(self) -> None:
        """Note the deaths of tasks whose workers are gone."""
        present, now = self._cluster.present(), time.monotonic()
        for key, running in list(self._running.items()):
            if running.member.address in present:
                running.gone = None
            elif running.gone is None:
                running.gone = now  # its last messages may still be on their way
            elif now - running.gone >= LOOK_SECONDS:
                self._died(key)

    def _may_start(self) -> bool:
        """Check if a task may yet be started, while none runs."""
        if (
            self._stopping
            or self._is_past_deadline()
            or self._listener.deaths.too_many
            or self._done
        ):
            return False
        return self._listener.count_unfinished() > 0

    def _is_past_deadline(self) -> bool:
        deadline = self._task.deadline
        return deadline is not None and time.monotonic() >= deadline

    # starting

    def _start(self, members: list[Member]) -> None:
        """Give a task to each member that has none, as far as there is something to do."""
        busy = {running.member.address for running in self._running.values()}
        free = [m for m in members if m.address not in busy | self._excluded]
        situation = (frozenset(m.address for m in free), frozenset(self._running))
        if not free or situation == self._situation:
            return
        if self._done or self._is_past_deadline() or self._listener.deaths.too_many:
            return
        self._situation = situation  # in the same one there is nothing new to be found
        room = self._listener.count_unfinished()
        room = min(room, self._limit or room) - len(self._running)
        ready = self._send(free[: max(0, room)])
        neighbours = neighbours_of([r.member for r in self._running.values()] + ready)
        for member in ready:
            self._submit(member, fair_share(member, neighbours, self._threads))
        self._listener.deaths.allowed = max(
            self._listener.deaths.allowed, MAX_RESTARTS + len(self._running) - 1
        )

    def _send(self, members: list[Member]) -> list[Member]:
        """Send members what a task needs; return those that have it now.

        That is 126 kB, with GPT-2's embeddings 154 MB. To four workers the 154 MB took 4 to 5 s
        this way, and the scheduler kept nothing. As an argument of tasks they took 8 to 11 s, and
        it kept 587 MB; scattered 1.2 s, but then Dask does not let the last worker that holds
        them retire.
        """
        if not members:
            return []
        addresses = [member.address for member in members]
        got = self._cluster.ask(addresses, receive, self._run, self._payload, seconds=SEND_SECONDS)
        ready = [m for m in members if m.address in got and got[m.address] is None]
        if len(ready) < len(members):
            self._situation = None  # try again
        return ready

    def _submit(self, member: Member, threads: int) -> None:
        self._num_started += 1
        seconds = None
        if self._task.deadline is not None:
            seconds = self._task.deadline - time.monotonic()
        key = f"cvfp-opt-{self._task.plan.name}-{self._run[:8]}-{self._num_started}"
        assignment = Assignment(
            run=self._run, key=key, device=self._device, threads=threads, seconds=seconds
        )
        future = self._cluster.submit(member, assignment)
        future.add_done_callback(self._note_error)
        self._running[key] = _Running(member=member, future=future, threads=threads)

    def _rebalance_threads(self) -> None:
        """Start tasks anew, between two trials, that have more threads than is fair by now."""
        if self._task.lanes > 1:
            return  # between two trials of one lane the others are amid theirs
        neighbours = neighbours_of(running.member for running in self._running.values())
        for key, running in self._running.items():
            fair = fair_share(running.member, neighbours, self._threads)
            if not running.ending and running.threads > fair:
                running.ending = True
                self._cluster.call_later(running.member.address, end_after_trial, key)

    # listening

    def _receive(self, event: Any) -> None:
        """Take an event of a task, in Dask's thread."""
        run, key, message = event
        if run == self._run:
            self._inbox.put((key, message))

    def _note_error(self, future: "Future[Any]") -> None:
        """Note the error of a task that sent nothing itself, in a thread of Dask's."""
        if future.status == "error":
            self._inbox.put((str(future.key), future.exception()))

    def _listen(self, seconds: float) -> None:
        """Handle messages until one is to be acted on, at most for so long."""
        end = time.monotonic() + seconds
        before = len(self._running)
        while len(self._running) == before:
            try:
                item = self._inbox.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                return
            if item is None:
                return
            self._handle(*item)

    def _handle(self, key: str, sent: bytes | BaseException) -> None:
        running = self._running.get(key)
        if running is None:
            return  # it ended, or is gone: what comes late is about the past
        if isinstance(sent, BaseException):
            if type(sent).__name__ not in _ENDED_BY_DEATH:
                raise WorkerError(f"{type(sent).__name__}: {sent} (in Dask)") from sent
            self._died(key)
            return
        message: Message = pickle.loads(sent)
        match message:
            case Began():
                running.began = self._news = True
            case Ended(ending):
                self._ended(key, ending)
            case Refused(error):
                self._refused(key, error)
            case _:
                self._listener.handle(key, message)

    # ending

    def _ended(self, key: str, ending: Ending) -> None:
        member, trial = self._remove(key)
        if ending is Ending.DONE:
            self._done = True
        elif ending is not Ending.LEFT and not self._stopping:
            given = " and gave it back" if trial else ""
            self._observer.notice(f"{member.name}{trial} {ending}{given}")
            self._done, self._news = False, True

    def _died(self, key: str) -> None:
        member, trial = self._remove(key)
        if self._stopping:
            return
        self._listener.deaths.count += 1
        self._observer.notice(f"{member.name}{trial} died")
        self._done, self._news = False, True

    def _refused(self, key: str, error: CvfpOptError) -> None:
        """Leave one worker out that cannot search where others can."""
        member, _ = self._remove(key)
        if isinstance(error, SearchError) or not any(r.began for r in self._running.values()):
            raise error
        self._observer.notice(f"left out: {member.name}: {error}")
        self._excluded.add(member.address)

    def _remove(self, key: str) -> tuple[Member, str]:
        """Forget a task; return its member, and in words the trial that it ran."""
        running = self._running.pop(key)
        running.future.release()
        return running.member, self._listener.forget(key)

    def _give_back(self) -> None:
        """Take back tasks that did not begin, once; the others are waited for."""
        if self._released:
            return
        self._released = True
        for key, running in list(self._running.items()):
            self._cancel(running)
            if not running.began:
                del self._running[key]

    def _cancel(self, running: _Running) -> None:
        """Let Dask and the worker forget a task: where it runs, it stops."""
        running.future.release()
        if not running.began:
            self._cluster.call_later(running.member.address, forget, self._run)

    def _show_workers(self, num_members: int) -> None:
        """Show how many workers search, if that has changed."""
        if num_members:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > ALONE_SECONDS:
            self._alone_since = float("inf")  # said
            self._observer.notice(
                f"no Dask worker is there: waiting; `dask worker {self._cluster.address}` adds one"
            )
        if not self._news:
            return
        self._news = False
        began = [running.threads for running in self._running.values() if running.began]
        self._observer.workers_changed(len(began))
        if not began:
            return
        each = ", ".join(
            f"{count} with {threads} thread{'s' if threads > 1 else ''}"
            for threads, count in sorted(Counter(began).items())
        )
        self._observer.notice(f"{len(began)} of {num_members} Dask workers search: {each}")
