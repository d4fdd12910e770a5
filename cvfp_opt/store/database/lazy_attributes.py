"""A trial whose user attributes are parsed when they are first asked for."""

import copy
from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial

from cvfp_opt.store.database.damage import all_parsed, parsed
from cvfp_opt.store.database.optuna_private import trial_id_of


class UnparsedTrial(FrozenTrial):
    """A trial that equals the one Optuna would have read; copied or pickled, it becomes that one.

    User attributes are the largest part of a trial, and samplers never look at them.
    """

    __slots__ = ("_texts",)
    _texts: Mapping[str, str]

    @classmethod
    def of(cls, texts: Mapping[str, str], **fields: Any) -> "UnparsedTrial":
        """Make one of the fields of a FrozenTrial, but with the JSON of its user attributes."""
        trial = cls(**fields, user_attrs={})
        del trial.__dict__["_user_attrs"]
        trial._texts = texts
        return trial

    def __getattr__(self, name: str) -> Any:
        if name != "_user_attrs":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        # another thread may have been first
        return self.__dict__.setdefault(name, all_parsed(self._texts))

    def attribute(self, key: str) -> Any:
        """Parse one user attribute, and not the others; None if there is none."""
        attributes = self.__dict__.get("_user_attrs")
        if attributes is not None:
            return attributes.get(key)
        return parsed(self._texts[key]) if key in self._texts else None

    def plain(self) -> FrozenTrial:
        """Make the FrozenTrial that Optuna would have read."""
        return FrozenTrial(
            number=self.number,
            state=self.state,
            value=None,
            values=self.values,
            datetime_start=self.datetime_start,
            datetime_complete=self.datetime_complete,
            params=self.params,
            distributions=self.distributions,
            user_attrs=self.user_attrs,
            system_attrs=self.system_attrs,
            intermediate_values=self.intermediate_values,
            trial_id=trial_id_of(self),
        )

    def __eq__(self, other: object) -> bool:
        return self.plain() == (other.plain() if isinstance(other, UnparsedTrial) else other)

    __hash__ = FrozenTrial.__hash__

    def __repr__(self) -> str:
        return repr(self.plain())

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copy.copy, (self.plain(),)


def user_attribute(trial: FrozenTrial, key: str) -> Any:
    """Parse one user attribute of a trial, and not the others; None if there is none."""
    return trial.attribute(key) if isinstance(trial, UnparsedTrial) else trial.user_attrs.get(key)
