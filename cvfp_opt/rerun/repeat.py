"""A trial trained again from its record alone: the weights of most finished trials are gone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cvfp_opt.errors import DataError, StudyError
from cvfp_opt.escaping import printable
from cvfp_opt.single.train import Trained
from cvfp_opt.store.record.differences import Difference, differences
from cvfp_opt.store.record.identity import TrialIdentity
from cvfp_opt.store.record.records import StudyRecord, TrialRecord, Unread, definition_of
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.device import resolve_device, set_threads
from cvfp_opt.training.events import Observer, ignore
from cvfp_opt.training.result import IterationMetrics
from cvfp_opt.training.trainers import TRAINERS
from cvfp_opt.tuning.custom_code import definition_at, load_code
from cvfp_opt.tuning.definition_file import data_settings, resolve_definition
from cvfp_opt.tuning.drift import facts, refuse_sources
from cvfp_opt.tuning.environment import describe_environment
from cvfp_opt.tuning.objective import Objective, never


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The means by which a trial is trained again.

    Attributes:
        data: where its text lies now; None for where it lay.
        device: None for the trial's own.
        threads: None for the trial's own number.
        allow_code: whether code that only the study's database names may be run.
    """

    data: str | None = None
    device: str | None = None
    threads: int | None = None
    allow_code: bool = False


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """A finished trial, ready to be trained again on the same text and embeddings as then.

    Attributes:
        study: its name.
        trial: the record.
        objective: its definition searches nothing.
        identity: of the trial.
        environment: of this machine.
        differences: between what the trial ran on, its code included, and this machine.
    """

    study: str
    trial: TrialRecord
    objective: Objective
    identity: TrialIdentity
    environment: StoredEnvironment
    differences: list[Difference]

    def train(
        self,
        observe: Observer = ignore,
        should_prune: Callable[[IterationMetrics], bool] = never,
    ) -> Trained:
        """Train it to its end, whatever ended the trial, unless ``should_prune`` ends it."""
        number, seed = self.identity.number, self.identity.seed
        run = self.objective.prepare({}, number, seed=seed)
        return Trained(
            objective=self.objective,
            result=TRAINERS[run.training.trainer](run, observe, should_prune),
            network=run.network,
            environment=self.environment,
            seed=seed,
            number=number,
        )


def prepare_repetition(
    summary: Summary,
    trial: TrialRecord,
    conditions: Conditions | None = None,
    *,
    other_code: bool = False,
) -> Repetition:
    """Read and check everything that a finished trial's training needs, from its record.

    Args:
        summary: of its study.
        trial: the record.
        conditions: see there.
        other_code: whether the user's own functions may have changed since.

    Raises:
        StudyError: no record; other text, embeddings or code than the trial's; or code that was
            not allowed.
        DataError: the text cannot be read.
        DeviceError: the trial's device is not available.
    """
    conditions = conditions or Conditions()
    record = summary.record
    if record is None:
        reason = summary.note or Unread.FOREIGN.sentence
        raise StudyError(f"study {summary.name!r}: its trials can't be trained again: {reason}")
    ran_on = trial.environment
    sections = definition_of(record, trial)
    settings = data_settings(conditions.data)
    resolved = resolve_definition(sections, settings, where=f"study {printable(summary.name)}")
    definition = definition_at(summary.name, resolved, trial, allowed=conditions.allow_code)
    device = resolve_device(conditions.device or str(ran_on.get("device", "auto")).split(":")[0])
    recorded = ran_on.get("threads")
    threads = set_threads(conditions.threads or (recorded if isinstance(recorded, int) else None))
    environment = describe_environment(device, threads)
    code = load_code(definition)
    try:
        tokens = definition.load_tokens()
    except DataError as error:
        raise DataError(f"{error}; if the text lies elsewhere now, add --data PATH") from None
    now = facts(definition, tokens, code, environment) | {"lanes": 1}
    found = differences(now | ran_on | _recorded_sources(record, trial, now), now)
    agree = [one for one in found if not (other_code and one.key.startswith("code."))]
    subject = f"trial {trial.number} of study {summary.name!r}"
    refuse_sources(agree, definition, subject=subject, made="was trained")
    return Repetition(
        study=summary.name,
        trial=trial,
        objective=Objective(definition=definition, tokens=tokens, device=device),
        identity=TrialIdentity(**trial.identity)
        if trial.identity
        else TrialIdentity.derived(study=record.identity, seed=record.seed, number=trial.number),
        environment=environment | {"code": code},
        differences=found,
    )


def _recorded_sources(
    record: StudyRecord, trial: TrialRecord, now: dict[str, Any]
) -> dict[str, Any]:
    """Look up the recorded digests of text, embeddings and code; an allowed drift counts."""
    keys = trial.environment.get("drift", {}).get("keys", {})
    return {
        "data": keys.get("data", record.data_digest),
        "embedding": keys.get("embedding", record.sources.get("embedding", {}).get("digest")),
        "code": {n: keys.get(f"code.{n}", record.code.get(n)) for n in now["code"]},
        "drift": None,
    }
