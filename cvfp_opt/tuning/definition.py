"""A study definition: everything that decides what a trial does.

It is read and checked without torch, which takes seconds to import.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, get_args, get_origin, get_type_hints

from cvfp_opt.errors import DefinitionError, PointError, nearest
from cvfp_opt.escaping import listed
from cvfp_opt.model.config import NEED_BATCH, DiversityConfig, ModelConfig
from cvfp_opt.model.schedules import ScheduleConfig
from cvfp_opt.store.record.definition_sections import with_parameters
from cvfp_opt.store.record.point_checks import strangers
from cvfp_opt.training.config import (
    OWN_THRESHOLD,
    TRAINER_NAMES,
    Hyperparameters,
    ObjectiveConfig,
    TrainingConfig,
)
from cvfp_opt.training.data_config import DataConfig, EmbeddingConfig
from cvfp_opt.tuning.point_fitting import fit
from cvfp_opt.tuning.sampler_kinds import SAMPLERS
from cvfp_opt.tuning.search_config import SearchConfig
from cvfp_opt.tuning.space import LIMITS, SearchSpace, flattened
from cvfp_opt.tuning.typed_values import brief, check_value, hint

if TYPE_CHECKING:
    from cvfp_opt.training.data import Tokens

# These keys say where text and embeddings lie. They are no part of what a study is; tokens and
# tables are, and those are compared by their digests.
LOCATED = (
    "data.source",
    "data.path",
    "data.hub",
    "data.revision",
    "embedding.path",
    "embedding.tokenizer",
    "embedding.hub",
    "embedding.revision",
)
# Keys that a digest has only where they say another thing than was done before there were any, so
# that the digests of older studies stay.
_ADDED: Mapping[str, Any] = {
    "objective.feasible": "any",
    "objective.downstream": False,
    "search.first_points": (),
    "search.sampler_settings": {},
    "search.pruner_settings": {},
}


@dataclass(frozen=True, kw_only=True)
class StudyDefinition:
    """The sections of a definition; see studies/recommended.toml."""

    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    space: SearchSpace = field(default_factory=SearchSpace)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    diversity: DiversityConfig = field(default_factory=DiversityConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    data: DataConfig = field(default_factory=DataConfig)
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    search: SearchConfig = field(default_factory=SearchConfig)

    def __post_init__(self) -> None:
        if self.training.trainer not in TRAINER_NAMES:
            raise DefinitionError(
                f"training.trainer: unknown trainer {self.training.trainer!r}; "
                f"{nearest(self.training.trainer, TRAINER_NAMES)}"
            )
        if self.training.trainer == "online" and self.diversity.loss in NEED_BATCH:
            raise DefinitionError(
                f'diversity.loss: "{self.diversity.loss}" compares the contexts of a minibatch, '
                'but training.trainer = "online" has one context at a time; set diversity.loss = '
                '"deviation" or training.trainer = "batch"'
            )
        if self.training.minibatch_size > self.data.train_tokens:
            raise DefinitionError(
                "training.minibatch_size <= data.train_tokens must hold, got "
                f"{self.training.minibatch_size} > {self.data.train_tokens}"
            )
        if self.schedule.kind == "staged":
            stages = len(self.schedule.stage_weights)
            if stages > self.training.num_iterations - 1:
                raise DefinitionError(
                    "schedule.stage_weights: no more stages than iterations that train are "
                    f"possible, got {stages} stages for {self.training.num_iterations - 1}"
                )
        warmup, iterations = self.search.num_pruner_warmup_steps, self.training.num_iterations
        if self.search.pruner != "none" and warmup >= iterations:
            raise DefinitionError(
                "search.num_pruner_warmup_steps < training.num_iterations must hold, got "
                f'{warmup} >= {iterations}; to prune nothing, set search.pruner = "none"'
            )
        if self.search.pruner != "none" and not self.objective.known_while_training:
            raise DefinitionError(
                'search.pruner: only "none" is possible with objective.kind = "pareto" or '
                f'objective.convergence = "frozen", got {self.search.pruner!r}: there is no '
                "single score before a trial's end"
            )
        if self.space.settings:
            self._check_corners()
        self._check_sampler()
        self._check_first_points()

    def _check_sampler(self) -> None:
        kind = SAMPLERS.get(self.search.sampler)  # None for the user's own
        if kind is None or not self.space.searched:
            return
        if refusal := kind.refuses(self.space, self.objective.num_objectives):
            raise DefinitionError(f'search.sampler: for "{self.search.sampler}" {refusal}')

    def _check_first_points(self) -> None:
        for place, point in enumerate(self.search.first_points):
            for problem in fit(self, point).problems:
                named = any(problem.startswith(f"{name}: ") for name in point)
                joint = "." if named else ": "
                raise DefinitionError(f"search.first_points[{place}]{joint}{problem}")

    @property
    def first_points(self) -> list[dict[str, Any]]:
        """Give the parameters that the first trials take, by Optuna's names."""
        return [fit(self, point).params for point in self.search.first_points]

    def _check_corners(self) -> None:
        for point in self.space.corners():
            try:
                self.at(point)
            except DefinitionError as error:
                named = ", ".join(f"{k} = {v}" for k, v in point.items() if "." in k)
                raise DefinitionError(
                    f"space: {error}{f', at {named}' if named else ''}"
                ) from None

    def at(self, params: Mapping[str, Any]) -> Self:
        """Fix a trial's parameters in this definition; what they leave out is searched.

        Whatever trains a trial comes by here, so what may run was looked at with the definition:
        its parameters name no code that the definition does not name itself.

        Raises:
            PointError: a parameter, or its value, that the space does not have.
            DefinitionError: it does not fit the rest of the definition.
        """
        self.check_point(params)
        sections = self.without_first_points().to_dict()
        return type(self).from_dict(with_parameters(sections, params))

    def without_first_points(self) -> Self:
        """Give the definition of what is no new study's: a trial's, a confirmation's."""
        search = replace(self.search, first_points=())
        return replace(self, search=search) if self.search.first_points else self

    def check_point(self, params: Mapping[str, Any]) -> None:
        """Refuse parameters that the space does not have. Raises PointError."""
        space = self.space.to_dict()
        found = [f"{name}: {why}" for name, why in strangers(space, params)]
        if found:
            raise PointError(f"no point of the study's space: {listed(found)}")

    def hyperparameters(self) -> Hyperparameters:
        """Give the hyperparameters of a definition that searches nothing.

        Raises:
            DefinitionError: a parameter is searched; lists them all, and what to type.
        """
        searched = self.space.searched
        if searched:
            settings = " ".join(f"--set space.{name}=VALUE" for name in searched)
            raise DefinitionError(
                f"one training run needs a value for each parameter, these are searched: "
                f"{', '.join(searched)}; add {settings}"
            )
        return Hyperparameters(**{name: getattr(self.space, name) for name in LIMITS})

    def threshold(self, params: Mapping[str, Any]) -> float:
        """Give the MSE below which a token counts as converged in a trial with these parameters.

        Raises:
            DefinitionError: it is searched, and not among them.
        """
        if self.objective.threshold != OWN_THRESHOLD:
            return float(self.objective.threshold)
        name = "phase1_convergence_threshold"
        value = params.get(name, getattr(self.space, name))
        if not isinstance(value, int | float):
            raise DefinitionError(f"space.{name} is searched: a trial's value is required")
        return float(value)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """Read sections of plain values, as TOML and JSON give them; strictly.

        Raises:
            DefinitionError: an unknown section or key, a value of the wrong type or range.
        """
        hints = get_type_hints(cls)
        sections = {}
        for name, section in value.items():
            if name not in hints:
                raise DefinitionError(f"unknown section [{name}]; {nearest(name, hints)}")
            if not isinstance(section, dict):
                raise DefinitionError(
                    f"{name}: a section [{name}] is required, got {brief(section)}"
                )
            for key, one in section.items():
                check_value(f"{name}.{key}", one)
            sections[name] = _read_section(name, hints[name], section)
        definition = cls(**sections)
        searched = definition.space.searched
        constants = {n: v for n, v in definition.space.settings.items() if n not in searched}
        if not constants:
            return definition
        return cls.from_dict(with_parameters(definition.to_dict(), constants))

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Give sections of plain values; ``from_dict`` reads them back."""
        sections = {name: asdict(getattr(self, name)) for name in get_type_hints(type(self))}
        return sections | {"space": self.space.to_dict()}

    def flat(self) -> dict[str, Any]:
        """Give all keys as ``section.key``, but for LOCATED."""
        keys = {f"{s}.{k}": v for s, section in self.to_dict().items() for k, v in section.items()}
        for located in LOCATED:
            del keys[located]
        return keys

    def load_tokens(self) -> "Tokens":
        """Read the tokens of its text, and their embeddings if they are not drawn.

        Raises:
            DataError: text or embeddings are missing, unreadable or do not suffice.
        """
        from cvfp_opt.training.data import load_tokens

        return load_tokens(self.data, self.embedding, self.model.embedding_size)

    def digest(self) -> str:
        """Give the SHA-256 of the canonical JSON of ``flat``, hexadecimal."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        # each trial's checkpoints ask for it: 0.2 ms
        keys = {k: v for k, v in self.flat().items() if k not in _ADDED or v != _ADDED[k]}
        text = json.dumps(keys, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def notices(self) -> list[str]:
        """Warn of what makes figures mean less, a sentence each."""
        standard, size = StudyDefinition(), min(self.model.context_size, self.data.train_tokens)
        found = []
        if self.model != standard.model or self.data.train_tokens < standard.data.train_tokens:
            found.append(
                f"reduced size (D {self.model.context_size}, {_layers(self.model.num_layers)}, "
                f"{self.data.train_tokens} tokens): its figures mean nothing for the standard "
                f"size (D {standard.model.context_size}, {_layers(standard.model.num_layers)}, "
                f"{standard.data.train_tokens} tokens)"
            )
        if size < self.model.context_size:
            found.append(
                f"{size} training tokens are fewer than D = {self.model.context_size}: they cap "
                f"the effective rank at {size / self.model.context_size:.1%}"
            )
        return found


def _read_section(name: str, kind: type, section: dict[str, Any]) -> Any:
    if kind is SearchSpace:
        return SearchSpace.from_dict(section)
    hints = get_type_hints(kind)
    values = {}
    for key, value in section.items():
        if key not in hints:
            raise DefinitionError(f"{name}.{key}: unknown key; {nearest(key, hints)}")
        values[key] = _read_value(f"{name}.{key}", hints[key], value)
    if "first_points" in values:
        values["first_points"] = tuple(dict(flattened(one)) for one in values["first_points"])
    return kind(**values)


_NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


def _read_value(key: str, kind: Any, value: Any) -> Any:
    """Check that a value is of the annotated type (a whole number will do as a float)."""
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise DefinitionError(f"{key}: a list is required, got {brief(value)}")
        return tuple(_read_value(f"{key}[{i}]", get_args(kind)[0], v) for i, v in enumerate(value))
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise DefinitionError(
                f"{key}: a table {{ name = value }} is required, got {brief(value)}"
            )
        return value
    kinds = get_args(kind) if get_origin(kind) is not None else getattr(kind, "__args__", (kind,))
    for one in kinds or (kind,):
        if type(value) is one:
            return value
        if one is float and type(value) is int:
            return float(value)
    wanted = " or ".join(_NAMES[one] for one in kinds or (kind,))
    typed = hint(value, kinds or (kind,))
    raise DefinitionError(f"{key}: {wanted} is required, got {brief(value)}{typed}")


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"
