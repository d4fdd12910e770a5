"""A trial trained again from its record alone: the weights of most finished trials are gone."""

from dataclasses import dataclass
from typing import Any

from cvfp_opt.errors import DataError, StudyError
from cvfp_opt.escaping import printable
from cvfp_opt.search.custom_code import definition_at, load_code
from cvfp_opt.search.definition_file import data_settings, resolve_definition
from cvfp_opt.search.drift import facts
from cvfp_opt.search.environment import describe_environment
from cvfp_opt.search.objective import Objective, never
from cvfp_opt.single.train import Trained
from cvfp_opt.store.record.differences import Difference, Level, differences
from cvfp_opt.store.record.identity import TrialIdentity
from cvfp_opt.store.record.records import (
    StudyRecord,
    TrialRecord,
    Unread,
    definition_of,
)
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.training.device import resolve_device, set_threads
from cvfp_opt.training.events import Observer, ignore
from cvfp_opt.training.trainers import TRAINERS


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """On what to train a trial again.

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
    """A trial, ready to be trained again; same text, embeddings and code as then.

    Attributes:
        objective: its definition searches nothing.
        identity: of the trial.
        environment: of this machine.
        differences: between what the trial ran on and this, that may change numbers.
    """

    objective: Objective
    identity: TrialIdentity
    environment: dict[str, Any]
    differences: list[Difference]

    def train(self, observe: Observer = ignore) -> Trained:
        """Train it to its end; what pruned the trial, if anything did, does not come into it."""
        run = self.objective.prepare({}, self.identity.number, seed=self.identity.seed)
        trainer = TRAINERS[run.training.trainer]
        return Trained(
            objective=self.objective,
            result=trainer(run, observe, never),
            network=run.network,
            environment=self.environment,
            seed=self.identity.seed,
            number=self.identity.number,
        )


def prepare_repetition(
    summary: Summary, trial: TrialRecord, conditions: Conditions | None = None
) -> Repetition:
    """Everything a finished trial's training needs, from its record.

    Raises:
        StudyError: no record; other text, embeddings or code than the trial's; or code that was
            not allowed.
        DataError: the text cannot be read.
        DeviceError: the trial's device is not to be had.
    """
    conditions = conditions or Conditions()
    record = summary.record
    if record is None:
        why = summary.note or Unread.FOREIGN.sentence
        raise StudyError(f"study {summary.name!r}: its trials can't be trained again: {why}")
    ran_on = trial.environment
    sections = definition_of(record, trial)
    settings = data_settings(conditions.data) if conditions.data is not None else []
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
    ours = facts(definition, tokens, code, environment) | {"lanes": 1}
    theirs = ours | {"lanes": 1} | ran_on | _known(record, trial, ours)
    found = differences(theirs, ours)
    _refuse_others(summary.name, trial.number, found)
    return Repetition(
        objective=Objective(definition=definition, tokens=tokens, device=device),
        identity=TrialIdentity(**trial.identity)
        if trial.identity
        else TrialIdentity.derived(study=record.identity, seed=record.seed, number=trial.number),
        environment=environment | {"code": code},
        differences=[one for one in found if one.level is Level.NUMBERS],
    )


def _known(record: StudyRecord, trial: TrialRecord, ours: dict[str, Any]) -> dict[str, Any]:
    """What the record says of text, embeddings and code; a drift that was allowed counts."""
    keys = trial.environment.get("drift", {}).get("keys", {})
    code = {name: keys.get(f"code.{name}", record.code.get(name)) for name in ours["code"]}
    return {
        "data": keys.get("data", record.data_digest),
        "embedding": keys.get("embedding", record.sources.get("embedding", {}).get("digest")),
        "code": code,
        "drift": ours.get("drift"),
    }


def _refuse_others(study: str, number: int, differences: list[Difference]) -> None:
    found = [one for one in differences if one.level is Level.REFUSED]
    if not found:
        return
    words = "; ".join(
        f"{one.name} has the digest {str(one.ours)[:12]}, the trial's has {str(one.theirs)[:12]}"
        for one in found
    )
    raise StudyError(
        f"study {study!r}, trial {number}: can be trained again only from the same text, "
        f"embeddings and code: {words}; restore them, or give the text with --data PATH"
    )


def differences_line(differences: list[Difference]) -> str:
    """``torch 2.13.0 (was 2.12.0), threads 2 (was 1)``; says so if nothing is known to differ."""
    words = [f"{one.name} {one.ours} (was {one.theirs})" for one in differences]
    return ", ".join(words) or "nothing that is recorded differs"
