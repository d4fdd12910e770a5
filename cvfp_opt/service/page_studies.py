"""The studies on the queue's page: a row each, in words."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from cvfp_opt.report.board import Standing
from cvfp_opt.report.confirmation import ConfirmationVerdict
from cvfp_opt.report.queue import order_of_service, why_waiting
from cvfp_opt.report.words import number
from cvfp_opt.store.queue.choice import may_serve
from cvfp_opt.store.queue.overview import QueuedStudy, RunningTrial, Stage
from cvfp_opt.store.queue.workers import StayingWorker, WorkerState
from cvfp_opt.store.record.decisions import SCORE_NOISE

_MOST_NEXT = 5
# Classes of the page's style sheet.
_TONES: Mapping[Stage, str] = {
    Stage.RUNNING: "yes",
    Stage.WAITING: "link",
    Stage.PAUSED: "care",
    Stage.SPENT: "care",
    Stage.UNASKED: "care",
}
_VERBS: Mapping[Stage, tuple[str, ...]] = {
    Stage.PAUSED: ("resume", "cancel"),
    Stage.CANCELLED: ("resume",),
    Stage.DONE: (),
}
_VERDICTS: Mapping[ConfirmationVerdict | None, tuple[str, str]] = {
    None: ("not confirmed yet", "soft"),
    ConfirmationVerdict.OPEN: ("fresh seeds: undecided", "soft"),
    ConfirmationVerdict.CONFIRMED: ("confirmed", "yes"),
    ConfirmationVerdict.SAME: ("no better than the default point", "care"),
    ConfirmationVerdict.LESS: ("worse than reported", "no"),
    ConfirmationVerdict.WORSE: ("worse than the default point", "no"),
}


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """A study on the page.

    Attributes:
        anchor: its name within the page.
        name: of the study.
        stage, tone: how it stands, and the class that colours it.
        why: why nobody runs it; "" if somebody does, or will.
        finished, total: its trials; the total is None if nobody has said.
        others: what became of them, in words, where not all are complete.
        running: where its trials run, a phrase each.
        best, untrained: scores in words; "" where there is none.
        is_better: whether the best is clearly above the untrained; None if that is not known.
        verdict, verdict_tone: of fresh seeds; "" before a trial is complete.
        owner, tags, priority, weight, workers: see QueueEntry; as words.
        report, dashboard: addresses.
        form: the address below which forms about it are sent, a verb each.
        verbs: what whoever looks may do to it.
        version: of its entry.
    """

    anchor: str
    name: str
    stage: str
    tone: str
    why: str
    finished: int
    total: int | None
    others: str
    running: Sequence[str]
    best: str
    untrained: str
    is_better: bool | None
    verdict: str
    verdict_tone: str
    owner: str
    tags: Sequence[str]
    priority: int
    weight: str
    workers: str
    report: str
    dashboard: str
    form: str
    verbs: Sequence[str]
    version: int


@dataclass(frozen=True, kw_only=True)
class NextRow:
    """A study that a free worker would serve: its name, its name within the page, and why."""

    anchor: str
    name: str
    why: str


def headline(studies: Sequence[Standing], workers: Sequence[StayingWorker]) -> str:
    """Say in a few words what matters most."""
    if not studies:
        return "There is no study yet."
    stages = Counter(standing.study.stage for standing in studies)
    states = Counter(worker.state for worker in workers)
    trials = sum(not one.dead for standing in studies for one in standing.study.running)
    runs = f"{_plural(trials, 'trial')} {'runs' if trials == 1 else 'run'}"
    return (
        f"{runs if trials else 'No trial runs'}. Studies: {_counted(stages, Stage)}. "
        f"Workers: {_counted(states, WorkerState) or 'none'}."
    )


def _counted(counts: Counter[Any], kinds: Iterable[StrEnum]) -> str:
    return ", ".join(f"{counts[kind]} {kind.value}" for kind in kinds if counts[kind])


def study_rows(
    studies: Sequence[Standing],
    workers: Sequence[StayingWorker],
    *,
    base: str,
    may_control: bool,
) -> list[StudyRow]:
    """Make a row of each study, in the order in which they are served."""
    standings = {standing.study.study_id: standing for standing in studies}
    return [
        _row(standings[study.study_id], workers, base, may_control=may_control)
        for study in order_of_service([standing.study for standing in studies])
    ]


def next_rows(studies: Sequence[Standing]) -> list[NextRow]:
    """List the studies that the next free worker would serve, the first first."""
    queue = order_of_service([standing.study for standing in studies])
    return [
        NextRow(anchor=_anchor(study), name=study.name, why=_standing_words(study))
        for study in queue
        if may_serve(study, "")
    ][:_MOST_NEXT]


def _standing_words(study: QueuedStudy) -> str:
    busy = _plural(len(study.workers), "worker")
    left = _plural(study.to_begin, "trial")
    return (
        f"{left} to begin; priority {study.entry.priority}, {busy} for weight "
        f"{study.entry.weight:g}"
    )


def _row(
    standing: Standing, workers: Sequence[StayingWorker], base: str, *, may_control: bool
) -> StudyRow:
    study, best = standing.study, standing.best
    entry = study.entry
    untrained = best.untrained if best else None
    verdict, tone = _VERDICTS[standing.verdict] if best else ("", "soft")
    most = "" if entry.max_workers is None else f" of at most {entry.max_workers}"
    return StudyRow(
        anchor=_anchor(study),
        name=study.name,
        stage=study.stage.value,
        tone=_TONES.get(study.stage, "soft"),
        why=why_waiting(study, workers),
        finished=study.finished,
        total=entry.total,
        others=_others(study),
        running=[_place(trial) for trial in study.running],
        best=number(best.value) if best else "",
        untrained="" if untrained is None else number(untrained),
        is_better=best.value > untrained + SCORE_NOISE if best and untrained is not None else None,
        verdict=verdict,
        verdict_tone=tone,
        owner=entry.owner,
        tags=entry.tags,
        priority=entry.priority,
        weight=f"{entry.weight:g}",
        workers=f"{len(study.workers)}{most}",
        report=f"{base}/api/v1/studies/{quote(study.name, safe='')}/report",
        dashboard=f"{base}/dashboard/studies/{study.study_id}",
        form=f"{base}/studies/{quote(study.name, safe='')}",
        verbs=_VERBS.get(study.stage, ("pause", "cancel")) if may_control else (),
        version=entry.version,
    )


def _others(study: QueuedStudy) -> str:
    words = {"pruned": "pruned", "fail": "failed", "waiting": "waiting"}
    counts = {word: study.counts.get(state, 0) for state, word in words.items()}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def _place(trial: RunningTrial) -> str:
    if trial.lease is None:
        return f"trial {trial.number} in another program"
    if trial.dead:
        return f"trial {trial.number}: its worker on {trial.lease.host} is dead"
    return f"trial {trial.number} on {trial.lease.host}"


def _anchor(study: QueuedStudy) -> str:
    return f"study-{study.study_id}"


def _plural(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"
