"""Claims, reports, ends, deaths and late awakenings in any order: Hypothesis seeks a bad one."""

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from optuna.trial import TrialState

from cvfp_opt.store.database import sqlite
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.queue.claims import MAX_RETRIES, ClaimedTrial, Claims, NoTrial
from cvfp_opt.store.queue.leases import LeaseLost, Worker
from cvfp_opt.store.queue.takeover import fail_trial
from cvfp_opt.store.queue.trial_writer import TrialWriter
from cvfp_opt.store.record.identity import TrialIdentity

LEASE = 60.0
TOTAL = 6


class Leases(RuleBasedStateMachine):
    """Several workers of one study, a clock that is turned by hand, and what must be true.

    The model is small: who was the last to be given each trial, and what ended how.
    """

    writers = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.exits = ExitStack()
        self.now = 1_000_000.0
        patch = self.exits.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(sqlite.time, "time", lambda: self.now)
        location = resolve_location(str(self.folder / "x.db"))
        self.store = self.exits.enter_context(open_for_search(location))
        self.study = optuna.create_study(
            study_name="s", storage=self.store.storage, direction="maximize"
        )
        self.me = Worker.of_this_process()
        self.workers = [self._worker(index) for index in range(3)]
        self.owner: dict[int, TrialWriter] = {}  # number -> the last hold on it that nobody broke
        self.told: dict[int, float] = {}
        self.enqueued = 0

    def _worker(self, index: int) -> Claims:
        return Claims(
            store=self.store,
            study=self.study,
            seed=0,
            worker=replace(self.me, worker=f"{index}"),
            seconds=LEASE,
        )

    def teardown(self) -> None:
        self.exits.close()
        shutil.rmtree(self.folder)

    @rule(target=writers, index=st.integers(0, 2))
    def claim(self, index: int) -> TrialWriter:
        found = self.workers[index].claim(TOTAL)
        if isinstance(found, NoTrial):
            return TrialWriter(claims=self.workers[index], claimed=_nobodys())
        writer = TrialWriter(claims=self.workers[index], claimed=found)
        before = self.owner.get(found.number)
        if before is not None:  # only an expired lease may be taken
            assert found.epoch > before.claimed.epoch
            assert found.attempts <= MAX_RETRIES
        assert found.number not in self.told
        self.owner[found.number] = writer
        return writer

    @rule(writer=writers, value=st.floats(0, 1))
    def report(self, writer: TrialWriter, value: float) -> None:
        writer.pending.intermediate[0] = value
        self._expect(writer, writer.flush)

    @rule(writer=consumes(writers), value=st.floats(0, 1))
    def finish(self, writer: TrialWriter, value: float) -> None:
        if self._expect(writer, lambda: writer.finish(TrialState.COMPLETE, [value])):
            self.told[writer.claimed.number] = value
            del self.owner[writer.claimed.number]
            writer.finish(TrialState.COMPLETE, [value])  # no answer came: once more

    @rule(writer=consumes(writers))
    def give_back(self, writer: TrialWriter) -> None:
        ours = self.owner.get(writer.claimed.number) is writer
        assert writer.give_back() is ours
        if ours:
            del self.owner[writer.claimed.number]

    @rule(seconds=st.sampled_from([1.0, LEASE / 2, LEASE + 1, -3600.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(number=st.integers(0, TOTAL - 1))
    def fail_by_hand(self, number: int) -> None:
        if fail_trial(self.store, self.study, number, "by hand"):
            self.owner.pop(number, None)
            self.told[number] = float("nan")

    @rule()
    def enqueue(self) -> None:
        self.study.enqueue_trial({"x": self.enqueued})
        self.enqueued += 1

    @rule(index=st.integers(0, 2))
    def forget(self, index: int) -> None:
        """A worker dies and comes back as another one: it holds nothing any more."""
        self.workers[index] = self._worker(10 * (index + 1) + len(self.owner))

    def _expect(self, writer: TrialWriter, write: object) -> bool:
        """Only the last one to be given a trial may write to it; whether it did."""
        ours = self.owner.get(writer.claimed.number) is writer
        try:
            write()  # type: ignore[operator]
        except LeaseLost:
            assert not ours
            return False
        assert ours or not writer.pending
        return ours

    @invariant()
    def the_database_says_what_the_model_does(self) -> None:
        trials = self.study.get_trials(deepcopy=False)
        assert [trial.number for trial in trials] == list(range(len(trials)))
        begun = [t for t in trials if t.state is not TrialState.WAITING]
        by_hand = sum(value != value for value in self.told.values())
        assert len(begun) <= TOTAL + by_hand
        for trial in trials:
            if trial.state is TrialState.COMPLETE:
                assert trial.value == self.told[trial.number]
            if trial.number in self.owner:
                lost = trial.state is TrialState.FAIL and trial.user_attrs["status"] == "lost"
                assert trial.state is TrialState.RUNNING or lost
                if lost:
                    del self.owner[trial.number]
                    self.told[trial.number] = float("nan")
            elif trial.number in self.told:
                assert trial.state.is_finished()


def _nobodys() -> ClaimedTrial:
    identity = TrialIdentity(uuid="", seed=0, number=-1)
    return ClaimedTrial(trial_id=-1, number=-1, epoch=0, identity=identity, attempts=0, new=False)


Leases.TestCase.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, derandomize=True
)
TestLeases = Leases.TestCase
