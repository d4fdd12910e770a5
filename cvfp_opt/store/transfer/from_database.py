"""Reading a study from a database to a dump, as of one moment, whoever writes meanwhile."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import Connection, select

from cvfp_opt.errors import StudyError, nearest
from cvfp_opt.store.database.damage import parsed, values_read
from cvfp_opt.store.database.reading import (
    RawTrial,
    attribute_texts,
    direction_names,
    moment,
    one_moment,
    read_raw_trials,
    state_of,
)
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import (
    STUDIES,
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    TRIALS,
)
from cvfp_opt.store.queue.leases import FORMER_LEASE
from cvfp_opt.store.record.confirmation import confirmation_name
from cvfp_opt.store.record.links import Source, source_name
from cvfp_opt.store.record.mirrors import count_own
from cvfp_opt.store.record.records import CONFIRMATION_POINTS, CONFIRMS, MIRROR_OF, MIRRORED, STUDY
from cvfp_opt.store.record.study_page import is_trial_note
from cvfp_opt.store.transfer.dump import Dump, Param, StudyDump, TrialDump
from cvfp_opt.store.transfer.generations import by_numbers


def read_dump(store: Store, name: str) -> Dump:
    """Read a study with its mirrors and its confirmation; running trials are enqueued in the dump.

    Raises:
        StudyError: there is none of that name, it is a mirror or a confirmation, or its trials
            are not numbered from 0 without gaps.
    """
    with one_moment(store.engine) as connection:
        rows = connection.execute(select(STUDIES.c.study_id, STUDIES.c.study_name))
        ids = {row.study_name: row.study_id for row in rows}
        links = _links(connection)
        of = {other: links[study_id] for other, study_id in ids.items()}
        if name not in ids:
            names = [other for other in ids if not {MIRROR_OF, CONFIRMS} & of[other].keys()]
            known = nearest(name, names) if names else "it has none yet"
            raise StudyError(f"{store.location.shown}: there is no study {name!r}; {known}")
        _refuse_linked(name, of)
        source = Source.of(name, of[name])
        mirrors = sorted(
            other
            for other in ids
            if source.has_mirror(other, of[other]) and count_own(connection, ids[other]) == 0
        )
        running = connection.execute(
            select(TRIALS.c.number)
            .where(TRIALS.c.study_id == ids[name], TRIALS.c.state == TrialState.RUNNING)
            .order_by(TRIALS.c.number)
        )
        study = read_study(connection, ids[name], name)
        confirmation = confirmation_name(name)
        linked = confirmation in ids and source.has_confirmation(confirmation, of[confirmation])
        linked = linked and CONFIRMATION_POINTS in of[confirmation]
        return Dump(
            study=study,
            mirrors=tuple(read_study(connection, ids[mirror], mirror) for mirror in mirrors),
            confirmation=_confirmation(connection, ids[confirmation], study) if linked else None,
            given_back=tuple(row.number for row in running),
        )


def _refuse_linked(name: str, of: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a mirror or confirmation: it goes where its study goes. ``of`` has links by name."""
    mirrored = source_name(of[name], MIRROR_OF)
    if mirrored is not None:
        raise StudyError(
            f"study {name!r} is a mirror of {mirrored!r} and goes where that one goes; name "
            f"{mirrored!r}"
        )
    confirmed = source_name(of[name], CONFIRMS)
    if confirmed is None or confirmed not in of:
        return
    if Source.of(confirmed, of[confirmed]).has_confirmation(name, of[name]):
        raise StudyError(
            f"study {name!r} is the confirmation of {confirmed!r} and goes where that one goes; "
            f"name {confirmed!r}"
        )


def _confirmation(connection: Connection, study_id: int, of: StudyDump) -> StudyDump | None:
    """Read the confirmation of a study; None if one of them has no record."""
    found = read_study(connection, study_id, confirmation_name(of.name))
    return None if of.record is None or found.record is None else found


def _links(connection: Connection) -> Mapping[int, dict[str, Any]]:
    """Read the records and links of all studies, by study id."""
    table = STUDY_USER_ATTRIBUTES
    columns = table.c.study_id, table.c.key, table.c.value_json
    wanted = table.c.key.in_((STUDY, MIRROR_OF, MIRRORED, CONFIRMS, CONFIRMATION_POINTS))
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for row in connection.execute(select(*columns).where(wanted)):
        found[row.study_id][row.key] = parsed(row.value_json)
    return found


def read_study(connection: Connection, study_id: int, name: str) -> StudyDump:
    """Read a study or mirror. Call within ``one_moment``.

    Raises:
        StudyError: its trials are not numbered from 0 without gaps.
        Damaged: what is stored of it is no study.
    """
    with values_read(f"study {name}"):
        user_attrs = attribute_texts(connection, STUDY_USER_ATTRIBUTES, study_id)[study_id]
        system_attrs = attribute_texts(connection, STUDY_SYSTEM_ATTRIBUTES, study_id)[study_id]
        found = sorted(read_raw_trials(connection, study_id), key=lambda raw: raw.number)
        return StudyDump(
            name=name,
            directions=tuple(
                StudyDirection[one] for one in direction_names(connection, study_id)[study_id]
            ),
            user_attrs=dict(sorted(user_attrs.items())),
            system_attrs=by_numbers(
                {key: text for key, text in system_attrs.items() if not is_trial_note(key)},
                {raw.trial_id: raw.number for raw in found},
            ),
            trials=tuple(_trials(found, name)),
        )


def _trials(found: Sequence[RawTrial], name: str) -> Iterator[TrialDump]:
    for number, raw in enumerate(found):
        if raw.number != number:
            raise StudyError(
                f"study {name!r}: trials numbered from 0 without gaps are required, got number "
                f"{raw.number} in the place of {number}; see what wrote it"
            )
        yield _trial(raw)


def _trial(raw: RawTrial) -> TrialDump:
    state = state_of(raw)
    runs = state is TrialState.RUNNING
    attributes = ((key, text) for key, text in raw.system_attrs.items() if key != FORMER_LEASE)
    return TrialDump(
        number=raw.number,
        state=TrialState.WAITING if runs else state,
        values=() if runs else tuple(_plain(value) for _, value in sorted(raw.values.items())),
        params=tuple(
            Param(name=name, value=_plain(value), distribution=text)
            for _, name, value, text in sorted(raw.params)
        ),
        intermediate={}
        if runs
        else {step: _plain(value) for step, value in sorted(raw.intermediate.items())},
        user_attrs={} if runs else dict(sorted(raw.user_attrs.items())),
        system_attrs=dict(sorted(attributes)),
        started=None if runs else moment(raw.started),
        completed=moment(raw.completed),
    )


def _plain(value: float) -> float:
    """Drop the sign of zero, which SQLite does not keep."""
    return value + 0.0
