"""The user's own functions that a definition names: which, and whether to run them."""

from collections.abc import Callable, Mapping

from cvfp_opt.errors import PointError, StudyError
from cvfp_opt.model.custom_functions import is_foreign, source_digest
from cvfp_opt.model.schedules import weight_schedule
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.own_search import own_pruner, own_sampler


def foreign_names(definition: StudyDefinition) -> dict[str, list[str]]:
    """List the names of the user's own functions, by the key that names them; import nothing."""
    found = {}
    for key, named in (
        ("diversity.loss", definition.diversity.loss),
        ("schedule.kind", definition.schedule.kind),
        ("search.sampler", definition.search.sampler),
        ("search.pruner", definition.search.pruner),
    ):
        searched = definition.space.searched.get(key, ())
        words = [named, *(searched if isinstance(searched, tuple) else ())]
        names = [word for word in dict.fromkeys(words) if is_foreign(word)]
        if names:
            found[key] = names
    return found


def load_code(definition: StudyDefinition) -> dict[str, str]:
    """Import and check the user's own functions, and digest their files: name -> SHA-256.

    Raises:
        DefinitionError: one cannot be imported, or does not fit.
    """
    names = foreign_names(definition)
    if not names:
        return {}
    from cvfp_opt.model.diversity import diversity_loss

    loaders: Mapping[str, Callable[[str], object]] = {
        "diversity.loss": diversity_loss,
        "schedule.kind": weight_schedule,
        "search.sampler": lambda name: own_sampler(definition),
        "search.pruner": lambda name: own_pruner(definition),
    }
    digests = {}
    for key, named in names.items():
        for name in named:
            loaders[key](name)
            digests[name] = source_digest(key, name)
    return digests


def check_allowed(study: str, definition: StudyDefinition, *, allowed: bool) -> None:
    """Refuse to run code that only a study's database names.

    Raises:
        StudyError: it names some, and that was not allowed.
    """
    names = [name for found in foreign_names(definition).values() for name in found]
    if names and not allowed:
        raise StudyError(
            f"study {study!r} names code of its own: {', '.join(names)}. To run it is to trust "
            "whoever made the study; look at it, then add --allow-code"
        )


def definition_at(
    study: str, definition: StudyDefinition, trial: TrialRecord, *, allowed: bool
) -> StudyDefinition:
    """Give the definition at a trial's parameters, to train the trial again by.

    Args:
        study: its name.
        definition: of the study, with the trial's drift, if any.
        trial: its record.
        allowed: see ``check_allowed``.

    Raises:
        StudyError: its parameters are not of the study's space; or code that was not allowed.
    """
    check_allowed(study, definition, allowed=allowed)
    try:
        return definition.at(trial.params)
    except PointError as error:
        raise StudyError(
            f"study {study!r}, trial {trial.number}: {error}; another program wrote it, and it is "
            "not trained again"
        ) from None
