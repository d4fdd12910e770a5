"""How the winner depends on the score's formula: other ways to combine its two parts."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from cvfp_opt.report.rows import Rows
from cvfp_opt.report.words import number, share
from cvfp_opt.store.record.decisions import SCORE_NOISE
from cvfp_opt.store.record.records import TrialRecord

Combiner = Callable[[float, float], float]
"""(convergence rate, ER / D), each in [0, 1] -> a score in [0, 1]."""


def _weighted(weight: float) -> Combiner:
    return lambda convergence, rank: weight * convergence + (1.0 - weight) * rank


COMBINERS: Mapping[str, Combiner] = {
    **{f"{w} convergence + {1 - w:.1f} rank": _weighted(w) for w in (0.3, 0.4, 0.5, 0.6, 0.7)},
    "geometric mean": lambda convergence, rank: math.sqrt(convergence * rank),
    "minimum": min,
}


@dataclass(frozen=True, kw_only=True)
class Combined:
    """The complete trials as one combiner ranks them.

    Attributes:
        combiner: a key of COMBINERS.
        winner: the number of its best trial; of equal ones, the study's own winner or the first.
        score: that it gives to it.
        convergence_rate, effective_rank: of it.
        place: of the study's own winner, from 1.
        behind: by how much that one scores less; 0 if it wins.
    """

    combiner: str
    winner: int
    score: float
    convergence_rate: float
    effective_rank: float
    place: int
    behind: float


class SentenceJson(TypedDict):
    """What a table says, in words.

    Attributes:
        sentence: whether the winner changes, and whether that is more than noise.
    """

    sentence: str


@dataclass(frozen=True, kw_only=True)
class CombinerAudit:
    """The complete trials as every combiner ranks them.

    Attributes:
        best: the study's own winner.
        rows: in the order of COMBINERS.
        num_trials: complete ones with both parts, of which any could win.
        num_pruned: those that the study's own score gave up, and that others may have kept.
    """

    best: int
    rows: tuple[Combined, ...]
    num_trials: int
    num_pruned: int

    @property
    def sentence(self) -> str:
        """One sentence: whether the winner changes, and whether that is more than noise."""
        total = len(self.rows)
        others: dict[int, list[Combined]] = {}
        for row in self.rows:
            if row.winner != self.best:
                others.setdefault(row.winner, []).append(row)
        if self.num_trials == 1:
            return (
                f"Trial {self.best} is the only one that can win, however its parts are combined"
            )
        if not others:
            return f"Trial {self.best} wins by all {total} ways to combine convergence and rank"
        kept = total - sum(map(len, others.values()))
        words = "; ".join(
            f"trial {winner} wins by {', '.join(row.combiner for row in rows)} "
            f"(by {max(row.behind for row in rows):.3f})"
            for winner, rows in others.items()
        )
        gap = max(row.behind for rows in others.values() for row in rows)
        verdict = (
            f"no more than the noise of a score over seeds, {SCORE_NOISE}"
            if gap <= SCORE_NOISE
            else "the winner depends on the score's formula"
        )
        return (
            f"Trial {self.best} wins by {kept} of {total} ways to combine convergence and rank; "
            f"{words}: {verdict}"
        )

    def table(self) -> Rows:
        """Write a row for each combiner."""
        place = f"place of trial {self.best}"
        return Rows(
            columns=("combined as", "wins", "score", "convergence", "rank", place, "behind"),
            rows=tuple(
                (
                    row.combiner,
                    f"trial {row.winner}",
                    row.score,
                    row.convergence_rate,
                    row.effective_rank,
                    row.place,
                    row.behind or None,
                )
                for row in self.rows
            ),
            formats={"score": number, "convergence": share, "rank": share, "behind": number},
        )

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON values."""
        return asdict(self) | {"sentence": self.sentence}


def audit_combiners(trials: Sequence[TrialRecord], best: TrialRecord) -> CombinerAudit | None:
    """Score complete trials by each combiner; None if ``best`` has no two parts.

    The parts are those that the study scored: its own split, threshold and way to read. Where the
    winner is feasible, only feasible trials are compared with it, as in the study itself.

    Args:
        trials: of a study.
        best: its winner.
    """
    parts = {
        trial.number: found
        for trial in trials
        if trial.state == "complete"
        and (trial.feasible or not best.feasible)
        and (found := _parts(trial)) is not None
    }
    if best.number not in parts:
        return None
    rows = []
    for name, combine in COMBINERS.items():
        scores = {n: combine(*found) for n, found in parts.items()}
        own = scores[best.number]
        winner = min(scores, key=lambda n: (-scores[n], n != best.number, n))
        rows.append(
            Combined(
                combiner=name,
                winner=winner,
                score=scores[winner],
                convergence_rate=parts[winner][0],
                effective_rank=parts[winner][1],
                place=1 + sum(score > own for score in scores.values()),
                behind=scores[winner] - own,
            )
        )
    return CombinerAudit(
        best=best.number,
        rows=tuple(rows),
        num_trials=len(parts),
        num_pruned=sum(trial.state == "pruned" for trial in trials),
    )


def _parts(trial: TrialRecord) -> tuple[float, float] | None:
    """Take convergence rate and ER / D as they were scored, if both are figures."""
    found = (trial.scored.get("convergence_rate"), trial.scored.get("effective_rank"))
    convergence, rank = found
    if convergence is None or rank is None or not math.isfinite(convergence + rank):
        return None
    return convergence, rank
