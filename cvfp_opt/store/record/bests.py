"""The best trials of all studies, by few statements for any number of studies."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import Connection, Row, Select, and_, bindparam, case, func, select

from cvfp_opt.store.database.constraints import is_infeasible_row
from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.reading import SPECIAL, special_number
from cvfp_opt.store.database.tables import (
    DIRECTIONS,
    STUDY_USER_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
)
from cvfp_opt.store.record.attribute_shapes import is_ours
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.records import STUDY, rank

# No database refuses a statement with so many values in it.
_BLOCK = 1000


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best trial of a study.

    Attributes:
        number: of the trial.
        value: its score.
        untrained: score of the same net before training; None if it was not audited.
        uuid: its own; "" if it was given none.
    """

    number: int
    value: float
    untrained: float | None
    uuid: str


@dataclass(frozen=True)
class _Place:
    """A trial that nobody beats: its study, id and number, and its score."""

    study_id: int
    trial_id: int
    number: int
    value: float


def read_bests(connection: Connection) -> dict[int, Best]:
    """Read the best trial of each study of this program that has one, by the study's id."""
    places = [*_of_one_objective(connection), *_of_several(connection)]
    audits, identities = _attributes(connection, [place.trial_id for place in places])
    return {
        place.study_id: Best(
            number=place.number,
            value=place.value,
            untrained=_untrained(audits.get(place.trial_id)),
            uuid=_uuid(identities.get(place.trial_id)),
        )
        for place in places
    }


_COMPLETE = TRIALS.c.state == TrialState.COMPLETE
_SEVERAL = select(DIRECTIONS.c.study_id).where(DIRECTIONS.c.objective > 0)
# Not of mirrors, which have the same trials.
_OURS = select(STUDY_USER_ATTRIBUTES.c.study_id).where(STUDY_USER_ATTRIBUTES.c.key == STUDY)


def _first() -> Select[Any]:
    """Select the best trial of each study with one objective, by the rule of ``records.rank``."""
    maximized = DIRECTIONS.c.direction == StudyDirection.MAXIMIZE
    special = special_number(VALUES.c.value_type).label("special")
    best, worst = case((maximized, 1), else_=2), case((maximized, 2), else_=1)
    tier = case((VALUES.c.value.is_not(None), 1), (special == best, 0), (special == worst, 2))
    order = (
        case((is_infeasible_row(), 1), else_=0),
        tier,
        case((maximized, -VALUES.c.value), else_=VALUES.c.value),
        TRIALS.c.number,
    )
    place = func.row_number().over(partition_by=TRIALS.c.study_id, order_by=order).label("place")
    names = (TRIALS.c.study_id, TRIALS.c.trial_id, TRIALS.c.number, VALUES.c.value)
    placed = (
        select(*names, special, place)
        .join(VALUES, and_(VALUES.c.trial_id == TRIALS.c.trial_id, VALUES.c.objective == 0))
        .join(
            DIRECTIONS,
            and_(DIRECTIONS.c.study_id == TRIALS.c.study_id, DIRECTIONS.c.objective == 0),
        )
        .where(
            _COMPLETE,
            tier.is_not(None),
            TRIALS.c.study_id.in_(_OURS),
            TRIALS.c.study_id.not_in(_SEVERAL),
        )
        .subquery()
    )
    return select(placed).where(placed.c.place == 1)


_FIRST = _first()


def _of_one_objective(connection: Connection) -> Iterator[_Place]:
    for study_id, trial_id, number, value, special, _ in connection.execute(_FIRST):
        yield _Place(study_id, trial_id, number, SPECIAL[special] if value is None else value)


# Asked for first: for none of them, PostgreSQL would look at the attributes of all trials.
_OURS_OF_SEVERAL = _SEVERAL.where(DIRECTIONS.c.study_id.in_(_OURS)).distinct()
_SCORED = (
    select(
        TRIALS.c.study_id,
        TRIALS.c.trial_id,
        TRIALS.c.number,
        USER_ATTRIBUTES.c.value_json,
        is_infeasible_row(),
    )
    .join(USER_ATTRIBUTES, USER_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
    .where(
        _COMPLETE,
        USER_ATTRIBUTES.c.key == "scored",
        TRIALS.c.study_id.in_(bindparam("ids", expanding=True)),
    )
    .order_by(TRIALS.c.trial_id)
)


def _of_several(connection: Connection) -> Sequence[_Place]:
    """Find the trial with the best score of each study with several objectives."""
    ids = connection.scalars(_OURS_OF_SEVERAL).all()
    if not ids:
        return []
    found: dict[int, tuple[bool, float, _Place]] = {}
    for study_id, trial_id, number, text, infeasible in connection.execute(_SCORED, {"ids": ids}):
        value = parsed(text)
        score = value.get("score") if value and is_ours("scored", value) else None
        before = found.get(study_id)
        if score is None or rank(score) is None:
            continue
        place = not infeasible, score
        if before is None or place > before[:2]:
            found[study_id] = *place, _Place(study_id, trial_id, number, score)
    return [place for *_, place in found.values()]


_AUDIT = USER_ATTRIBUTES.c
_AUDITS = select(_AUDIT.trial_id, _AUDIT.value_json).where(
    _AUDIT.key == "audit", _AUDIT.trial_id.in_(bindparam("ids", expanding=True))
)
_IDENTITY = SYSTEM_ATTRIBUTES.c
_IDENTITIES = select(_IDENTITY.trial_id, _IDENTITY.value_json).where(
    _IDENTITY.key == IDENTITY_KEY, _IDENTITY.trial_id.in_(bindparam("ids", expanding=True))
)


def _attributes(
    connection: Connection, ids: Sequence[int]
) -> tuple[Mapping[int, Any], Mapping[int, Any]]:
    """Read audits and identities of trials, by id."""
    audits: list[Row[Any]] = []
    identities: list[Row[Any]] = []
    for start in range(0, len(ids), _BLOCK):
        asked = {"ids": ids[start : start + _BLOCK]}
        audits += connection.execute(_AUDITS, asked)
        identities += connection.execute(_IDENTITIES, asked)
    return _parsed(audits), _parsed(identities)


def _parsed(rows: Iterable[Row[Any]]) -> dict[int, Any]:
    return {row.trial_id: parsed(row.value_json) for row in rows}


def _untrained(audit: Any) -> float | None:
    if not audit or not is_ours("audit", audit):
        return None
    score: float = audit["baseline"]["score"]
    return score


def _uuid(value: Any) -> str:
    identity = TrialIdentity.read(value)
    return identity.uuid if identity else ""
