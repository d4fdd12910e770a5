"""Study definitions from Python: read, changed, looked at."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cvfp_opt.disk import what_it_is
from cvfp_opt.errors import DataError, DefinitionError, unreadable
from cvfp_opt.report.toml import definition_toml
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import (
    Sections,
    read_sections,
    resolve_definition,
    with_values,
)
from cvfp_opt.tuning.plan import DEFAULT_DEFINITION, Request
from cvfp_opt.tuning.typed_values import brief, read_toml

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    from cvfp_opt.tuning.stock_objective import StockObjective

_UNNAMED = "study"


@dataclass(frozen=True, repr=False)
class Plan:
    """A study definition that was checked: what is trained, what is searched, how it is scored.

    It never changes: ``searching`` and ``set`` return another one. `define` makes the first.

    Attributes:
        name: the name that its study has, unless another one is given.
        definition: the definition, section by section.
    """

    name: str
    definition: StudyDefinition

    @property
    def space(self) -> dict[str, BaseDistribution]:
        """What is searched: Optuna's distribution of each parameter, by name."""
        return self.definition.space.distributions()

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the defaults of all keys: values by ``section.key``."""
        defaults = StudyDefinition().flat()
        return {
            key: value
            for key, value in self.definition.flat().items()
            if key not in defaults or value != defaults[key]
        }

    def set(self, key: str | Mapping[str, Any], value: Any = None) -> Self:
        """Return a plan with another value of a key, or of several.

        Args:
            key: ``section.key``, for instance ``"training.num_epochs"``; or values by such keys.
            value: of the key.

        Raises:
            DefinitionError: there is no such key, or it cannot have the value.

        Example:
            >>> define("quick").set("training.num_epochs", 3).changes["training.num_epochs"]
            3
        """
        values = key if isinstance(key, Mapping) else {_checked(key): value}
        plain = {one: _plain(_checked(one), wanted) for one, wanted in values.items()}
        sections, _ = with_values(self.to_dict(), plain)
        return replace(self, definition=resolve_definition(sections, where=self.name))

    def searching(self, ranges: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """Return a plan that searches other ranges, or fixes parameters.

        Args:
            ranges: by name; for names with a point, as ``"schedule.balanced_weight"``.
            more: by name. Each is ``(low, high)``, on a logarithmic scale if the range was on
                one or as ``(low, high, "log")``; a list of words to choose from; one of Optuna's
                distributions; or a single value, which is then fixed.

        Raises:
            DefinitionError: no such parameter, or no such range.

        Example:
            >>> sorted(define("quick").searching(layernorm_mix=1.0).space)
            ['dist_reg_weight', 'phase1_convergence_threshold', 'phase1_learning_rate']
        """
        dimensions = self.definition.space.dimensions
        wanted = {**(ranges or {}), **more}
        return self.set(
            {
                f"space.{name}": _dimension(name, one, getattr(dimensions.get(name), "log", False))
                for name, one in wanted.items()
            }
        )

    def objective(self, *, device: str = "auto", threads: int | None = None) -> "StockObjective":
        """Make the objective for a study of Optuna's own: ``study.optimize(plan.objective())``.

        Args:
            device: "auto", "cpu" or "cuda".
            threads: number of torch's threads, set for the whole process; None to leave it as it
                is.

        Returns:
            A function of an ``optuna.Trial``. It reads the text when the first trial begins.
        """
        from cvfp_opt.tuning.stock_objective import StockObjective

        return StockObjective(
            definition=self.definition, name=self.name, device=device, threads=threads
        )

    def sampler(self) -> "BaseSampler":
        """Make the sampler that the definition names, for ``optuna.create_study(sampler=...)``."""
        from cvfp_opt.tuning.sampler_pruner import sampler_of

        return sampler_of(self.definition)

    def pruner(self) -> "BasePruner":
        """Make the pruner that the definition names, for ``optuna.create_study(pruner=...)``."""
        from cvfp_opt.tuning.sampler_pruner import pruner_of

        return pruner_of(self.definition)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Give all sections with all keys, as plain values; `define` reads them back."""
        return self.definition.to_dict()

    def to_toml(self) -> str:
        """Write all sections with all keys as TOML; `define` reads it back."""
        return definition_toml(self.to_dict())

    def __hash__(self) -> int:
        return hash((self.name, self.definition.digest()))

    def __repr__(self) -> str:
        changes = ", ".join(f"{key}={brief(value)}" for key, value in self.changes.items())
        if self.definition.data.path:
            changes += f"{', ' if changes else ''}data.path={brief(self.definition.data.path)}"
        return f"Plan({self.name!r}: {changes or 'all defaults'})"

    def _repr_html_(self) -> str:
        from cvfp_opt.report.html import plan_html

        return plan_html(self.name, self.changes, self.space)


def define(
    source: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    data: str | os.PathLike[str] | None = None,
    seed: int | None = None,
) -> Plan:
    """Read a study definition, and check it.

    Args:
        source: the name of a definition that comes with the package ("recommended", "quick",
            "standard", ...), the path of a TOML file, TOML text, or sections of plain values;
            None for "recommended".
        name: its study's name; None for the definition's.
        data: text to train on: a .txt file, a folder of them, a .jsonl or .parquet file; None for
            the definition's.
        seed: the seed of everything random; None for the definition's.

    Returns:
        A plan, which never changes.

    Raises:
        DefinitionError: no such definition, or one that is not valid.
        DataError: there is no such text.

    Example:
        >>> define("quick", seed=1).definition.search.seed
        1
    """
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise DefinitionError(f"seed: a whole number is required, got {brief(seed)}")
    where, sections = _read(source)
    if data is not None and not isinstance(data, str | os.PathLike):
        raise DefinitionError(f"data: a path is required, got {brief(data)}")
    text = None if data is None else os.fspath(data)
    if text and (why := unreadable(text)):
        raise DataError(f"data: a path is required, and {why}")
    request = Request(definition=where, sections=sections, study_name=name, data=text, seed=seed)
    if text and what_it_is(Path(os.path.expanduser(text))) is None:
        raise DataError(f"data: there is no file or folder {text}")
    return Plan(request.name, request.resolve(None))


def _read(source: object) -> tuple[str, Sections]:
    """Read sections; return them after what messages call them."""
    if source is None:
        source = DEFAULT_DEFINITION
    if isinstance(source, Mapping):
        return _UNNAMED, {str(name): section for name, section in source.items()}
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    if not isinstance(source, str):
        raise DefinitionError(
            "a definition's name, a path, TOML text or a dict of sections is required, got "
            f"{type(source).__name__} {brief(source)}"
        )
    if "\n" in source or source.lstrip().startswith("["):
        return _UNNAMED, read_toml(source, "the definition")
    where = os.path.expanduser(source)
    return where, read_sections(where)


def _checked(key: object) -> str:
    """Give ``section.key`` as it is. Raises DefinitionError for what is none."""
    section, _, name = key.partition(".") if isinstance(key, str) else ("", "", "")
    if not (section and name):
        raise DefinitionError(
            f'section.key is required, for instance "training.num_epochs", got {brief(key)}'
        )
    return str(key)


def _dimension(name: str, value: Any, is_log: bool) -> Any:
    """Give a searched range or a value as the section [space] has it."""
    match value:
        case FloatDistribution() | IntDistribution():
            if value.step not in (None, 1):
                raise DefinitionError(
                    f"space.{name}: a range without steps is required, got {value}"
                )
            return {"low": value.low, "high": value.high, "log": value.log}
        case CategoricalDistribution():
            return list(value.choices)
        case (low, high, "log") if not isinstance(low, str):
            return {"low": low, "high": high, "log": True}
        case (low, high) if not isinstance(low, str):
            return {"low": low, "high": high, "log": is_log}
        case tuple():
            raise DefinitionError(
                f'space.{name}: (low, high) or (low, high, "log") is required, got {value!r}'
            )
        case _:
            return value


def _plain(key: str, value: Any) -> Any:
    """Give a value as TOML would. Raises DefinitionError for what it has no form for."""
    if hasattr(value, "tolist"):  # NumPy's and torch's numbers and arrays
        value = value.tolist()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, bool | int | float | str | list | tuple | dict):
        raise DefinitionError(
            f"{key}: a number, a word, a list or a dict is required, got {type(value).__name__}"
        )
    return value
