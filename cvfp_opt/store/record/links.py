"""Links between studies: mirrors and a confirmation name the study that they belong to.

A name proves nothing: anybody may call a study ``NAME/pareto``. And a study that was deleted and
made anew has the name of the former one, but another identity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import optuna
from sqlalchemy import Connection, delete

from cvfp_opt.store.database.optuna_private import FrozenStudy
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import STUDY_USER_ATTRIBUTES
from cvfp_opt.store.record.identity import derived_uuid
from cvfp_opt.store.record.records import CONFIRMATION_POINTS, CONFIRMS, MIRROR_OF, MIRRORED, STUDY

# Identity of a study whose record cannot be read: whatever names the study belongs to it.
UNKNOWN = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A study to which others may belong.

    Attributes:
        name: of the study.
        identity: see ``StudyRecord.identity``; None for a study without a record, UNKNOWN for one
            whose record cannot be read.
    """

    name: str
    identity: str | None

    @classmethod
    def of(cls, name: str, attributes: Mapping[str, Any]) -> Self:
        """Make one of a study's name and user attributes."""
        return cls(name=name, identity=_identity(attributes))

    @classmethod
    def of_study(cls, study: optuna.Study) -> Self:
        """Make one of an open study."""
        return cls.of(study.study_name, study.user_attrs)

    def has_mirror(self, name: str, attributes: Mapping[str, Any]) -> bool:
        """Check whether the study of that name and with these user attributes mirrors this one.

        A mirror of before has no identity in it.
        """
        return self._is_meant(name, attributes, MIRROR_OF, attributes.get(MIRRORED))

    def has_confirmation(self, name: str, attributes: Mapping[str, Any]) -> bool:
        """Check if the study of that name and with these user attributes confirms this one."""
        points = attributes.get(CONFIRMATION_POINTS)
        uuid = points.get("uuid") if isinstance(points, dict) else None
        return self._is_meant(name, attributes, CONFIRMS, uuid)

    def owns(self, name: str, attributes: Mapping[str, Any]) -> bool:
        """Check whether the study of that name comes and goes with this one."""
        return self.has_mirror(name, attributes) or self.has_confirmation(name, attributes)

    def _is_meant(self, name: str, attributes: Mapping[str, Any], key: str, uuid: Any) -> bool:
        # copied by another program under another name, its links are still those of its model
        stands_there = name.startswith(f"{self.name}/")
        same = uuid is None or self.identity in (UNKNOWN, uuid)
        return stands_there and attributes.get(key) == self.name and same


def linked_studies(store: Store, source: Source) -> list[FrozenStudy]:
    """Find the mirrors of a study and its confirmation."""
    studies = store.storage.get_all_studies()
    return [one for one in studies if source.owns(one.study_name, one.user_attrs)]


def source_name(attributes: Mapping[str, Any], key: str) -> str | None:
    """Read which study a link (MIRROR_OF, CONFIRMS) names; None where there is no link."""
    value = attributes.get(key)
    return value if value is None or isinstance(value, str) else repr(value)


def _identity(attributes: Mapping[str, Any]) -> str | None:
    if STUDY not in attributes:
        return None
    record = attributes[STUDY]
    if not isinstance(record, dict):
        return UNKNOWN
    uuid = record.get("uuid")
    if uuid and isinstance(uuid, str):
        return uuid
    try:
        return derived_uuid(f"{record['definition_digest']} {record['created']}")
    except KeyError:
        return UNKNOWN


def forget_links(connection: Connection, study_id: int) -> None:
    """Delete the links of a mirror, which becomes a study of its own."""
    table = STUDY_USER_ATTRIBUTES
    linking = table.c.key.in_((MIRROR_OF, MIRRORED))
    connection.execute(delete(table).where(table.c.study_id == study_id, linking))
