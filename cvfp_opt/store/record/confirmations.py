"""The confirmations of all studies, by few statements for any number of studies."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, String, and_, bindparam, select, type_coerce

from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.tables import (
    STUDIES,
    STUDY_USER_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
)
from cvfp_opt.store.record.bests import Best
from cvfp_opt.store.record.confirmation import Runs, points_in
from cvfp_opt.store.record.identity import derived_uuid
from cvfp_opt.store.record.links import Source
from cvfp_opt.store.record.records import (
    CONFIRMATION_POINTS,
    CONFIRMATION_RUN,
    CONFIRMS,
    STUDY,
    TrialRecord,
    is_confirmation_run,
)


@dataclass(frozen=True, kw_only=True)
class ConfirmedBest:
    """The confirmation of a study.

    Attributes:
        uuid: of the study's best trial.
        runs: on fresh seeds; of each, only number, state, score, status, point and seed are read.
    """

    uuid: str
    runs: Runs


def read_confirmations(
    connection: Connection, names: Mapping[str, int], bests: Mapping[int, Best]
) -> dict[int, ConfirmedBest]:
    """Read the confirmations of studies, by the study's id.

    Args:
        connection: to the database.
        names: ids of the studies, by name.
        bests: their best trials, by id; studies without one are left out.
    """
    titles, attributes = _confirmations(connection)
    sources: dict[int, int] = {}
    for one, found in attributes.items():
        study_id = names.get(found[CONFIRMS]) if isinstance(found.get(CONFIRMS), str) else None
        if study_id is not None and study_id in bests:
            sources[one] = study_id
    if not sources:
        return {}
    rows = connection.execute(_RECORDS, {"ids": list(sources.values())})
    records = {study_id: parsed(text) for study_id, text in rows}
    runs = _runs(connection, sources)
    by_id = {study_id: name for name, study_id in names.items()}
    confirmed: dict[int, ConfirmedBest] = {}
    for one, study_id in sources.items():
        source = Source.of(by_id[study_id], {STUDY: records.get(study_id)})
        if source.has_confirmation(titles[one], attributes[one]):
            best = bests[study_id]
            points = points_in(attributes[one].get(CONFIRMATION_POINTS))
            confirmed[study_id] = ConfirmedBest(
                uuid=best.uuid or derived_uuid(f"{source.identity}/{best.number}"),
                runs=Runs(study=titles[one], points=points, trials=runs[one]),
            )
    return confirmed


_CONFIRMATIONS = (
    select(
        STUDIES.c.study_id,
        STUDIES.c.study_name,
        STUDY_USER_ATTRIBUTES.c.key,
        STUDY_USER_ATTRIBUTES.c.value_json,
    )
    .join(STUDY_USER_ATTRIBUTES, STUDY_USER_ATTRIBUTES.c.study_id == STUDIES.c.study_id)
    .where(STUDY_USER_ATTRIBUTES.c.key.in_((CONFIRMS, CONFIRMATION_POINTS)))
)
_RECORDS = select(STUDY_USER_ATTRIBUTES.c.study_id, STUDY_USER_ATTRIBUTES.c.value_json).where(
    STUDY_USER_ATTRIBUTES.c.key == STUDY,
    STUDY_USER_ATTRIBUTES.c.study_id.in_(bindparam("ids", expanding=True)),
)
_RUNS = (
    select(
        TRIALS.c.study_id,
        TRIALS.c.number,
        type_coerce(TRIALS.c.state, String).label("state"),
        VALUES.c.value,
        SYSTEM_ATTRIBUTES.c.value_json.label("run"),
        USER_ATTRIBUTES.c.value_json.label("status"),
    )
    .join(
        SYSTEM_ATTRIBUTES,
        and_(
            SYSTEM_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id,
            SYSTEM_ATTRIBUTES.c.key == CONFIRMATION_RUN,
        ),
    )
    .outerjoin(VALUES, and_(VALUES.c.trial_id == TRIALS.c.trial_id, VALUES.c.objective == 0))
    .outerjoin(
        USER_ATTRIBUTES,
        and_(USER_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id, USER_ATTRIBUTES.c.key == "status"),
    )
    .where(TRIALS.c.study_id.in_(bindparam("ids", expanding=True)))
    .order_by(TRIALS.c.trial_id)
)


def _confirmations(
    connection: Connection,
) -> tuple[dict[int, str], defaultdict[int, dict[str, Any]]]:
    """Read names and links of all confirmations, by their ids."""
    titles: dict[int, str] = {}
    attributes: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for study_id, name, key, text in connection.execute(_CONFIRMATIONS):
        titles[study_id] = name
        attributes[study_id][key] = parsed(text)
    return titles, attributes


def _runs(connection: Connection, ids: Collection[int]) -> defaultdict[int, list[TrialRecord]]:
    found: defaultdict[int, list[TrialRecord]] = defaultdict(list)
    for row in connection.execute(_RUNS, {"ids": list(ids)}):
        run = parsed(row.run)
        status = parsed(row.status) if row.status is not None else ""
        record = TrialRecord(
            number=row.number,
            state=row.state.lower(),
            value=row.value,
            status=status if isinstance(status, str) else "",
            run=run if is_confirmation_run(run) else {},
        )
        found[row.study_id].append(record)
    return found
