"""A trial run again from its record alone, and compared with it to the last bit."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cvfp_opt.errors import DeviceError, StudyError
from cvfp_opt.rerun.repeat import Conditions, Repetition, prepare_repetition
from cvfp_opt.store.record.differences import LEVELS, Difference
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.training.config import Scored
from cvfp_opt.training.events import Event, IterationFinished, Observer
from cvfp_opt.training.result import IterationMetrics, Status, TrainingResult

# Runs with these statuses ended by themselves; others are replayed as far as their record goes.
_BY_ITSELF = (Status.FINISHED, Status.CONVERGED_EARLY, Status.DIVERGED)
# These keys of an environment are not always recorded.
_OPTIONAL = ("commit", "uncommitted", "host", "code")
# No replay repeats the wall time.
_TIMES = ("audit.seconds",)


@dataclass(frozen=True)
class Quantity:
    """A quantity of a trial and of its replay.

    Attributes:
        iteration: in which it was measured; None for the end.
        quantity: its name, ``audit.frozen_train.convergence`` for instance.
        recorded, replayed: its values.
    """

    iteration: int | None
    quantity: str
    recorded: Any
    replayed: Any

    @property
    def differs(self) -> bool:
        """Check if the two values differ; NaN equals NaN."""
        if self._are_numbers and math.isnan(self.recorded):
            return not math.isnan(self.replayed)
        return bool(self.recorded != self.replayed)

    @property
    def absolute(self) -> float | None:
        """Give the size of the difference; None where a value is no number."""
        return abs(self.replayed - self.recorded) if self._are_numbers else None

    @property
    def relative(self) -> float | None:
        """Give it as a share of the recorded value; None of 0, and where one is no number."""
        if self.absolute is None or not self.recorded:
            return None
        size: float = abs(self.recorded)
        return self.absolute / size

    @property
    def _are_numbers(self) -> bool:
        values = (self.recorded, self.replayed)
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A trial and its repetition.

    Attributes:
        study, number: which.
        iterations: compared.
        compared: quantities compared.
        deviations: in the order in which they arise; empty if the two are identical.
        environment: what differs between the machines and the code of the two.
        unrecorded: what is known of now, and was not recorded then.
        seconds: wall time of the repetition.
        weights_digest: of the repetition; "" where the trial was broken off.
        note: what the comparison leaves out; "" for nothing.
    """

    study: str
    number: int
    iterations: int
    compared: int
    deviations: tuple[Quantity, ...]
    environment: tuple[Difference, ...]
    unrecorded: tuple[str, ...]
    seconds: float
    weights_digest: str
    note: str = ""

    @property
    def identical(self) -> bool:
        """Check if nothing differs."""
        return not self.deviations

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        first = self.deviations[0] if self.deviations else None
        return {
            "study_name": self.study,
            "trial": self.number,
            "identical": self.identical,
            "iterations": self.iterations,
            "compared": self.compared,
            "first_deviation": first
            and asdict(first) | {"absolute": first.absolute, "relative": first.relative},
            "deviations": [asdict(one) for one in self.deviations],
            "environment": [
                {"name": one.name, "then": one.theirs, "now": one.ours} for one in self.environment
            ],
            "unrecorded": list(self.unrecorded),
            "seconds": self.seconds,
            "weights_digest": self.weights_digest,
            "note": self.note,
        }


def prepare_replay(summary: Summary, number: int, conditions: Conditions) -> Repetition:
    """Read and check everything that replaying trial ``number`` needs, from its record.

    By default it is computed where the trial was, and if that is not here, where it can be.

    Raises:
        StudyError: no such trial; it has not finished, or has reported no iteration.
        CvfpOptError: it can't be trained again, see ``prepare_repetition``.
    """
    trial = summary.trial(number)
    where = f"trial {number} of study {summary.name!r}"
    if summary.record is not None and not trial.finished:
        raise StudyError(f"{where} is {trial.state}: a finished one is required")
    if summary.record is not None and not trial.iterations:
        reason = f" ({trial.status}: {trial.reason})" if trial.status else ""
        raise StudyError(f"{where} has reported no iteration{reason}: nothing to compare with")
    try:
        return prepare_repetition(summary, trial, conditions, other_code=True)
    except DeviceError:
        if conditions.device is not None:
            raise
        return prepare_repetition(
            summary, trial, replace(conditions, device="auto"), other_code=True
        )


def replay(repetition: Repetition, observe: Observer) -> Replay:
    """Run a trial again, as far as its record goes, and compare the two.

    Args:
        repetition: of the trial.
        observe: notified of progress.
    """
    trial = repetition.trial
    reported: list[IterationMetrics] = []

    def watch(event: Event) -> None:
        if isinstance(event, IterationFinished):
            reported.append(event.metrics)
        observe(event)

    def is_over(metrics: IterationMetrics) -> bool:
        """Decide as the pruner did, or whoever broke the trial off, by the record."""
        last = len(trial.iterations) - 1
        return trial.status not in _BY_ITSELF and metrics.iteration >= last

    result = repetition.train(watch, is_over).result
    objective = repetition.objective.definition.objective
    whole = _is_whole(trial)
    quantities = list(_in_iterations(trial, result.iterations if whole else reported))
    if whole:
        quantities += _at_the_end(trial, result, objective.scored(result))
    return Replay(
        study=repetition.study,
        number=trial.number,
        iterations=min(len(result.iterations), len(trial.iterations)),
        compared=len(quantities),
        deviations=tuple(one for one in quantities if one.differs),
        environment=tuple(one for one in repetition.differences if one.key != "host"),
        unrecorded=tuple(_unrecorded(trial.environment, repetition.environment)),
        seconds=sum(result.seconds.values()),
        weights_digest=result.weights_digest if whole else "",
        note=_note(trial),
    )


def _is_whole(trial: TrialRecord) -> bool:
    """Check if a trial ended by itself, or was pruned: then its record is whole."""
    return trial.status in (*_BY_ITSELF, Status.PRUNED)


def _note(trial: TrialRecord) -> str:
    """Say what the comparison leaves out."""
    if not _is_whole(trial):
        return (
            f"the trial was broken off ({trial.status or trial.state}): only the "
            f"{len(trial.iterations)} iterations that it reported are compared"
        )
    deaths = trial.environment.get("deaths", 0)
    return f"{deaths} workers died with it: only the last one is recorded" if deaths else ""


def _in_iterations(trial: TrialRecord, replayed: Sequence[IterationMetrics]) -> Iterator[Quantity]:
    """Pair what was measured in each iteration, then the number of iterations."""
    for k, (then, now) in enumerate(zip(trial.iterations, replayed, strict=False)):
        yield from _pairs(then, asdict(now), iteration=k)
    yield Quantity(None, "number of iterations", len(trial.iterations), len(replayed))


def _at_the_end(
    trial: TrialRecord, result: TrainingResult, scored: Scored | None
) -> Iterator[Quantity]:
    """Pair what is known of a trial since its end."""
    environment: Mapping[str, Any] = trial.environment
    plain = result.to_dict()
    yield Quantity(None, "status", trial.status, plain["status"])
    yield Quantity(None, "reason", trial.reason, plain["reason"])
    known = ("optimizer_steps", "diversity_scale")
    yield from _pairs({key: environment[key] for key in known if key in environment}, plain)
    audits = _pairs({"audit": trial.audit}, {"audit": plain["audit"] or {}})
    yield from (pair for pair in audits if pair.quantity not in _TIMES)
    if trial.downstream:
        now = {"downstream": plain["downstream"] or {}}
        yield from _pairs({"downstream": trial.downstream}, now)
    if trial.scored:
        yield from _pairs({"scored": trial.scored}, {"scored": asdict(scored) if scored else {}})
    if trial.state == "complete" and scored is not None and trial.value is not None:
        yield Quantity(None, "score", trial.value, scored.score)
    if "weights_digest" in environment:
        then = environment["weights_digest"]
        yield Quantity(None, "digest of the final weights", then, plain["weights_digest"])


def _unrecorded(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """List what may change numbers and is known of now alone: older versions recorded less."""
    yield from (name for name in now["versions"] if name not in then.get("versions", {}))
    yield from (key for key in now if key in LEVELS and key not in then and key not in _OPTIONAL)


def _pairs(
    then: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "", iteration: int | None = None
) -> Iterator[Quantity]:
    """Pair all that both know; an older record knows less."""
    for key, before in then.items():
        if key not in now:
            continue
        after, name = now[key], f"{prefix}{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _pairs(before, after, f"{name}.", iteration)
        elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
            yield Quantity(iteration, f"length of {name}", len(before), len(after))
            for i, (one, other) in enumerate(zip(before, after, strict=False)):
                yield Quantity(iteration, f"{name}[{i}]", one, other)
        else:
            yield Quantity(iteration, name, before, after)
