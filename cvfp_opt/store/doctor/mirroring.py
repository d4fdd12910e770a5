"""Checks of mirrors and confirmations against their studies."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import cast

from sqlalchemy import Connection, update

from cvfp_opt.errors import StudyError
from cvfp_opt.escaping import positional
from cvfp_opt.store.database.reading import study_attributes
from cvfp_opt.store.database.rows import lock_study
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.study_rows import (
    delete_studies,
    delete_trials,
    find_row,
    put_attributes,
)
from cvfp_opt.store.database.tables import STUDIES, STUDY_USER_ATTRIBUTES
from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.finding import Finding, Repair, counted
from cvfp_opt.store.doctor.numbering import right_numbers
from cvfp_opt.store.doctor.rows import StudyRows, TrialRow
from cvfp_opt.store.record.confirmation import confirmation_name
from cvfp_opt.store.record.links import forget_links, source_name
from cvfp_opt.store.record.mirrors import (
    SOURCE_TRIAL,
    Mirror,
    count_own,
    left_out,
    mirrors_of,
    sync_mirrors,
)
from cvfp_opt.store.record.records import CONFIRMATION_POINTS, CONFIRMS, MIRROR_OF, TrialRecord
from cvfp_opt.store.record.studies import load_study
from cvfp_opt.store.record.trial_attributes import StoredAudit, StoredIteration, StoredScore

Copies = dict[int, list[TrialRow]]


def find_mirrors_out_of_step(context: Context) -> list[Finding]:
    """Find copies that are missing, wrong, or of a study that is gone."""
    found = []
    every = {study.name: study for study in context.every}
    mirrors = {mirror.name: mirror for mirror in context.mirrors}
    for study in context.ours:
        if study.confirms is not None:
            continue
        for mirror in mirrors_of(study.directions):
            rows = mirrors.get(f"{study.name}/{mirror.suffix}")
            if rows is not None and not study.source.has_mirror(rows.name, rows.attributes):
                rows = None
            if rows is None and f"{study.name}/{mirror.suffix}" in every:
                found.append(_name_taken(study, mirror))
            elif rows is None or not _own(rows):
                found += _out_of_step(context, study, mirror, rows)
    for mirrored in context.mirrors:
        if _own(mirrored):
            found.append(_not_only_copies(mirrored))
        elif _is_alone(every, mirrored):
            found.append(_left_behind(mirrored))
    found += [
        _confirms_nothing(study, _renamed(every, study))
        for study in context.studies
        if study.confirms is not None and _is_alone(every, study)
    ]
    return found


def _is_alone(every: Mapping[str, StudyRows], linked: StudyRows) -> bool:
    """Check if the study that a mirror or confirmation names is gone, or is another one now."""
    named = linked.mirror_of if linked.mirror_of is not None else linked.confirms
    source = every.get(named or "")
    if source is None:
        return True
    # a copy of one, under a name of its own, is nobody's either, but then not for this reason
    stands = linked.name.startswith(f"{source.name}/")
    return stands and not source.source.owns(linked.name, linked.attributes)


def _own(mirror: StudyRows) -> list[TrialRow]:
    """List the trials of a mirror that are no copies."""
    return [t for t in mirror.trials if SOURCE_TRIAL not in {*t.user_attrs, *t.unreadable}]


def _out_of_step(
    context: Context, study: StudyRows, mirror: Mirror, rows: StudyRows | None
) -> list[Finding]:
    expected = _expected(study, mirror)
    copies = _copies(rows) if rows is not None else {}
    missing = expected.keys() - copies.keys()
    name = f"study {study.name}/{mirror.suffix}"
    found = []
    if missing and not context.is_searched(study):  # its workers copy every few seconds
        found.append(
            Finding(
                where=name,
                what=f"{counted(len(missing), 'complete trial')} not copied",
                cause="the last worker was stopped before it copied them",
                help="copies them",
                repair=_sync(study),
            )
        )
    wrong = sum(
        len(trials) if number not in expected else _faults(study, expected[number], trials)
        for number, trials in copies.items()
    )
    if rows is not None and not wrong:  # numbers that Optuna's own tools could not show
        numbers = [trial.number for trial in rows.trials]
        wrong = len(numbers) - len(right_numbers(numbers))
    if wrong and rows is not None:
        found.append(
            Finding(
                where=name,
                what=f"{counted(wrong, 'copy')} of trials that are not there, or are otherwise",
                cause="the study was changed by hand or by another program, or the mirror was",
                help="makes the mirror anew",
                repair=_rebuild(study, rows),
            )
        )
    return found


def _expected(study: StudyRows, mirror: Mirror) -> dict[int, tuple[TrialRow, list[float]]]:
    """Compute which trials belong in a mirror, and their values there, by number."""
    assert study.record is not None
    split = study.record.definition["objective"].get("split", "train")
    found = {}
    for trial in study.complete:
        record = TrialRecord(
            number=trial.number,
            state="complete",
            scored=cast(StoredScore, trial.table("scored")),
            metrics=cast(StoredIteration, trial.table("metrics")),
            audit=cast(StoredAudit, trial.table("audit")),
        )
        try:
            values = mirror.values(record, split) if record.audit else None
        except (KeyError, TypeError):  # another program's words
            continue
        if values is None:
            continue
        found[trial.number] = (trial, list(values))
    return found


def _copies(rows: StudyRows) -> Copies:
    """Group a mirror's trials by the number that each copies; -1 for one that names none."""
    found: Copies = defaultdict(list)
    for trial in rows.trials:
        number = trial.user_attrs.get(SOURCE_TRIAL)
        found[number if isinstance(number, int) else -1].append(trial)
    return found


def _faults(study: StudyRows, source: tuple[TrialRow, list[float]], copies: list[TrialRow]) -> int:
    """Count a trial's copies that are not as they should be: all but one, at least."""
    trial, values = source
    good = sum(
        [value for _, value in sorted(copy.values.items())] == values
        and copy.params == trial.params
        for copy in copies
    )
    return len(copies) - min(good, 1)


def _name_taken(study: StudyRows, mirror: Mirror) -> Finding:
    """Report that a mirror's name is taken; only the owners can rename one of the two."""
    name = f"{study.name}/{mirror.suffix}"
    return Finding(
        where=f"study {study.name}",
        what=f"no Pareto front: study {name} is another one's",
        cause=f"somebody gave a study of their own the name {name}",
        help="to have the front, rename one of the two, and type `cvfp-opt run`",
        harmless=True,
    )


def _not_only_copies(mirror: StudyRows) -> Finding:
    def repair(open_store: Callable[[], Store]) -> str:
        with open_store().engine.begin() as connection:
            _check_unchanged(connection, mirror)
            forget_links(connection, mirror.study_id)
        return f"study {mirror.name} is a study of its own again, with all its trials"

    return Finding(
        where=f"study {mirror.name}",
        what=f"a mirror with {counted(len(_own(mirror)), 'trial')} of its own",
        cause="an older version took somebody's study of that name for its mirror",
        help="makes it a study of its own again, and deletes nothing",
        repair=repair,
    )


def _left_behind(mirror: StudyRows) -> Finding:
    def repair(open_store: Callable[[], Store]) -> str:
        store = open_store()
        with store.lock(), store.engine.begin() as connection:
            _check_unchanged(connection, mirror)
            delete_studies(connection, [mirror.study_id])
        return f"study {mirror.name} deleted"

    return Finding(
        where=f"study {mirror.name}",
        what=f"a mirror with {counted(len(mirror.trials), 'trial')} of a study that is gone",
        cause=f"another program, the dashboard for instance, deleted study {mirror.mirror_of}",
        help="deletes it, too",
        repair=repair,
    )


def _check_unchanged(connection: Connection, linked: StudyRows) -> None:
    """Lock a mirror or confirmation, and make sure that it is what was looked at.

    SQLite gives the number of a study that was deleted to the next one.

    Raises:
        StudyError: it is not.
    """
    lock_study(connection, linked.study_id)
    row = find_row(connection, linked.name)
    same = row is not None and (row.study_id, row.study_name) == (linked.study_id, linked.name)
    attrs = study_attributes(connection, STUDY_USER_ATTRIBUTES, linked.study_id)
    now = source_name(attrs, MIRROR_OF), source_name(attrs, CONFIRMS)
    if not same or now != (linked.mirror_of, linked.confirms):
        raise StudyError(f"study {linked.name!r} has changed meanwhile; type the same again")
    if MIRROR_OF in attrs and count_own(connection, linked.study_id) != len(_own(linked)):
        raise StudyError(f"study {linked.name!r} was given trials meanwhile; type the same again")


def _renamed(every: Mapping[str, StudyRows], confirmation: StudyRows) -> StudyRows | None:
    """Find the study that a confirmation is of, if it has another name now and no confirmation."""
    points = confirmation.attributes.get(CONFIRMATION_POINTS)
    uuid = points.get("uuid") if isinstance(points, dict) else None
    found = [
        study
        for study in every.values()
        if study.source.identity and study.source.identity == uuid and study.confirms is None
    ]
    if len(found) != 1 or confirmation_name(found[0].name) in every:
        return None
    return found[0]


def _confirms_nothing(study: StudyRows, renamed: StudyRows | None) -> Finding:
    """Report a confirmation without its study, with a repair if that has another name now."""
    where, runs = f"study {study.name}", counted(len(study.trials), "run")
    if renamed is not None:
        return Finding(
            where=where,
            what=f"a confirmation with {runs} of study {study.confirms}, which is called "
            f"{renamed.name} now",
            cause="another program, the dashboard for instance, renamed it",
            help=f"renames the confirmation to {confirmation_name(renamed.name)}",
            repair=_reconnect(study, renamed),
        )
    return Finding(
        where=where,
        what=f"a confirmation with {runs} of a study that is gone",
        cause=f"another program deleted study {study.confirms}",
        help=f"if nobody needs it, type `cvfp-opt study delete {positional(study.name)}`",
        harmless=True,
    )


def _reconnect(confirmation: StudyRows, source: StudyRows) -> Repair:
    def repair(open_store: Callable[[], Store]) -> str:
        store, name = open_store(), confirmation_name(source.name)
        with store.lock(), store.engine.begin() as connection:
            _check_unchanged(connection, confirmation)
            if find_row(connection, name) is not None or not find_row(connection, source.name):
                raise StudyError(f"study {source.name!r} has changed meanwhile; type it again")
            ours = STUDIES.c.study_id == confirmation.study_id
            connection.execute(update(STUDIES).where(ours).values(study_name=name))
            links = {CONFIRMS: source.name}
            put_attributes(connection, STUDY_USER_ATTRIBUTES, confirmation.study_id, links)
        return f"study {confirmation.name} is study {name} now"

    return repair


def _sync(study: StudyRows) -> Repair:
    def repair(open_store: Callable[[], Store]) -> str:
        store = open_store()
        loaded = load_study(store, study.name)
        if lines := left_out(store, loaded):
            raise StudyError("; ".join(lines))
        sync_mirrors(store, loaded)
        return f"study {study.name}: its mirrors have all complete trials"

    return repair


def _rebuild(study: StudyRows, mirror: StudyRows) -> Repair:
    def repair(open_store: Callable[[], Store]) -> str:
        store = open_store()
        with store.engine.begin() as connection:
            _check_unchanged(connection, mirror)
            delete_trials(connection, [mirror.study_id])
        # stopped here, it is empty, and filled by whoever comes next
        _sync(study)(open_store)
        return f"study {mirror.name} made anew"

    return repair
