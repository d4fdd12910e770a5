"""A search in this process, with an observer that remembers."""

from collections.abc import Callable
from typing import Any

import torch
from support import TINY

from cvfp_opt.report.dashboard.curves import files_of
from cvfp_opt.report.dashboard.page import keep_current
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.files.artifact_stores import open_artifacts
from cvfp_opt.store.files.trial_files import Networks
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.trial_writer import Renewer
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import StudyRecord, TrialRecord
from cvfp_opt.training.events import Event
from cvfp_opt.tuning.checkpointing import Checkpointing
from cvfp_opt.tuning.objective import Objective
from cvfp_opt.tuning.observer import SearchObserver
from cvfp_opt.tuning.plan import Request, make_plan
from cvfp_opt.tuning.runner import Search
from cvfp_opt.tuning.stopping import Stop, StopRequest
from cvfp_opt.tuning.trial_files import TrialFiles

Act = Callable[[int, Event], None]


class Recorder:
    """A SearchObserver that remembers, and may act at an event of a trial."""

    def __init__(self, act: Act = lambda number, event: None) -> None:
        self.notices: list[str] = []
        self.started: list[int] = []
        self.finished: list[TrialRecord] = []
        self.dropped: list[int] = []
        self._act = act

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        self.started.append(number)

    def trial_event(self, number: int, event: Event) -> None:
        self._act(number, event)

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        self.finished.append(record)

    def trial_dropped(self, number: int) -> None:
        self.dropped.append(number)


def make_search(
    store: Store,
    *settings: str,
    observer: SearchObserver | None = None,
    stop: Stop | None = None,
    patience: float = 1.0,
) -> Search:
    """Search study "quick", made tiny, by a worker of its own; create it if need be."""
    request = Request(definition="quick", settings=[*TINY, *settings])
    plan = make_plan(store.location, request)
    study, _ = plan.enter(store, {})
    record = StudyRecord.of(study)
    assert record is not None
    observer = observer or Recorder()
    artifacts = open_artifacts(store.location, None)
    networks = Networks(store=store, artifacts=artifacts, study_id=study_id_of(study))
    return Search(
        store=store,
        study=study,
        objective=Objective(
            definition=plan.definition, tokens=plan.tokens, device=torch.device("cpu")
        ),
        environment={},
        observer=observer,
        stop=stop or StopRequest(lambda: None),
        claims=Claims(store=store, study=study, seed=0, identity=record.identity),
        renewer=Renewer(60),
        patience=patience,
        checkpoints=Checkpointing(artifacts=artifacts, code={}),
        files=TrialFiles(networks=networks, draw=files_of, notify=observer.notice),
        keep_page=keep_current,
    )
