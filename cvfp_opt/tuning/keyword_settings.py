"""Settings of a sampler or pruner: keyword arguments, checked against what takes them."""

import inspect
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from optuna.exceptions import ExperimentalWarning

from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.tuning.typed_values import brief, hint

# The types that TOML can write, by the word that annotates them.
_PLAIN = {"bool": bool, "int": int, "float": float, "str": str}
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
# Arguments that Optuna 6 will not have.
_DEPRECATED = frozenset({"consider_prior", "prior_weight"})
# Filters of warnings belong to the process, and several threads may propose at once.
_QUIET = threading.Lock()

Made = TypeVar("Made")


def plain_arguments(
    takes: Callable[..., Any], owned: Mapping[str, str]
) -> dict[str, tuple[type, ...]]:
    """List the keyword arguments that TOML has values for, with the types of these."""
    found = {}
    for name, one in inspect.signature(takes).parameters.items():
        words = inspect.formatannotation(one.annotation).strip("'\"").split("|")
        kinds = [word.strip() for word in words if word.strip() != "None"]
        by_name = one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)
        if (
            by_name
            and name not in {*owned, *_DEPRECATED}
            and kinds
            and all(kind in _PLAIN for kind in kinds)
        ):
            found[name] = tuple(_PLAIN[kind] for kind in kinds)
    return found


def check_settings(
    key: str, takes: Callable[..., Any], settings: Mapping[str, Any], owned: Mapping[str, str]
) -> None:
    """Refuse settings that a class or function does not take, or takes no such values for.

    Args:
        key: of the definition, for messages.
        takes: whose keyword arguments they are; a positional one is not a setting.
        settings: by name.
        owned: keys of the definition that some of the arguments are given by, by name.

    Raises:
        DefinitionError: an unknown name, a value of the wrong type, or one that is required and
            not given.
    """
    known = plain_arguments(takes, owned)
    for name, value in settings.items():
        if name in owned:
            raise DefinitionError(f"{key}.{name}: set {owned[name]} instead")
        if name not in known:
            parameter = inspect.signature(takes).parameters.get(name)
            if name in _DEPRECATED:
                raise DefinitionError(f"{key}.{name}: unknown setting; Optuna is giving it up")
            if parameter is not None and parameter.kind is parameter.KEYWORD_ONLY:
                raise DefinitionError(
                    f"{key}.{name}: no number, word, true or false, so that TOML cannot give it; "
                    'write a function that does, and name it as "package.module:function"'
                )
            found = nearest(name, known) if known else "there are none"
            raise DefinitionError(f"{key}.{name}: unknown setting; {found}")
        _check_type(f"{key}.{name}", known[name], value)
    for name, parameter in inspect.signature(takes).parameters.items():
        if name in known and parameter.default is parameter.empty and name not in settings:
            raise DefinitionError(f"{key}: {name} is required; set {key}={{{name} = ...}}")


def construct(make: Callable[..., Made], *arguments: Any, **settings: Any) -> Made:
    """Call what makes a sampler or pruner, without Optuna's word that some are experimental."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return make(*arguments, **settings)


def try_settings(key: str, make: Callable[[], Any]) -> None:
    """Make a sampler or pruner once, to see whether it takes the values of its settings.

    Raises:
        DefinitionError: it does not, or they are on the way out of Optuna.
    """
    try:
        with _QUIET, warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            warnings.simplefilter("ignore", ExperimentalWarning)
            make()
    except DefinitionError:
        raise
    except (ArithmeticError, FutureWarning, TypeError, ValueError) as error:
        raise DefinitionError(f"{key}: {' '.join(str(error).split())}") from None


def _check_type(key: str, kinds: tuple[type, ...], value: Any) -> None:
    if type(value) in kinds or (type(value) is int and float in kinds):
        return
    wanted = " or ".join(_NAMES[kind] for kind in kinds)
    raise DefinitionError(f"{key}: {wanted} is required, got {brief(value)}{hint(value, kinds)}")
