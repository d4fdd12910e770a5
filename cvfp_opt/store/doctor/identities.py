"""Checks of the records and identities of studies and trials."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from optuna.trial import TrialState

from cvfp_opt.escaping import printable
from cvfp_opt.store.database.number_checks import is_whole
from cvfp_opt.store.database.rows import PendingWrites, lock_study, write_pending
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.finding import MAX_NAMED, Finding, Repair, of_trials
from cvfp_opt.store.doctor.rows import StudyRows, TrialRow, newer_format
from cvfp_opt.store.record.attribute_shapes import is_ours
from cvfp_opt.store.record.confirmation import FRESH
from cvfp_opt.store.record.differences import DRIFT
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity, derived_uuid
from cvfp_opt.store.record.records import (
    ATTRIBUTES,
    CONFIRMATION_POINTS,
    CONFIRMS,
    FORMAT,
    MIRROR_OF,
    STUDY,
)
from cvfp_opt.store.record.study_page import is_note

_UPGRADE = "type `pip install -U cvfp-opt`"
_RESTORE = "restore the study from an export or a copy: `cvfp-opt study import FILE.zip`"


def find_unreadable_records(context: Context) -> list[Finding]:
    """Find records of newer formats, and what is no record."""
    found = []
    for study in context.studies:
        where, value = f"study {study.name}", study.attributes.get(STUDY)
        if newer := newer_format(value):
            found.append(
                Finding(
                    where=where,
                    what=f"record format {newer}, this version reads up to {FORMAT}",
                    cause="written by a newer cvfp-opt",
                    help=_UPGRADE,
                )
            )
        elif STUDY in study.attributes and study.record is None and not study.unreadable:
            found.append(
                Finding(
                    where=where,
                    what=f"attribute {STUDY} is no record of a study",
                    cause="written or changed by another program",
                    help=_RESTORE,
                )
            )
        if study.unreadable:
            found.append(_unreadable(where, study.unreadable))
        if study.record is not None:
            found += _odd(study)
        found += [
            _unreadable(of_trials(study.name, [trial.number]), trial.unreadable)
            for trial in study.trials
            if trial.unreadable
        ]
    return found


def _unreadable(where: str, what: Sequence[str]) -> Finding:
    return Finding(
        where=where,
        what=f"{_listed(what)} cannot be read",
        cause="written or changed by another program, cut off, or damaged",
        help=_RESTORE,
    )


def _odd(study: StudyRows) -> Iterator[Finding]:
    """Find what another program wrote under our names; reports leave it out."""
    attrs = {**study.attributes, **study.system_attrs}
    required: dict[str, type] = {
        CONFIRMATION_POINTS: dict,
        DRIFT: list,
        CONFIRMS: str,
        MIRROR_OF: str,
    }
    required |= {key: str for key in attrs if is_note(key)}
    odd = [
        key
        for key, kind in required.items()
        if key in attrs
        and not isinstance(attrs[key], kind)
        and f"attribute {key}" not in study.unreadable
    ]
    if odd:
        yield _foreign(f"study {study.name}", odd)
    for trial in study.trials:
        odd = [
            key
            for key in ATTRIBUTES
            if key in trial.user_attrs
            and not is_ours(key, trial.user_attrs[key])
            and f"attribute {key}" not in trial.unreadable
        ]
        if odd:
            yield _foreign(of_trials(study.name, [trial.number]), odd)


def _listed(words: Sequence[str]) -> str:
    """List the first of them."""
    more = f" and {len(words) - MAX_NAMED} more" if len(words) > MAX_NAMED else ""
    return printable(", ".join(words[:MAX_NAMED])) + more


def _foreign(where: str, keys: Sequence[str]) -> Finding:
    return Finding(
        where=where,
        what=f"attribute {_listed(keys)}: not as this program writes it",
        cause="another program uses the same name",
        help="nothing need be done: reports and exports leave it out",
        harmless=True,
    )


def find_identities(context: Context) -> list[Finding]:
    """Find trials of ours without an identity, and two trials with the same one."""
    return [found for study in context.ours for found in _identities(study)]


def _identities(study: StudyRows) -> list[Finding]:
    record = study.record
    assert record is not None
    found = []
    numbered = [trial for trial in study.trials if is_whole(trial.number, FRESH)]
    # those of format 1 were given none
    without = [t for t in numbered if t.ours and IDENTITY_KEY not in t.system_attrs]
    if without and record.format > 1:
        found.append(
            Finding(
                where=of_trials(study.name, [trial.number for trial in without]),
                what="no identity, though run here",
                cause="another program, or a copy made by one, left it out",
                help="writes the one that follows from study and number",
                repair=_give_identities(study, without),
            )
        )
    owners: dict[str, list[TrialRow]] = defaultdict(list)
    for trial in numbered:
        identity = trial.system_attrs.get(IDENTITY_KEY)
        if identity is None:
            continue
        if (known := TrialIdentity.read(identity)) is not None:
            owners[known.uuid].append(trial)
        else:
            found.append(
                Finding(
                    where=of_trials(study.name, [trial.number]),
                    what=f"attribute {IDENTITY_KEY} is no identity that can be read",
                    cause="written by a newer cvfp-opt, or changed by another program",
                    help=_UPGRADE,
                )
            )
    found += [_same(study, trials) for trials in owners.values() if len(trials) > 1]
    return found


def _same(study: StudyRows, trials: list[TrialRow]) -> Finding:
    copies = trials[1:]
    runs = any(trial.state is TrialState.RUNNING for trial in copies)
    return Finding(
        where=of_trials(study.name, [trial.number for trial in trials]),
        what="one and the same identity",
        cause="another program copied a trial within the study",
        help="wait until they have ended, then type the same again"
        if runs  # its checkpoints go by its identity
        else "gives all but the first one of their own",
        repair=None if runs else _give_identities(study, copies),
    )


def _give_identities(study: StudyRows, trials: list[TrialRow]) -> Repair:
    """Make the repair that gives trials the identities that follow from study and number."""
    record = study.record
    assert record is not None

    def repair(open_store: Callable[[], Store]) -> str:
        with open_store().engine.begin() as connection:
            lock_study(connection, study.study_id)
            for trial in trials:
                derived = derived_uuid(f"{record.identity}/{trial.number}")
                former = trial.system_attrs.get(IDENTITY_KEY, {"seed": record.seed})
                identity = TrialIdentity(**{"number": trial.number, **former, "uuid": derived})
                written = PendingWrites(system_attrs={IDENTITY_KEY: identity.to_dict()})
                write_pending(connection, trial.trial_id, written)
        return f"{of_trials(study.name, [t.number for t in trials])}: identity written"

    return repair
