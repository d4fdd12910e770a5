"""A server of studies: ``cv.connect`` gives one."""

import os
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cvfp_opt.api.counts import DEFAULT_TRIALS
from cvfp_opt.api.fleet import DRAIN_SECONDS
from cvfp_opt.api.remote.connection import Connection
from cvfp_opt.api.remote.records import read_events
from cvfp_opt.api.remote.study import RemoteStudy
from cvfp_opt.api.required import require_text
from cvfp_opt.errors import DefinitionError, ServerError, StudyError, TokenError
from cvfp_opt.escaping import choices, excerpt
from cvfp_opt.redaction import redacted

if TYPE_CHECKING:
    from cvfp_opt.api.plan import Plan
    from cvfp_opt.store.record.event import Event


def connect(url: str, token: str | None = None, *, timeout: float = 30.0) -> "Remote":
    """Connect with a `cvfp-opt serve`, and do over HTTP what this interface does with a database.

    Nothing is asked yet. A server that has answered once and is away is waited for, half a minute,
    where asking twice does no harm.

    Args:
        url: of the server, as "https://studies.example.org", with the path that a proxy has put
            before all others.
        token: from `cvfp-opt token add`; None where the server asks for none.
        timeout: seconds that an answer may take.

    Raises:
        ServerError: no URL of that kind.
        TokenError: no token.

    Example:
        ``cv.connect("http://127.0.0.1:8080").submit("quick", n_trials=20, name="mine")``
    """
    return Remote(url, token, timeout=timeout)


class Remote:
    """A server of studies. It pickles, and is shown, without the token.

    Args:
        url, token, timeout: see `connect`.

    Attributes:
        url: of the server.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 30.0) -> None:
        self.url = _address(url)
        if token is not None and not (isinstance(token, str) and _is_token(token)):
            raise TokenError("token: the text that `cvfp-opt token add` showed is required")
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
            raise DefinitionError(f"timeout: seconds above 0 are required, got {timeout!r}")
        self._connection = Connection(self.url, float(timeout), token)

    @property
    def version(self) -> dict[str, str]:
        """The versions of what answers, and the kind of its database."""
        found: dict[str, str] = self._connection.get("version").value
        return found

    def submit(
        self,
        plan: "Plan | str | os.PathLike[str] | None" = None,
        *,
        n_trials: int = DEFAULT_TRIALS,
        name: str | None = None,
        priority: int = 0,
        weight: float = 1.0,
        max_workers: int | None = None,
        budget_hours: float | None = None,
        max_failed: int | None = None,
        until: datetime | str | None = None,
        tags: Sequence[str] = (),
    ) -> RemoteStudy:
        """Create a study for workers to run, and return at once; its owner is the token's name.

        The definition is read here and sent whole. The same call again changes nothing.

        Args:
            plan: from `define`, or what it takes; None for "recommended".
            n_trials, name, priority, weight, max_workers, budget_hours, max_failed, until, tags:
                as `submit` takes them; a time without a zone is of this machine's.

        Raises:
            StudyExists: there is another one of that name, by definition or by what is wanted.
            CvfpOptError: what the server refuses: code, and without the scope "admin" files and
                the hub.
        """
        from cvfp_opt.api.plan import Plan, define
        from cvfp_opt.api.wishes import Wishes

        found = plan if isinstance(plan, Plan) else define(plan)
        wishes = Wishes(
            n_trials=n_trials,
            priority=priority,
            weight=weight,
            max_workers=max_workers,
            budget_hours=budget_hours,
            max_failed=max_failed,
            until=until,
            tags=tags,
        )
        study = RemoteStudy(found.name if name is None else name, self._connection)
        study.submit_sections(found.to_dict(), wishes)
        return study

    def studies(
        self, *, tag: str | Sequence[str] = (), owner: str | None = None, stage: str | None = None
    ) -> list[RemoteStudy]:
        """List the studies that the token may see.

        Args:
            tag: those with these words.
            owner: those of this owner.
            stage: those that stand so, as "running" or "done".
        """
        said = {
            "tag": [tag] if isinstance(tag, str) else list(tag),
            "owner": owner,
            "stage": stage,
        }
        query = {key: value for key, value in said.items() if value}
        rows = self._connection.get("studies", query=query).value
        return [RemoteStudy(row["name"], self._connection) for row in rows]

    def open(self, name: str | None = None) -> RemoteStudy:
        """Open a study that is there.

        Args:
            name: the study's name; None for the only one.

        Raises:
            StudyError: there is no such study, or more than one to choose from.
        """
        if name is None:
            names = [study.name for study in self.studies()]
            if len(names) != 1:
                there = f"one of {choices(names)}" if names else "it has none yet"
                raise StudyError(f"{self.url}: the name of a study is required, {there}")
            name = names[0]
        study = RemoteStudy(name, self._connection)
        study.to_dict()
        return study

    def queue(self) -> list[dict[str, Any]]:
        """List the queue as `cvfp-opt queue --json` does: what runs where, and what is next."""
        found: list[dict[str, Any]] = self._connection.get("queue").value
        return found

    def workers(self) -> list[dict[str, Any]]:
        """List the workers that stay, as `cvfp-opt worker list --json` does."""
        found: list[dict[str, Any]] = self._connection.get("workers").value
        return found

    def events(
        self, *, after: int | None = None, limit: int | None = None, wait: int = 0
    ) -> "list[Event]":
        """List what happened to the studies that the token may see, in its order.

        Args:
            after: id of the last event that is known; None for the newest events.
            limit: how many at most; None for the newest 50, or for 1000 after one.
            wait: seconds, at most 20, to be kept waiting for one if there is none; a busy server
                answers sooner.
        """
        return read_events(self._connection, after=after, limit=limit, wait=wait)

    def drain(self, worker: str, *, within: float | None = DRAIN_SECONDS) -> dict[str, Any]:
        """Let a worker take no further trial, and end after those that it runs.

        Args:
            worker: its id, or as much of its beginning as names one alone.
            within: seconds after which it gives back what it still runs; None for no end.

        Raises:
            StudyError: there is no such worker, or it is gone.
        """
        return self._want(worker, "drain", {"within": within})

    def stop(self, worker: str) -> dict[str, Any]:
        """Let a worker give back what it runs, with checkpoints, and end.

        Args:
            worker: its id, or as much of its beginning as names one alone.

        Raises:
            StudyError: there is no such worker, or it is gone.
        """
        return self._want(worker, "stop", {})

    def _want(self, worker: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        require_text("worker", worker)
        found = self._connection.send("POST", "workers", worker, verb, body=body).value
        assert isinstance(found, dict), "the schema says so"
        return found

    def __repr__(self) -> str:
        return f"Remote({self.url!r})"


def _address(url: object) -> str:
    """Read the URL of a server. Raises ServerError for what is none."""
    wanted = "the URL of a `cvfp-opt serve` is required, as http://127.0.0.1:8080"
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        parts.port  # noqa: B018 - it is checked when it is read
    except ValueError:
        raise ServerError(f"{wanted}, got {excerpt(redacted(url))}") from None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.query
        or parts.fragment
    ):
        raise ServerError(f"{wanted}, got {excerpt(redacted(url))}")
    if parts.username is not None or parts.password is not None:
        raise ServerError(
            f"{wanted}, got one with a user or password: give the token as `token`, and not there"
        )
    if not parts.netloc.isascii() or any(one <= " " for one in str(url)):
        raise ServerError(f"{wanted}, got {excerpt(url)}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _is_token(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and bool(text)
