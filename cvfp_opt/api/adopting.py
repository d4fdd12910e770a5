"""Adopting a study that another program made: looked at, checked, and given its record."""

from collections.abc import Callable, Sequence

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_editing, open_for_reading
from cvfp_opt.tuning.adoption import adopt, examine, refuse
from cvfp_opt.tuning.custom_code import load_code
from cvfp_opt.tuning.plan import Request


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
        adopt(store, name, definition, tokens, code)
    return True
