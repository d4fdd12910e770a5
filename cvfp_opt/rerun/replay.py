"""A trial run again from its record alone, and compared with it to the last bit."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from cvfp_opt.errors import StudyError
from cvfp_opt.search.custom_code import definition_at, load_code
from cvfp_opt.search.definition import StudyDefinition
from cvfp_opt.search.definition_file import data_settings, parse_setting
from cvfp_opt.search.objective import Objective
from cvfp_opt.store.record.definition_sections import Sections
from cvfp_opt.store.record.differences import LEVELS, Difference, differences
from cvfp_opt.store.record.records import StudyRecord, TrialRecord, definition_of
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.training.data import Tokens
from cvfp_opt.training.events import Event, IterationFinished, Observer
from cvfp_opt.training.result import IterationMetrics, Status, TrainingResult

# How a run ends by itself; what ended otherwise is replayed as far as its record goes.
_BY_ITSELF = (Status.FINISHED, Status.CONVERGED_EARLY, Status.DIVERGED)
# Of then and now, what changes no bits; a drift is part of the definition that is replayed.
_SILENT = ("host", "drift")
# Known only of a checkout.
_OPTIONAL = ("commit", "uncommitted", "host")
# Wall time, which no replay repeats.
_TIMES = ("audit.seconds",)


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """A quantity that differs.

    Attributes:
        iteration: in which; None for what was measured at the end.
        quantity: its name, ``audit.frozen_train.convergence`` for instance.
        recorded, replayed: its values.
    """

    iteration: int | None
    quantity: str
    recorded: Any
    replayed: Any

    @property
    def absolute(self) -> float | None:
        """By how much; None of what is no number."""
        if not (_is_number(self.recorded) and _is_number(self.replayed)):
            return None
        apart: float = abs(self.replayed - self.recorded)
        return apart

    @property
    def relative(self) -> float | None:
        """The same as a share of the recorded value; None of 0, and of what is no number."""
        if self.absolute is None or not self.recorded:
            return None
        size: float = abs(self.recorded)
        return self.absolute / size


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A trial and its repetition.

    Attributes:
        study, number: which.
        iterations: compared.
        compared: quantities compared.
        deviations: in the order in which they arise; empty if the two are identical.
        environment: what differs between the two, as far as it may change numbers.
        unrecorded: what is known of now, and was not recorded then.
        seconds: wall time of the repetition.
        weights_digest: of the repetition; "" where the trial was broken off.
        note: what the comparison leaves out; "" for nothing.
    """

    study: str
    number: int
    iterations: int
    compared: int
    deviations: tuple[Deviation, ...]
    environment: tuple[Difference, ...]
    unrecorded: tuple[str, ...]
    seconds: float
    weights_digest: str
    note: str = ""

    @property
    def identical(self) -> bool:
        """Whether nothing differs."""
        return not self.deviations

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
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


@dataclass(frozen=True, kw_only=True)
class Repeatable:
    """A trial that can be run again, and what it needs for that.

    Attributes:
        study: its name.
        record, trial: of the study and of the trial.
        definition: that the trial was trained by.
        tokens: of its text, checked to be the same.
        code: digests of the user's own functions as they are now.
    """

    study: str
    record: StudyRecord
    trial: TrialRecord
    definition: StudyDefinition
    tokens: Tokens
    code: dict[str, str]

    def replay(self, environment: Mapping[str, Any], observe: Observer) -> Replay:
        """Run it again, and compare.

        Args:
            environment: of this process, see search.environment; names the device.
            observe: told of progress.
        """
        trial = self.trial
        witness = _Witness(observe)
        objective = Objective(
            definition=self.definition,
            tokens=self.tokens,
            device=torch.device(environment["device"]),
        )
        result = objective(
            trial.params,
            trial.identity.get("number", trial.number),
            witness.observe,
            self._is_over,
            seed=trial.identity.get("seed", self.record.seed),
        )
        deviations, compared = self._compare(result, witness.seen)
        then = {"lanes": 1, **trial.environment, "code": self._code_then}
        now = {"lanes": 1, **environment, "code": self.code}
        differ = [one for one in differences(then, now) if one.key not in _SILENT]
        return Replay(
            study=self.study,
            number=trial.number,
            iterations=min(len(result.iterations), len(trial.iterations)),
            compared=compared,
            deviations=tuple(deviations),
            environment=tuple(differ),
            unrecorded=tuple(_unrecorded(trial.environment, environment)),
            seconds=sum(result.seconds.values()),
            weights_digest=result.weights_digest if self._came_to_its_end else "",
            note=self._note,
        )

    @property
    def _code_then(self) -> dict[str, str]:
        allowed = self.trial.environment.get("drift", {}).get("keys", {})
        changed = {k.removeprefix("code."): v for k, v in allowed.items() if k[:5] == "code."}
        return {name: {**self.record.code, **changed}.get(name, "none") for name in self.code}

    @property
    def _came_to_its_end(self) -> bool:
        """Whether it ended by itself, or was pruned: then its record is whole."""
        return self.trial.status in (*_BY_ITSELF, Status.PRUNED)

    def _is_over(self, metrics: IterationMetrics) -> bool:
        """The pruner's decision, or whoever broke the trial off, taken from the record."""
        if self.trial.status in _BY_ITSELF:
            return False
        return metrics.iteration >= len(self.trial.iterations) - 1

    @property
    def _note(self) -> str:
        if self._came_to_its_end:
            deaths = self.trial.environment.get("deaths", 0)
            return (
                f"{deaths} workers died with it: only the last one is recorded" if deaths else ""
            )
        ended = self.trial.status or self.trial.state
        return (
            f"the trial was broken off ({ended}): only the {len(self.trial.iterations)} "
            "iterations that it reported are compared"
        )

    def _compare(
        self, result: TrainingResult, seen: list[IterationMetrics]
    ) -> tuple[list[Deviation], int]:
        """What differs, in the order in which it arises, and how much was compared."""
        trial, found, compared = self.trial, [], 0
        replayed = result.iterations if self._came_to_its_end else seen
        ours = [asdict(metrics) for metrics in replayed]
        pairs = list(zip(trial.iterations, ours, strict=False))
        for k, (then, now) in enumerate(pairs):
            for name, before, after in _quantities(then, now):
                compared += 1
                if not _same(before, after):
                    found.append(
                        Deviation(iteration=k, quantity=name, recorded=before, replayed=after)
                    )
        for name, before, after in self._at_the_end(result, len(ours)):
            compared += 1
            if not _same(before, after):
                found.append(
                    Deviation(iteration=None, quantity=name, recorded=before, replayed=after)
                )
        return found, compared

    def _at_the_end(
        self, result: TrainingResult, iterations: int
    ) -> Iterator[tuple[str, Any, Any]]:
        trial = self.trial
        yield "number of iterations", len(trial.iterations), iterations
        if not self._came_to_its_end:
            return
        plain = result.to_dict()
        scored = self.definition.objective.scored(result)
        yield "status", trial.status, plain["status"]
        yield "reason", trial.reason, plain["reason"]
        for key in ("optimizer_steps", "diversity_scale"):
            if key in trial.environment:
                yield key, trial.environment[key], plain[key]
        for quantity in _quantities({"audit": trial.audit}, {"audit": plain["audit"] or {}}):
            if quantity[0] not in _TIMES:
                yield quantity
        if trial.scored:
            now = asdict(scored) if scored else {}
            yield from _quantities({"scored": trial.scored}, {"scored": now})
        if trial.state == "complete" and scored is not None and trial.value is not None:
            yield "score", trial.value, scored.score
        if "weights_digest" in trial.environment:
            then = trial.environment["weights_digest"]
            yield "digest of the final weights", then, plain["weights_digest"]


class _Witness:
    """An observer that keeps metrics as a running trial reports them."""

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self.seen: list[IterationMetrics] = []

    def observe(self, event: Event) -> None:
        if isinstance(event, IterationFinished):
            self.seen.append(event.metrics)
        self._observe(event)


def find_repeatable(
    summary: Summary, number: int, *, data: str | None = None, allow_code: bool = False
) -> Repeatable:
    """What trial ``number`` needs to be run again.

    Args:
        summary: of its study.
        number: of the trial.
        data: where its text lies now; None for where it lay.
        allow_code: whether code that only the study's database names may be run.

    Raises:
        StudyError: no such trial; it has reported no iteration; another program's; another text.
        CvfpOptError: its text or code cannot be had.
    """
    trial = summary.trial(number)
    where = f"trial {number} of study {summary.name!r}"
    if summary.record is None:
        raise StudyError(f"{where} cannot be replayed: {summary.note}")
    if not trial.finished:
        raise StudyError(f"{where} is {trial.state}: a finished one is required")
    if not trial.iterations:
        reason = f" ({trial.status}: {trial.reason})" if trial.status else ""
        raise StudyError(f"{where} has reported no iteration{reason}: nothing to compare with")
    sections = definition_of(summary.record, trial)
    definition = StudyDefinition.from_dict(sections if data is None else _located(sections, data))
    definition_at(summary.name, definition, trial, allowed=allow_code)  # before text is read
    tokens = definition.load_tokens()
    drift = trial.environment.get("drift", {})
    wanted = drift.get("data_digest", summary.record.data_digest)
    if tokens.digest != wanted:
        raise StudyError(
            f"{where} was trained on another text: its tokens have the digest {wanted[:12]}, "
            f"those of {definition.data.place} have {tokens.digest[:12]}; give its own with "
            "--data PATH"
        )
    return Repeatable(
        study=summary.name,
        record=summary.record,
        trial=trial,
        definition=definition,
        tokens=tokens,
        code=load_code(definition),
    )


def _located(sections: Sections, data: str) -> Sections:
    """The sections with the text at another place."""
    merged = {name: dict(section) for name, section in sections.items()}
    for setting in data_settings(data):
        section, key, value = parse_setting(setting)
        merged[section][key] = value
    return merged


def _unrecorded(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What may change numbers, and only ``now`` knows; older versions recorded less."""
    yield from (name for name in now["versions"] if name not in then.get("versions", {}))
    yield from (key for key in now if key in LEVELS and key not in then and key not in _OPTIONAL)


def _quantities(
    then: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Name and both values of all that the two know; an older record knows less."""
    for key, before in then.items():
        if key not in now:
            continue
        after, name = now[key], f"{prefix}{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _quantities(before, after, f"{name}.")
        elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
            yield f"length of {name}", len(before), len(after)
            for i, (one, other) in enumerate(zip(before, after, strict=False)):
                yield f"{name}[{i}]", one, other
        else:
            yield name, before, after


def _same(before: Any, after: Any) -> bool:
    if _is_number(before) and _is_number(after) and math.isnan(before):
        return math.isnan(after)
    return bool(before == after)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
