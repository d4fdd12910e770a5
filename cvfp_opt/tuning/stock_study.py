"""Studies that stock Optuna runs: checked, and given the record that makes them ours."""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from cvfp_opt.errors import StudyError
from cvfp_opt.escaping import positional, quoted
from cvfp_opt.store.database.optuna_private import storage_of, study_id_of
from cvfp_opt.store.database.study_rows import METRIC_NAMES
from cvfp_opt.store.record.differences import differences, refused
from cvfp_opt.store.record.records import CONFIRMS, StudyRecord, Unread
from cvfp_opt.store.record.studies import objectives, objectives_words
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.drift import facts, facts_of_record
from cvfp_opt.tuning.plan import new_record
from cvfp_opt.tuning.typed_values import shown

if TYPE_CHECKING:
    from cvfp_opt.training.data import Tokens

# A study's first trials may begin in several threads.
_JOINING = threading.Lock()


def check_study(study: optuna.Study, definition: StudyDefinition) -> None:
    """Refuse a study whose trials can be none of a definition; see ``StockObjective.check``."""
    _, unread = StudyRecord.look(study.user_attrs)
    if unread is Unread.MIRROR or CONFIRMS in study.user_attrs:
        what = "a mirror" if unread is Unread.MIRROR else "a confirmation"
        raise StudyError(
            f"study {study.study_name!r} is {what} of another, which nobody searches; "
            "make one with optuna.create_study"
        )
    StudyRecord.of(study)  # a newer version's is refused
    wanted = definition.objective.num_objectives
    if study.directions != [StudyDirection.MAXIMIZE] * wanted:
        got = ", ".join(one.name.lower() for one in study.directions)
        required = objectives_words(wanted)
        listed = ", ".join(['"maximize"'] * wanted)
        typed = 'direction="maximize"' if wanted == 1 else f"directions=[{listed}]"
        raise StudyError(
            f"study {study.study_name!r}: {required}, maximized, required, got {got}; type "
            f"optuna.create_study({typed})"
        )


def join_study(
    trial: optuna.Trial,
    name: str,
    definition: StudyDefinition,
    tokens: "Tokens",
    code: Mapping[str, str],
    environment: StoredEnvironment,
) -> None:
    """Give the study of a trial its record, or compare what is to be trained with the record.

    Two processes that begin a study at one moment may both write a record: the later one stays,
    and the other process is refused at its next trial if it had another definition.

    Args:
        trial: about to run.
        name: of the definition.
        definition, tokens, code, environment: see ``new_record``.

    Raises:
        StudyError: it has trials of another program, or another definition, text or code.
    """
    study = trial.study
    with _JOINING:
        record = StudyRecord.of(study)
        if record is None:
            _refuse_filled(trial, name)
            new_record(definition, tokens, code, environment).write(study)
            if study.metric_names is None:
                names = objectives(vars(definition.objective))
                storage_of(study).set_study_system_attr(study_id_of(study), METRIC_NAMES, names)
            return
    found = differences(facts_of_record(record), facts(definition, tokens, code, {}))
    if other := refused(found):
        raise StudyError(
            f"study {study.study_name!r} was made with another definition, text or code:",
            *(
                f"  {one.name}: the study has {shown(one.theirs)}, the objective {shown(one.ours)}"
                for one in other
            ),
            "Make another study with optuna.create_study, or the objective of the same definition",
        )


def _refuse_filled(trial: optuna.Trial, name: str) -> None:
    """Refuse a study without a record to which somebody else has added scores."""
    study = trial.study
    scored = (TrialState.COMPLETE, TrialState.PRUNED)
    others = study.get_trials(deepcopy=False, states=scored)
    if others:
        raise StudyError(
            f"study {study.study_name!r} has trials of another program ({len(others)} with a "
            "value): one without any is required; make it with optuna.create_study, or take over "
            f"this one first: `cvfp-opt study adopt --definition {quoted(name)} "
            f"{positional(study.study_name)}`"
        )
