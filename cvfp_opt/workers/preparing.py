"""Studies made ready to be served by a worker that stays, and kept so for its next visit."""

from contextlib import suppress
from dataclasses import dataclass, field, replace

import optuna

from cvfp_opt.errors import StudyError, StudyMissing
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.overview import QueuedStudy
from cvfp_opt.store.record.differences import changing_numbers, in_words
from cvfp_opt.store.record.first_environment import note_first
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.tuning.drift import with_drift
from cvfp_opt.tuning.objective import Objective
from cvfp_opt.tuning.plan import Plan, Request, make_plan
from cvfp_opt.workers.task import Task
from cvfp_opt.workers.terms import Terms

# Studies whose text and tables are kept in memory.
_MOST = 4


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A study that a worker can serve.

    Attributes:
        task: of the worker in it, with the total of then.
        objective: of its trials; keeps their text and tables.
        identity: of the study: another one may have its id later.
        new: whether this worker has not served it before.
    """

    task: Task
    objective: Objective
    identity: str
    new: bool = True

    @property
    def plan(self) -> Plan:
        """The plan of the study."""
        return self.task.plan


@dataclass(frozen=True, kw_only=True)
class Preparing:
    """Makes studies ready.

    Attributes:
        store: where they are.
        terms: of the worker.
        environment: that it runs on.
    """

    store: Store
    terms: Terms
    environment: StoredEnvironment
    _known: dict[int, Prepared] = field(default_factory=dict)

    def prepare(self, study: QueuedStudy) -> tuple[optuna.Study, Prepared]:
        """Check that a study can be served here, and open it.

        Raises:
            CvfpOptError: it cannot, for the reason given.
        """
        found = self._again(study) or self._new(study)
        self._known[study.study_id] = replace(
            found[1], new=False
        )  # the last one served is the last one forgotten
        for longest_ago in list(self._known)[:-_MOST]:
            del self._known[longest_ago]
        return found

    def _again(self, study: QueuedStudy) -> tuple[optuna.Study, Prepared] | None:
        """Open a study that was made ready before; None if there is none, or it is another now."""
        known = self._known.pop(study.study_id, None)
        if known is None:
            return None
        plan = known.plan
        with suppress(StudyMissing):  # it was renamed, or deleted and its id given to another one
            opened = self.store.patiently(lambda: plan.load(self.store))
            if study_id_of(opened) == study.study_id and _identity(opened) == known.identity:
                return opened, known
        return None

    def _new(self, study: QueuedStudy) -> tuple[optuna.Study, Prepared]:
        store, terms = self.store, self.terms
        request = Request(study_name=study.name, allow_code=terms.allow_code)
        plan = make_plan(terms.location, request, store.patiently)
        opened = store.patiently(lambda: plan.load(store))
        store.patiently(lambda: note_first(store, opened, self.environment))
        found = store.patiently(lambda: plan.drift(opened, self.environment))
        other = [
            one
            for one in changing_numbers(found)
            if one.key.startswith("versions.") or one.key in ("device", "gpu")
        ]
        if other and not terms.mixed:
            raise StudyError(
                f"its first worker ran on something else: {in_words(other)}; a worker with "
                "--mixed serves it all the same"
            )
        task = Task(
            location=terms.location,
            plan=plan,
            environment=with_drift(self.environment, found, plan.definition, plan.tokens),
            total=study.entry.total or 0,
            # the online trainer has nothing to compute together
            lanes=terms.lanes if plan.definition.training.trainer == "batch" else 1,
            limits=terms.limits,
        )
        return opened, Prepared(task=task, objective=task.objective(), identity=_identity(opened))


def _identity(study: optuna.Study) -> str:
    record = StudyRecord.of(study)
    return record.identity if record is not None else ""
