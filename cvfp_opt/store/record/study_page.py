"""The study's page in optuna-dashboard: written whole or not at all, by one process at a time.

Notes and figures are system attributes of the study, cut into pieces of two thousand characters.
Optuna's own way takes a transaction for each of them; a browser that asks in between gets half a
figure, and its page breaks.
"""

import copy
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from sqlalchemy import Connection, select

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.number_checks import is_finite, is_whole
from cvfp_opt.store.database.optuna_private import set_storage, storage_of, study_id_of
from cvfp_opt.store.database.reading import study_attributes
from cvfp_opt.store.database.rows import lock_study
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.study_rows import put_attributes
from cvfp_opt.store.database.tables import STUDY_SYSTEM_ATTRIBUTES as ATTRIBUTES

# Study system attribute: when the page was written last, how long that took, and how many trials
# had ended by then.
PAGE = "cvfp_opt:page"
# A running search writes the page no more often than this, for a person who looks on.
EVERY_SECONDS = 60.0
# A page costs at most 1 % of a worker: after t seconds of writing the next comes 100 t later.
TIMES_COST = 100.0

_TRIAL_NOTE = re.compile(r"dashboard:([0-9]{1,18}):note_")
_NOTE_PIECE = re.compile(r"dashboard:note_str:([0-9]{1,9})")
# Keys of a study's note, or of a note on a trial.
_ANY_NOTE = re.compile(r"(dashboard:(?:[0-9]{1,18}:)?)note_(?:ver|str:([0-9]{1,9}))")
_NOTE_LIKE = re.compile(r"dashboard:([0-9]+:)?note_(ver$|str:)")
_MAX_VERSION = 2**31
_PIECE = 2045  # optuna-dashboard's own


def take_turn(store: Store, study: optuna.Study, ended: int, *, last: bool = False) -> bool:
    """Claim the next writing of the page: True if it is due, and then for no other process.

    Args:
        store, study: whose page.
        ended: trials that have ended; if they are as many as on the page, there is nothing to do.
        last: whether nobody may come back to it: due at once.
    """

    def due(page: Mapping[str, Any]) -> bool:
        if page.get("ended") == ended:
            return False
        pause = max(EVERY_SECONDS, TIMES_COST * page.get("seconds", 0.0))
        # a clock that was set back must not stop it for ever
        return last or not 0 <= time.time() - page.get("written", 0.0) < pause

    study_id = study_id_of(study)
    with store.engine.connect() as connection:
        if not due(_page(connection, study_id)):
            return False
    with store.engine.begin() as connection:
        try:
            lock_study(connection, study_id)
        except StudyError:  # deleted: the search will find out, and report it
            return False
        page = _page(connection, study_id)
        if not due(page):
            return False
        turn = {"written": time.time(), "ended": ended, "seconds": page.get("seconds", 0.0)}
        put_attributes(connection, ATTRIBUTES, study_id, {PAGE: turn})
    return True


def write_page(
    store: Store,
    study: optuna.Study,
    compose: Callable[[optuna.Study], None],
    *,
    started: float,
    ended: int,
) -> None:
    """Write in one transaction what ``compose`` puts on a study by optuna-dashboard's functions.

    A note that somebody saved meanwhile stays as it is until the page is written again.

    Args:
        store, study: whose page.
        compose: given a study that keeps what is written to it to itself.
        started: ``time.perf_counter()`` when the work for the page began.
        ended: trials that have ended by what it shows.
    """
    study_id = study_id_of(study)
    kept = _Kept(store.storage.get_study_system_attrs(study_id))
    page = copy.copy(study)
    set_storage(page, kept)
    compose(page)
    seconds = time.perf_counter() - started
    turn = {"written": time.time(), "ended": ended, "seconds": round(seconds, 3)}
    with store.engine.begin() as connection:
        lock_study(connection, study_id)
        edited = tuple(
            key.removesuffix("ver")
            for key, version in _note_versions(connection, study_id).items()
            if version != kept.before.get(key)
        )
        changed = {key: v for key, v in kept.changed.items() if not key.startswith(edited)}
        put_attributes(connection, ATTRIBUTES, study_id, changed | {PAGE: turn})


def is_trial_note(key: str) -> bool:
    """Check whether a study's system attribute is of a note on a trial, which it names by id.

    Ids are a database's own: elsewhere the note would be another trial's.
    """
    return _TRIAL_NOTE.match(key) is not None


def is_note(key: str) -> bool:
    """Check whether a study's system attribute is a piece of its note."""
    return _NOTE_PIECE.fullmatch(key) is not None


def noted_trials(page: optuna.Study) -> set[int]:
    """List the ids of the trials that have a note, ours or the user's."""
    keys = storage_of(page).get_study_system_attrs(study_id_of(page))
    return {int(found[1]) for key in keys if (found := _TRIAL_NOTE.match(key))}


def note_of(page: optuna.Study) -> str:
    """Read a study's note, without what another program put in the place of text."""
    found = _notes(storage_of(page).get_study_system_attrs(study_id_of(page)))
    return found["dashboard:"][1] if "dashboard:" in found else ""


def put_note(page: optuna.Study, note: str, trial_id: int | None = None) -> None:
    """Write a study's note, or that on a trial, as optuna-dashboard's ``save_note`` does.

    That one takes of trials a running Trial only, and stops at a version that is no number.
    """
    before = storage_of(page).get_study_system_attrs(study_id_of(page))
    for key, value in _note_attributes(before, _prefix(trial_id), note).items():
        storage_of(page).set_study_system_attr(study_id_of(page), key, value)


def save_note(
    store: Store, study_id: int, note: str, version: int, trial_id: int | None = None
) -> bool:
    """Write a note that somebody has edited, in one transaction.

    Args:
        store, study_id: whose.
        note: all of it.
        version: one more than that of the note that was edited.
        trial_id: of a note on a trial.

    Returns:
        False if it is not: somebody else was quicker, and nothing is written.
    """
    prefix = _prefix(trial_id)
    with store.engine.begin() as connection:
        lock_study(connection, study_id)
        before = study_attributes(connection, ATTRIBUTES, study_id)
        after = _note_attributes(before, prefix, note)
        if version != after[f"{prefix}note_ver"]:
            return False
        put_attributes(connection, ATTRIBUTES, study_id, after)
    return True


def read_note(store: Store, study_id: int, trial_id: int | None = None) -> tuple[int, str]:
    """Read version and text of a note; 0 and "" where there is none."""
    with store.engine.connect() as connection:
        found = _notes(study_attributes(connection, ATTRIBUTES, study_id))
    return found.get(_prefix(trial_id), (0, ""))


def legible_notes(before: Mapping[str, Any]) -> dict[str, Any]:
    """Select a study's system attributes with whole notes only: no version or piece is missing.

    What another program put in the place of text is left out.
    """
    found = {key: value for key, value in before.items() if not _NOTE_LIKE.match(key)}
    for prefix, (version, text) in _notes(before).items():
        found[f"{prefix}note_ver"] = version
        found |= _pieces(prefix, text)
    return found


def _notes(before: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Read version and text of each note, by the beginning of its keys."""
    versions, pieces = dict[str, int](), dict[str, dict[int, str]]()
    for key, value in before.items():
        found = _ANY_NOTE.fullmatch(key)
        if found and found[2] and isinstance(value, str):
            pieces.setdefault(found[1], {})[int(found[2])] = value
        elif found and not found[2]:
            versions[found[1]] = value if is_whole(value, _MAX_VERSION) else 0
    return {
        prefix: (
            versions.get(prefix, 0),
            "".join(text for _, text in sorted(pieces.get(prefix, {}).items())),
        )
        for prefix in versions | pieces
    }


def _note_attributes(before: Mapping[str, Any], prefix: str, note: str) -> dict[str, Any]:
    """Make the attributes of a note, in the place of the former one."""
    former = _notes({k: v for k, v in before.items() if k.startswith(f"{prefix}note_")})
    version, _ = former.get(prefix, (0, ""))
    gone = {key: "" for key in before if key.startswith(f"{prefix}note_str:")}
    return gone | _pieces(prefix, note) | {f"{prefix}note_ver": version + 1}


def _pieces(prefix: str, note: str) -> dict[str, str]:
    texts = [note[start : start + _PIECE] for start in range(0, len(note), _PIECE)]
    return {f"{prefix}note_str:{place}": text for place, text in enumerate(texts)}


def _prefix(trial_id: int | None) -> str:
    return "dashboard:" if trial_id is None else f"dashboard:{trial_id}:"


class _Kept:
    """A study's storage that reads its attributes as they were, and remembers what is written."""

    def __init__(self, before: Mapping[str, Any]) -> None:
        self.before = dict(before)
        self._written: dict[str, Any] = {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self.before | self._written

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._written[key] = value

    @property
    def changed(self) -> dict[str, Any]:
        """The attributes that were written and differ from before."""
        return {k: v for k, v in self._written.items() if self.before.get(k, self) != v}


def _note_versions(connection: Connection, study_id: int) -> dict[str, Any]:
    """Read the versions of a study's notes, by their keys."""
    query = select(ATTRIBUTES.c.key, ATTRIBUTES.c.value_json).where(
        ATTRIBUTES.c.study_id == study_id,
        ATTRIBUTES.c.key.startswith("dashboard:"),
        ATTRIBUTES.c.key.endswith("note_ver", autoescape=True),
    )
    return {key: parsed(text) for key, text in connection.execute(query)}


def _page(connection: Connection, study_id: int) -> dict[str, Any]:
    query = select(ATTRIBUTES.c.value_json).where(
        ATTRIBUTES.c.study_id == study_id, ATTRIBUTES.c.key == PAGE
    )
    value = parsed(connection.scalar(query))
    found = value if isinstance(value, dict) else {}
    return {key: figure for key, figure in found.items() if is_finite(figure)}
