"""What Python prints of a study, a confirmation or a network: a few lines."""

from cvfp_opt.escaping import printable
from cvfp_opt.report.confirmation import Confirmation
from cvfp_opt.report.confirmation_words import confirmation_lines
from cvfp_opt.report.extent import trials_words
from cvfp_opt.report.network import NetworkRecord
from cvfp_opt.report.words import number
from cvfp_opt.store.record.queue_entry import QueueState
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary


def study_text(summary: Summary, named: str = "") -> str:
    """Write how many trials a study has, and its best one, in one line.

    Args:
        summary: of the study.
        named: what stands for it; "" for its name and database.
    """
    parts = [trials_words(summary, "no trials yet")]
    parts += [_best(summary, summary.best)] if summary.best else []
    parts += [] if summary.queue.state is QueueState.OPEN else [summary.queue.state.value]
    named = named or f"Study({summary.name!r}, storage={summary.url!r})"
    return _lines([f"{named}: {', '.join(parts)}"])


def _best(summary: Summary, best: TrialRecord) -> str:
    if summary.is_pareto and summary.record is None:
        return f"{len(summary.ranking)} on the Pareto front"
    value = number(best.value) if summary.record is not None else f"{best.value:.4g}"
    return f"best {value} (trial {best.number})"


def confirmation_text(found: Confirmation) -> str:
    """Write the verdict of fresh seeds on a study's best trial."""
    verdict = "undecided: the winner has no score on fresh seeds yet"
    if found.winner is None or found.winner.score is not None:
        verdict, *_ = confirmation_lines(found)
    runs = f"{found.done} of {found.total} runs"
    return _lines([f"Confirmation({found.study!r}): {runs}", f"  {verdict}"])


def network_text(network: NetworkRecord) -> str:
    """Write what a network is, its score and the judgement of its audit."""
    score = f"  {network.score}" if network.score else ""
    lines = [network.title, f"  {network.sizes}", score, f"  {network.judgement}"]
    return _lines([line for line in lines if line])


def _lines(lines: list[str]) -> str:
    return "\n".join(map(printable, lines))
