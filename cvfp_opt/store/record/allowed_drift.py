"""Differences that a user allowed with ``run --allow-drift``: kept in the study for ever."""

import getpass
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna

from cvfp_opt.store.database.numbers import is_moment
from cvfp_opt.store.record.environments import Difference

# Study user attribute: a list that is only ever appended to.
DRIFT = "cvfp_opt:drift"


@dataclass(frozen=True, kw_only=True)
class AllowedDrift:
    """One time that trials were added by another definition, text or code than the study's.

    Attributes:
        when: epoch seconds.
        who: user@host.
        what: by key, the study's value and the one that was used.
    """

    when: float
    who: str
    what: dict[str, list[Any]]


def read_drift(study: optuna.Study) -> list[AllowedDrift]:
    """All that was allowed, oldest first."""
    value = study.user_attrs.get(DRIFT, [])
    found = []
    for entry in value if isinstance(value, list) else []:
        if _is_entry(entry):  # and not another program's, or a newer version's
            found.append(AllowedDrift(**entry))
    return found


def _is_entry(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"when", "who", "what"}
        and is_moment(value["when"])
        and isinstance(value["who"], str)
        and isinstance(value["what"], dict)
    )


def record_drift(study: optuna.Study, differences: Sequence[Difference]) -> None:
    """Append to what was allowed. Call under the store's lock.

    The same by the same user is recorded once: twenty workers that join are one decision.
    """
    what = {one.key: [_plain(one.theirs), _plain(one.ours)] for one in differences}
    entry = AllowedDrift(when=time.time(), who=_who(), what=what)
    before = read_drift(study)
    if any((one.who, one.what) == (entry.who, entry.what) for one in before):
        return
    written = study.user_attrs.get(DRIFT, [])
    study.set_user_attr(DRIFT, [*(written if isinstance(written, list) else []), asdict(entry)])


def _plain(value: Any) -> Any:
    """As JSON gives it back, so that entries can be compared."""
    return list(value) if isinstance(value, tuple) else value


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
