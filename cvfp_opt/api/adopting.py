"""Adopting a study that another program made: looked at, checked, and given its record."""

import os
from collections.abc import Callable, Sequence

from cvfp_opt.api.opening import locate
from cvfp_opt.api.plan import Plan
from cvfp_opt.api.study import Study
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_editing, open_for_reading
from cvfp_opt.tuning.adoption import adopt as write_record
from cvfp_opt.tuning.adoption import examine, refuse
from cvfp_opt.tuning.custom_code import load_code
from cvfp_opt.tuning.plan import Request


def adopt(
    name: str, plan: Plan, *, storage: str | os.PathLike[str] | Location | None = None
) -> Study:
    """Adopt a study that another program made, so that it can be gone on with.

    Its trials stay as they are, with what they have. Parameters have to be those of the plan, and
    values scores; docs/optuna.md says what is missing of such a study.

    Args:
        name: the study's name.
        plan: the definition to go on with.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.

    Raises:
        StudyError: it cannot be adopted; the lines say why. Nothing was written.
    """
    request = Request(definition=plan.name, sections=plan.to_dict(), study_name=name)
    adopt_study(locate(storage), name, request)
    return Study(name, storage)


def adopt_study(
    location: Location,
    name: str,
    request: Request | None,
    *,
    dry_run: bool = False,
    found: Callable[[Sequence[str]], None] = lambda lines: None,
) -> bool:
    """Adopt a study that another program made, so that it can be gone on with.

    Args:
        location, name: the study.
        request: the definition to go on with; None to look only.
        dry_run: check everything, and write nothing.
        found: given what the study has and lacks, a line each.

    Returns:
        Whether it was adopted.

    Raises:
        StudyError: it cannot be adopted; the lines say why. Nothing was written.
        CvfpOptError: definition or text are not as required.
    """
    definition = request.resolve(None) if request is not None else None
    with open_for_reading(location) as store:
        findings = store.patiently(lambda: examine(store, name, definition))
    found([one.text for one in findings if not one.refuses])
    refuse(name, findings)
    if definition is None:
        return False
    code, tokens = load_code(definition), definition.load_tokens()
    if dry_run:
        return False
    with open_for_editing(location) as store:
        write_record(store, name, definition, tokens, code)
    return True
