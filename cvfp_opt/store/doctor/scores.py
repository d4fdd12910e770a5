"""Checks of a trial's figures against each other: its value, its record, its residuals."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from optuna.trial import TrialState

from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.finding import Finding, of_trials
from cvfp_opt.store.doctor.rows import StudyRows, TrialRow
from cvfp_opt.store.record.definition_sections import Sections
from cvfp_opt.store.record.quantiles import rate_at
from cvfp_opt.store.record.records import TrialRecord, definition_of
from cvfp_opt.store.record.trial_attributes import StoredEnvironment

# Sums that are made in another order may differ by so much.
ROUNDING = 1e-9
# Thresholds of the audit: model.audit has them, and cannot be imported without torch.
REFERENCE_THRESHOLD = 0.1
STRICT_THRESHOLD = 0.01
_OWN_THRESHOLD = "phase1_convergence_threshold"


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """Two figures that must agree, and do not.

    Attributes:
        what: what they are, in words that are the same for all trials.
        recorded: the one.
        follows: what the other says that it is.
    """

    what: str
    recorded: float | None
    follows: float | None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A trial with the definition that it was trained by."""

    trial: TrialRow
    definition: Sections

    @property
    def objective(self) -> Mapping[str, Any]:
        """The objective that it was scored by; older definitions lack the newer keys."""
        former = {"kind": "score", "convergence": "training", "split": "train"}
        return former | self.definition["objective"]

    @property
    def prefix(self) -> str:
        """The beginning of the names of the scored metrics."""
        return "validation_" if self.objective["split"] == "validation" else ""

    @property
    def threshold(self) -> float | None:
        """The MSE below which a token counts as converged; None if it is not known."""
        fixed = _number(self.objective.get("threshold"))
        if fixed is not None:
            return fixed
        in_space = self.definition["space"].get(_OWN_THRESHOLD)
        return _number(self.trial.params.get(_OWN_THRESHOLD, in_space))

    def figure(self, key: str, *names: str) -> float | None:
        """Read a number in an attribute that is a table, or in an inner table; else None."""
        value: Any = self.trial.table(key)
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return _number(value)


def find_wrong_scores(context: Context) -> list[Finding]:
    """Find values that are not the score of what was measured."""
    return _found(context, _scores)


def find_wrong_intermediate_values(context: Context) -> list[Finding]:
    """Find reported values that are not the scores of the iterations."""
    return _found(context, _intermediate)


def find_contradicted_rates(context: Context) -> list[Finding]:
    """Find convergence rates that the stored residuals contradict."""
    return _found(context, _rates)


def find_missing_audits(context: Context) -> list[Finding]:
    """Find complete trials without an audit that supports their score."""
    found = []
    for study in context.ours:
        for trial in study.complete:
            if trial.table("audit").get("residual_quantiles"):
                continue
            retry = context.command(f"trial enqueue --retry {trial.number}", study.name)
            found.append(
                Finding(
                    where=of_trials(study.name, [trial.number]),
                    what="complete, but without an audit",
                    cause="it was taken away, by hand or by another program"
                    if trial.ours
                    else "added by another program: its value cannot be checked",
                    help=f"to run its point again, type {retry}",
                    harmless=not trial.ours,
                )
            )
    return found


def _found(
    context: Context, contradictions: Callable[[Judged], Iterator[Contradiction]]
) -> list[Finding]:
    """Make a finding for each kind of contradiction in each study."""
    findings = []
    for study in context.ours:
        found: dict[str, list[tuple[int, Contradiction]]] = defaultdict(list)
        for trial in study.trials:
            definition = _definition(study, trial)
            if not trial.ours:
                continue
            for one in contradictions(Judged(trial=trial, definition=definition)):
                found[one.what].append((trial.number, one))
        findings += [_finding(context, study, what, ones) for what, ones in found.items()]
    return findings


def _finding(
    context: Context, study: StudyRows, what: str, found: list[tuple[int, Contradiction]]
) -> Finding:
    number, first = found[0]
    of_first = f" in trial {number}" if len(found) > 1 else ""
    retry = context.command(f"trial enqueue --retry {number}", study.name)
    return Finding(
        where=of_trials(study.name, [number for number, _ in found]),
        what=f"{what}: {_shown(first.recorded)}, not {_shown(first.follows)}{of_first}",
        cause="one of the two was changed afterwards, by hand or by another program",
        help=f"which one cannot be known; to run the point again, type {retry}",
    )


def _definition(study: StudyRows, trial: TrialRow) -> Sections:
    """Complete the definition that a trial was trained by."""
    assert study.record is not None
    environment = cast(StoredEnvironment, trial.table("environment"))
    record = TrialRecord(number=trial.number, state="", environment=environment)
    return definition_of(study.record, record)


def _scores(judged: Judged) -> Iterator[Contradiction]:
    trial = judged.trial
    last = trial.intermediate.get(max(trial.intermediate, default=-1))
    if trial.state is TrialState.PRUNED and trial.values:
        yield from _compare("value, and the last one reported", trial.values.get(0), last)
    if trial.state is not TrialState.COMPLETE:
        return
    key, prefix = ("scored", "") if trial.table("scored") else ("metrics", judged.prefix)
    rate = judged.figure(key, f"{prefix}convergence_rate")
    rank = judged.figure(key, f"{prefix}effective_rank")
    score = judged.figure(key, f"{prefix}score")
    if judged.objective["kind"] == "pareto":
        yield from _compare("first value, and convergence rate", trial.values.get(0), rate)
        yield from _compare("second value, and effective rank", trial.values.get(1), rank)
        if judged.objective.get("downstream"):
            perplexity = judged.figure("downstream", "held_out_perplexity")
            follows = -math.log(perplexity) if perplexity and perplexity > 0.0 else None
            what = "third value, and minus the logarithm of the perplexity"
            yield from _compare(what, trial.values.get(2), follows)
    else:
        yield from _compare("value, and score", trial.values.get(0), score)
    weight = _number(judged.objective.get("convergence_weight"))
    if None not in (weight, rate, rank):
        combined = weight * rate + (1.0 - weight) * rank  # type: ignore[operator]
        yield from _compare("score, and its parts by the study's weights", score, combined)
    if key == "scored":
        measured_rate, measured_rank = _measured(judged)
        yield from _compare("scored convergence rate, and the measured one", rate, measured_rate)
        yield from _compare("scored effective rank, and the measured one", rank, measured_rank)


def _measured(judged: Judged) -> tuple[float | None, float | None]:
    """Read the convergence rate and the effective rank that the objective takes."""
    if judged.objective["convergence"] == "frozen":
        text = f"frozen_{judged.objective['split']}"
        strict = judged.objective.get("threshold") == STRICT_THRESHOLD
        rate = judged.figure("audit", text, "convergence_strict" if strict else "convergence")
        return rate, judged.figure("audit", text, "effective_rank")
    rate = judged.figure("metrics", f"{judged.prefix}convergence_rate")
    return rate, judged.figure("metrics", f"{judged.prefix}effective_rank")


def _intermediate(judged: Judged) -> Iterator[Contradiction]:
    trial, objective = judged.trial, judged.objective
    iterations = trial.tables("iterations")
    if not iterations:
        return
    for key in ("convergence_rate", "effective_rank", "score"):
        if trial.table("metrics"):
            last = _number(iterations[-1].get(key))
            what = f"{key.replace('_', ' ')}, and that of the last iteration"
            yield from _compare(what, judged.figure("metrics", key), last)
    if objective["kind"] == "score" and objective["convergence"] == "training":
        scores = {
            number: one.get(f"{judged.prefix}score") for number, one in enumerate(iterations)
        }
        for step in sorted({*scores, *trial.intermediate}):
            reported, score = trial.intermediate.get(step), _number(scores.get(step))
            if not _agree(reported, score, 0.0):
                yield Contradiction(
                    what="reported value, and the iteration's score",
                    recorded=reported,
                    follows=score,
                )
                return  # the first of them is reported


def _rates(judged: Judged) -> Iterator[Contradiction]:
    audit = judged.trial.table("audit")
    quantiles = audit.get("residual_quantiles")
    if not isinstance(quantiles, list) or len(quantiles) < 2:
        return
    values = [value for one in quantiles if (value := _number(one)) is not None]
    if len(values) < len(quantiles) or values != sorted(values):
        yield Contradiction(
            what="residual quantiles, which have to ascend", recorded=None, follows=None
        )
        return
    tokens = _number(judged.definition.get("data", {}).get("train_tokens"))
    step = 1.0 / (len(values) - 1)
    tolerance = step + (1.0 / tokens if tokens else step) + ROUNDING
    power = judged.figure("audit", "mean_square")
    for what, recorded, threshold in (
        (
            "convergence rate at its own threshold, and the residuals",
            judged.figure("metrics", "convergence_rate"),
            judged.threshold,
        ),
        (
            f"convergence at {REFERENCE_THRESHOLD}, and the residuals",
            judged.figure("audit", "absolute_convergence"),
            REFERENCE_THRESHOLD,
        ),
        (
            f"scale-free convergence at {REFERENCE_THRESHOLD}, and the residuals",
            judged.figure("audit", "scale_free_convergence"),
            None if power is None else REFERENCE_THRESHOLD * power,
        ),
    ):
        if recorded is not None and threshold is not None:
            yield from _compare(what, recorded, rate_at(values, threshold), tolerance)


def _compare(
    what: str, recorded: float | None, follows: float | None, tolerance: float = ROUNDING
) -> Iterator[Contradiction]:
    if not _agree(recorded, follows, tolerance):
        yield Contradiction(what=what, recorded=recorded, follows=follows)


def _agree(one: float | None, other: float | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    if math.isfinite(one) and math.isfinite(other):
        return abs(one - other) <= tolerance
    return repr(one) == repr(other)  # a NaN is not equal to itself


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _shown(figure: float | None) -> str:
    return "nothing" if figure is None else f"{figure:.10g}"
