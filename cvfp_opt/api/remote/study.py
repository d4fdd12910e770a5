"""A study on a server, and what can be done with it over HTTP."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

from cvfp_opt.api.looking import ReadableStudy
from cvfp_opt.api.remote.connection import Connection, Response
from cvfp_opt.api.remote.records import confirmation, read_events, study_summary, trial_record
from cvfp_opt.api.required import require_text, require_whole
from cvfp_opt.api.trial import Trial
from cvfp_opt.api.wishes import Wishes, changes_of
from cvfp_opt.errors import CvfpOptError, DefinitionError, ReportError, StudyError
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary

if TYPE_CHECKING:
    from cvfp_opt.report.compare import Comparison
    from cvfp_opt.report.confirmation import Confirmation
    from cvfp_opt.store.record.event import Event

_PAGE = 1000


class _NotOverHttp(StudyError, AttributeError):
    """Something needs the study's database or its files, which a server does not give."""


class RemoteStudy(ReadableStudy):
    """A study on a server, with the names that `Study` has. Each question asks the server anew.

    Trials that have ended are asked for once: they do not change. What needs the database or its
    files (`more`, `confirm`, `plot`, `fail`, `export`, `copy`, `rename`, `doctor`, a trial's
    `load`) is not there; a trial's `replay` and `save` compute here, from its record.

    Attributes:
        name: the study's name.
    """

    def __init__(self, name: str, connection: Connection) -> None:
        require_text("name", name)
        self.name = name
        self._connection = connection
        self._forget()

    def _forget(self) -> None:
        self._status: Response | None = None
        self._identity = ""
        self._ended: dict[str, list[TrialRecord]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "_connection": self._connection}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._forget()

    def look(self) -> Summary:
        """Take a snapshot of the study, from which all reports start.

        Raises:
            StudyError: it is not there any more.
            ServerError: the server does not answer.
        """
        found = self.to_dict()
        record, confirmed = found["record"], found["confirmation"]
        identity = "" if record is None else f"{record['uuid']} {record['created']}"
        if not identity or identity != self._identity:
            self._identity, self._ended = identity, {}
        trials = self._read_trials(self.name)
        runs = self._read_trials(confirmed["study_name"]) if confirmed else []
        return study_summary(found, trials, runs)

    def _read_trials(self, study: str) -> list[TrialRecord]:
        """Ask for the trials of a study; for those that had ended when they came, never again."""
        known = list(self._ended.get(study, ()))
        query = {"after": known[-1].number if known else -1, "limit": _PAGE}
        response = self._connection.get("studies", study, "trials", query=query)
        while True:
            known += [trial_record(one) for one in response.value]
            if response.next is None:
                break
            response = self._connection.get(response.next)
        ended = next((n for n, one in enumerate(known) if not one.finished), len(known))
        self._ended[study] = known[:ended]
        return known

    def _entry(self) -> dict[str, Any]:
        """Ask for its place in the queue: to the server that is a small part of a look at it."""
        rows = self._connection.get("queue").value
        found: dict[str, Any] | None = next(
            (one for one in rows if one["study"] == self.name), None
        )
        if found is None:  # another program's, or none
            whole = self.to_dict()
            found = {**whole["queue"], "counts": whole["counts"]}
        return found

    # what it says

    def to_dict(self) -> dict[str, Any]:
        """Give what `cvfp-opt status --json` prints of it."""
        known = self._status
        tag = known.headers.get("ETag") if known else None
        response = self._connection.get(*self._path, tag=tag)
        if known is None or response.status != 304:
            self._status = known = response
        found: dict[str, Any] = known.value
        return found

    @property
    def counts(self) -> dict[str, int]:
        """The number of trials in each state."""
        return dict(self._entry()["counts"])

    @property
    def total(self) -> int | None:
        """The number of trials that it is to have; None if nobody has said."""
        found: int | None = self._entry()["n_trials"]
        return found

    @property
    def state(self) -> str:
        """The state of its queue: "open", "paused" or "cancelled"; trials begin in an open one."""
        return str(self._entry()["state"])

    @property
    def version(self) -> int:
        """The version of what is wanted of it, which grows with each change."""
        return int(self._entry()["version"])

    @property
    def judgement(self) -> str:
        """The server's judgement of its winner: one or two sentences on whether to believe it."""
        return str(self.to_dict()["judgement"])

    @property
    def confirmation(self) -> "Confirmation | None":
        """The results of its best trials on fresh seeds; None if nobody has confirmed it."""
        return confirmation(self.to_dict()["confirmation"])

    def compare(self, other: "RemoteStudy | str") -> "Comparison":
        """Compare it with another study of the server: winners, audits, times, definitions."""
        from cvfp_opt.report.compare import compare_studies

        if isinstance(other, str):
            other = RemoteStudy(other, self._connection)
        if not isinstance(other, RemoteStudy):
            got = type(other).__name__
            raise DefinitionError(f"a study of a server or its name is required, got {got}")
        return compare_studies(self.look(), other.look())

    def report(self, path: str | os.PathLike[str] = "report.html") -> Path:
        """Write its report, one HTML file that needs no network; return its path.

        Args:
            path: path of the file.

        Raises:
            ReportError: the disk refuses.
        """
        from cvfp_opt.disk import write_file

        page = self._connection.get(*self._path, "report", accept="text/html")
        write_file(Path(path), page.content, error=ReportError)
        return Path(path)

    # what is wanted of it

    def pause(self, *, now: bool = False, version: int | None = None) -> None:
        """Let no further trial begin; those that run go on to their end.

        Args:
            now: give those that run back as well: they wait, with their checkpoints.
            version: that it must still have, as ``version`` gave it; None for any.

        Raises:
            StudyChanged: it has another version by now.
            StudyError: it is done, or cancelled.
        """
        self._change("POST", "pause", body={"now": bool(now)}, version=version)

    def resume(self, *, version: int | None = None) -> None:
        """Let trials begin again.

        Args:
            version: that it must still have; None for any.

        Raises:
            StudyChanged: it has another version by now.
        """
        self._change("POST", "resume", version=version)

    def cancel(self, *, version: int | None = None) -> None:
        """Give running trials back, and let none begin; `resume` opens it again.

        Args:
            version: that it must still have; None for any.

        Raises:
            StudyChanged: it has another version by now.
            StudyError: it is done.
        """
        self._change("POST", "cancel", version=version)

    def set(self, *, version: int | None = None, **wishes: Unpack[Wishes]) -> None:
        """Change what is wanted of it: all that is named, or nothing.

        Args:
            version: that it must still have; None for any.
            wishes: as `Study.set` takes them; ``owner`` needs the scope "admin".

        Raises:
            StudyChanged: it has another version by now.
            DefinitionError: a value that does not fit.
            StudyError: more trials have finished or run than the total would be.
        """
        self._change("PATCH", body=_sendable(wishes), version=version)

    def delete(self, *, force: bool = False, version: int | None = None) -> None:
        """Delete it with all its trials, mirrors and checkpoints. There is no way back.

        Args:
            force: even if workers run it; they stop with an error.
            version: that it must still have; None for any.

        Raises:
            StudyChanged: it has another version by now.
            StudyError: workers run it.
        """
        self._connection.send(
            "DELETE",
            *self._path,
            query={"force": "true"} if force else None,
            headers={"If-Match": "*" if version is None else f'"{version}"'},
            again=False,
        )

    # its trials

    def enqueue(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        best_of: str | None = None,
        top: int = 5,
        clip: bool = False,
        ignore: bool = False,
        retry: int | None = None,
    ) -> tuple[Trial, ...]:
        """Enqueue trials at points of your choice; the next free worker runs them.

        It is sent once: after a lost connection nobody knows whether they wait.

        Args:
            params: a point, by name; the sampler chooses what it leaves out.
            best_of: name of another study there, whose best points are taken instead.
            top, clip, ignore: as `Study.enqueue` takes them.
            retry: repeat the point of this finished trial, with other seeds, instead.

        Returns:
            The trials; one that waited already is not enqueued twice.

        Raises:
            DefinitionError: an unknown name, or a value outside of what the study searches.
            StudyError: no such study or trial.
        """
        if params is not None and not isinstance(params, Mapping):
            raise DefinitionError(f"params: a dict of values by name is required, got {params!r}")
        given = {"params": params, "best_of": best_of, "retry": retry}
        body = {key: value for key, value in given.items() if value is not None}
        if len(body) != 1:
            raise DefinitionError("enqueue: one of params, best_of and retry is required")
        if best_of is not None:
            body |= {"top": top, "clip": clip, "ignore": ignore}
        done = self._connection.send("POST", *self._path, "trials", body=body, again=False)
        numbers = [one["trial"] for one in done.value["trials"]]
        summary = self.look()
        return tuple(Trial(self, summary, summary.trial(number)) for number in numbers)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def _is_busy(self) -> bool:
        from cvfp_opt.report.queue import is_busy

        return is_busy(self._entry())

    def events(
        self, *, after: int | None = None, limit: int | None = None, wait: int = 0
    ) -> "list[Event]":
        """List what happened to it, in its order.

        Args:
            after: id of the last event that is known; None for the newest events.
            limit: how many at most; None for the newest 50, or for 1000 after one.
            wait: seconds, at most 20, to be kept waiting for one if there is none; a busy server
                answers sooner.
        """
        return read_events(self._connection, *self._path, after=after, limit=limit, wait=wait)

    # what is not there

    @property
    def place(self) -> NoReturn:
        """Its database, which is not here."""
        raise self._elsewhere("load")

    def fail(self, number: int, reason: str = "ended by hand") -> NoReturn:
        """End a trial: not over HTTP."""
        raise self._elsewhere("fail")

    def __getattr__(self, name: str) -> NoReturn:
        from cvfp_opt.api.study import Study

        if not name.startswith("_") and hasattr(Study, name):
            raise self._elsewhere("load" if name == "place" else name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _elsewhere(self, name: str) -> _NotOverHttp:
        return _NotOverHttp(
            f"{name}: not over HTTP, for it needs the database or its files; where they are, open "
            f"the study by `cvfp_opt.open({self.name!r})`"
        )

    # as a whole

    def submit_sections(self, sections: Mapping[str, Any], wishes: Wishes) -> None:
        """Create it of the sections of a definition; see ``Remote.submit``."""
        body = {"sections": sections, **_sendable(wishes)}
        self._connection.send("PUT", *self._path, body=body)

    @property
    def _path(self) -> tuple[str, str]:
        return ("studies", self.name)

    def _change(
        self, method: str, *verb: str, body: Mapping[str, Any] | None = None, version: int | None
    ) -> None:
        if version is not None:
            require_whole("version", version, 0)
        self._connection.change(method, *self._path, *verb, body=body, version=version)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteStudy):
            return NotImplemented
        return (self.name, self._connection.url) == (other.name, other._connection.url)

    def __hash__(self) -> int:
        return hash((self.name, self._connection.url))

    def __repr__(self) -> str:
        from cvfp_opt.report.brief import study_text

        named = f"RemoteStudy({self.name!r}, url={self._connection.url!r})"
        try:
            return study_text(self.look(), named)
        except CvfpOptError:
            return named


def _sendable(wishes: Wishes) -> dict[str, Any]:
    """Check what is wanted, and write it as JSON: a time with the zone of this machine."""
    changes_of(wishes)
    found: dict[str, Any] = dict(wishes)
    until = found.get("until")
    if until is not None:
        moment = datetime.fromisoformat(until) if isinstance(until, str) else until
        found["until"] = moment.astimezone().isoformat()
    if "tags" in found:
        tags: str | Sequence[str] = found["tags"]
        found["tags"] = [tags] if isinstance(tags, str) else list(tags)
    return found
