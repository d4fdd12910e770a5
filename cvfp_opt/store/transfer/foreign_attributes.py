"""Attributes that no import would accept: another program's under our names, or no JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from cvfp_opt.errors import ArchiveError
from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.record.records import STUDY
from cvfp_opt.store.transfer.attribute_checks import (
    MIRROR_CHECKS,
    STUDY_CHECKS,
    SYSTEM_CHECKS,
    TRIAL_CHECKS,
    Check,
    check_of,
)
from cvfp_opt.store.transfer.dump import Dump, StudyDump, Texts, TrialDump
from cvfp_opt.store.transfer.json_values import Value

# A study without one of these would be another: it is exported with it, or refused.
_KEPT = frozenset({STUDY})


def without_odd(dump: Dump) -> tuple[Dump, tuple[str, ...]]:
    """Drop odd attributes of a dump, and list where they were: ``study quick, trial 3: audit``."""
    left_out: list[str] = []

    def cleared(study: StudyDump, checks: Mapping[str, Check]) -> StudyDump:
        where = f"study {study.name}"
        own = TRIAL_CHECKS if study.record or checks is MIRROR_CHECKS else {}

        def of_trial(trial: TrialDump) -> TrialDump:
            place = f"{where}, trial {trial.number}"
            user = _fitting(trial.user_attrs, own, place, left_out)
            system = _fitting(trial.system_attrs, SYSTEM_CHECKS, place, left_out)
            return replace(trial, user_attrs=user, system_attrs=system)

        return replace(
            study,
            user_attrs=_fitting(study.user_attrs, checks, where, left_out),
            system_attrs=_fitting(study.system_attrs, SYSTEM_CHECKS, where, left_out),
            trials=tuple(map(of_trial, study.trials)),
        )

    found = replace(
        dump,
        study=cleared(dump.study, STUDY_CHECKS),
        mirrors=tuple(cleared(mirror, MIRROR_CHECKS) for mirror in dump.mirrors),
        confirmation=dump.confirmation and cleared(dump.confirmation, STUDY_CHECKS),
    )
    return found, tuple(left_out)


def _fitting(texts: Texts, checks: Mapping[str, Check], where: str, left_out: list[str]) -> Texts:
    odd = set(_odd(texts, checks))
    left_out += [f"{where}: {key}" for key in sorted(odd)]
    return {key: text for key, text in texts.items() if key not in odd} if odd else texts


def _odd(texts: Texts, checks: Mapping[str, Check]) -> Iterator[str]:
    for key, text in texts.items():
        if key in _KEPT:
            continue
        value = Value(parsed(text), key)
        check = check_of(key, checks)
        try:
            Value(key, key).name()
            value.shallow()
            if check:
                check(value)
        except ArchiveError:
            yield key
        else:
            if value.value is None and text != "null":
                yield key
