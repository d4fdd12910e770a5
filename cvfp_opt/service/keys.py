"""The tokens of a database, as the gate asks for them."""

from dataclasses import dataclass

from cvfp_opt.store.database.storage import Store, translated
from cvfp_opt.store.record.tokens import Rights, token_of


@dataclass(frozen=True)
class StoredTokens:
    """The tokens of a database: each request asks it, so that one that is revoked ends at once."""

    store: Store

    def rights(self, digest: bytes) -> Rights | None:
        """See ``Keys``. Raises StorageError if the database does not answer."""
        with translated(self.store.location):
            token = token_of(self.store, digest)
        return None if token is None else token.rights
