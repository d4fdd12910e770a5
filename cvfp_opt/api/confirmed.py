"""Telling what fresh seeds said of a study's best trial."""

from typing import Any

from cvfp_opt.report.confirmation import ConfirmationVerdict, confirmation_of
from cvfp_opt.report.confirmation_words import seeds_words
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.announcing import untold
from cvfp_opt.store.queue.events import subject_of, write_event
from cvfp_opt.store.record.event import EventKind
from cvfp_opt.store.record.studies import load_study
from cvfp_opt.store.record.summary import Summary


def announce_confirmed(store: Store, name: str) -> None:
    """Tell the verdict on the best trial, whatever it is, once its confirmation is over."""
    with untold():
        study = load_study(store, name)
        found = confirmation_of(
            Summary.of(study, store.location.shown, option=store.location.option)
        )
        winner = found.winner if found else None
        if found is None or winner is None or found.done < found.total:
            return
        if winner.verdict is ConfirmationVerdict.OPEN or winner.score is None:
            return
        trial, verdict = winner.point.trial, winner.verdict.value
        text = f"study {name}: on {seeds_words(winner)} trial {trial} is {verdict}"
        details: dict[str, Any] = {"trial": trial, "verdict": verdict}
        details["seeds"] = len(winner.scores)
        details |= {"score": winner.point.reported, "mean": winner.score.mean}
        which, subject = f"{winner.point.key}/{found.done}", subject_of(study)
        with store.engine.begin() as connection:
            write_event(connection, store, subject, EventKind.CONFIRMED, which, text, details)
