"""Identities of trials, the same in every copy, and the seeds of all that is random in them."""

import uuid
from dataclasses import dataclass
from typing import Any, Self

from optuna.trial import FrozenTrial

from cvfp_opt.store.database.number_checks import is_whole
from cvfp_opt.store.record.trial_attributes import StoredIdentity

_END_OF_SEEDS = 2**63
# Trials' own numbers use the lower half, seeds of confirmations the upper: record.confirmation.
_END_OF_NUMBERS = 2**32

# Trial system attribute with its identity.
IDENTITY_KEY = "cvfp_opt:birth"

# Trials and studies of record format 1 were given no identity: theirs is derived, so that all
# copies of one agree. Never change.
_NAMESPACE = uuid.UUID("6f0c6f5a-51c4-5d29-9a0e-2b8f2f6f4c11")


@dataclass(frozen=True, kw_only=True)
class TrialIdentity:
    """A trial's identity, given when it is created or first claimed, and never changed.

    Attributes:
        uuid: 32 hexadecimal digits, the same in every copy.
        seed: the study's seed at the time.
        number: the trial's number at the time; with the seed it decides all that is random.
        retry_of: uuid of the trial whose point this one repeats; "" for none.
    """

    uuid: str
    seed: int
    number: int
    retry_of: str = ""

    @classmethod
    def new(cls, *, seed: int, number: int, retry_of: str = "") -> Self:
        """Make one for a new trial."""
        return cls(uuid=uuid.uuid4().hex, seed=seed, number=number, retry_of=retry_of)

    @classmethod
    def of(cls, trial: FrozenTrial, *, study: str, seed: int) -> Self:
        """Read a trial's identity, or derive it if it has none that can be read.

        Args:
            study: identity of its study, ``StudyRecord.identity``.
            seed: of its study.
        """
        found = cls.read(trial.system_attrs.get(IDENTITY_KEY))
        return found or cls.derived(study=study, seed=seed, number=trial.number)

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """Read the attribute IDENTITY_KEY; None if it is none of this version's."""
        if not isinstance(value, dict):
            return None
        try:
            identity = cls(**value)
        except TypeError:  # a newer version's, or another program's
            return None
        texts = isinstance(identity.uuid, str) and isinstance(identity.retry_of, str)
        whole = is_whole(identity.seed, _END_OF_SEEDS) and is_whole(
            identity.number, _END_OF_NUMBERS
        )
        return identity if texts and identity.uuid and whole else None

    @classmethod
    def derived(cls, *, study: str, seed: int, number: int) -> Self:
        """Derive the identity of a trial that was given none; see ``of``."""
        return cls(uuid=derived_uuid(f"{study}/{number}"), seed=seed, number=number)

    def to_dict(self) -> StoredIdentity:
        """Convert it to plain JSON values."""
        return StoredIdentity(
            uuid=self.uuid, seed=self.seed, number=self.number, retry_of=self.retry_of
        )


def derived_uuid(text: str) -> str:
    """Derive an identity for what was given none: the same for the same text, everywhere."""
    return uuid.uuid5(_NAMESPACE, text).hex
