"""Checks of enqueued trials that nobody can run: another program enqueued them."""

from collections.abc import Iterator

from optuna.trial import TrialState

from cvfp_opt.errors import DefinitionError
from cvfp_opt.escaping import printable
from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.finding import Finding, of_trials
from cvfp_opt.store.doctor.rows import StudyRows, TrialRow
from cvfp_opt.store.record.definition_sections import Sections, completed, with_changes
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.store.record.point_checks import strangers, unfit
from cvfp_opt.store.record.records import CONFIRMATION_RUN, FIXED_PARAMS


def find_unfit_points(context: Context) -> list[Finding]:
    """Find enqueued trials whose parameters are no point of their study's space."""
    found = []
    for study in context.ours:
        for trial in study.trials:
            if trial.state is not TrialState.WAITING:
                continue
            attributes = {
                key: value for key, value in trial.system_attrs.items() if key != IDENTITY_KEY
            }
            if why := unfit(attributes) or "; ".join(_problems(study, trial)):
                fail = context.command(f"trial fail {trial.number}", study.name)
                found.append(
                    Finding(
                        where=of_trials(study.name, [trial.number]),
                        what=f"waits, and cannot be run: {printable(why)}",
                        cause="enqueued by another program, which does not know the study's space",
                        help=f"the next worker fails it and goes on; to end it now, type {fail}",
                    )
                )
    return found


def _problems(study: StudyRows, trial: TrialRow) -> Iterator[str]:
    point = trial.system_attrs.get(FIXED_PARAMS, {})
    try:
        space = _definition(study, trial)["space"]
    except DefinitionError as error:
        yield str(error)
        return
    for name, why in strangers(space, point):
        yield f"{name}: {why}"


def _definition(study: StudyRows, trial: TrialRow) -> Sections:
    """Complete the definition by which an enqueued trial is to be run."""
    assert study.record is not None
    changes = trial.system_attrs.get(CONFIRMATION_RUN, {}).get("changes", {})
    return with_changes(completed(study.record.definition), changes)
