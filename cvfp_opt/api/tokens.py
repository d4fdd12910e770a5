"""Tokens: who may ask `serve` for what."""

import os
from collections.abc import Sequence

from cvfp_opt.api.opening import locate
from cvfp_opt.api.required import texts
from cvfp_opt.errors import DefinitionError
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_editing, open_for_reading, open_for_search
from cvfp_opt.store.record import tokens as stored
from cvfp_opt.store.record.tokens import Token
from cvfp_opt.tuning.typed_values import brief

READ = ("read",)


def add_token(
    name: str,
    scopes: Sequence[str] = READ,
    *,
    studies: str = "",
    days: float | None = None,
    storage: str | os.PathLike[str] | Location | None = None,
) -> str:
    """Make a token for whoever asks `serve`, and return its text, which is kept nowhere.

    Args:
        name: of the token, and the owner of what is submitted with it.
        scopes: what it is good for: "read", "submit", "control"; "admin" for all.
        studies: the beginning of the names of the studies that it is good for; "" for all.
        days: after which it expires; None for never.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.

    Raises:
        TokenError: there is one of that name, or something is not as required.
    """
    _require_name(name)
    wanted = texts("scopes", scopes)
    if days is not None and (isinstance(days, bool) or not isinstance(days, int | float)):
        raise DefinitionError(f"days: a number is required, got {brief(days)}")
    with open_for_search(locate(storage)) as store:
        return store.patiently(
            lambda: stored.add_token(store, name, wanted, studies=studies, days=days)
        )


def tokens(*, storage: str | os.PathLike[str] | Location | None = None) -> list[Token]:
    """List the tokens of a database, but for their texts, first made first.

    Args:
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.

    Raises:
        StorageError: there is no such database.
    """
    with open_for_reading(locate(storage)) as store:
        return store.patiently(lambda: stored.read_tokens(store))


def revoke_token(name: str, *, storage: str | os.PathLike[str] | Location | None = None) -> None:
    """Make a token good for nothing, at once and for ever.

    Args:
        name: of the token.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.

    Raises:
        TokenError: there is none of that name.
    """
    _require_name(name)
    with open_for_editing(locate(storage)) as store:
        store.patiently(lambda: stored.revoke_token(store, name))


def _require_name(name: object) -> None:
    """Refuse what is no text; what a text has to be, the tokens themselves say."""
    if not isinstance(name, str):
        raise DefinitionError(f"name: a text is required, got {brief(name)}")
