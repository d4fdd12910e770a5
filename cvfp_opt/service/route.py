"""A route: what may be asked, by whom, with what; OpenAPI is made from the table of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from cvfp_opt.errors import StudyMissing
from cvfp_opt.report.dashboard.replies import Reply
from cvfp_opt.service.desk import Desk
from cvfp_opt.store.record.studies import load_study, optuna_version
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.store.record.tokens import Rights, Scope

JSON, HTML, TEXT = "application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8"


class Refusal(Exception):
    """A request is refused, for another reason than the library's.

    Args:
        reply: what is said instead of an answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


def refuse(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Refusal:
    """Make a refusal, to be raised."""
    return Refusal(Reply(status=status, text=text, headers=list(headers)))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is answered.

    Attributes:
        value: written as JSON; None where there is ``content``, or nothing.
        content: of another kind.
        status: of HTTP.
        headers: further ones.
        version: of what is wanted of a study; None where it is about something else. It is the
            beginning of the ``ETag``.
        policy: of the content's security, for a page; "" for the strictest.
    """

    value: Any = None
    content: bytes | None = None
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()
    version: int | None = None
    policy: str = ""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request that was checked.

    Attributes:
        desk: what is there to answer with.
        rights: of whoever asks.
        words: the parts of the path that the route leaves open, by their names.
        query: what the address says, as the route's type has it.
        body: what was sent, as the route's type has it.
        form: what a form sent, its last value by each name.
        version: that a study must have to be changed; None for any.
        target: the address without its query, as a browser needs it.
    """

    desk: Desk
    rights: Rights
    words: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    version: int | None = None
    target: str = ""

    @property
    def study(self) -> str:
        """The name of the study that is asked for."""
        return self.words["name"]

    def summary(self) -> Summary:
        """Take a snapshot of the study that is asked for. Raises StudyMissing."""
        store = self.desk.store.fresh()
        self.require_study()
        study = load_study(store, self.study)
        return Summary.of(study, store.location.shown, optuna_version(store))

    def require_study(self, name: str | None = None) -> str:
        """Require that there is a study, and that it may be seen; return its name.

        Args:
            name: None for the one that is asked for.

        Raises:
            Refusal: whoever asks may not see studies of that name.
            StudyMissing: there is none.
        """
        name = self.study if name is None else name
        require_covered(self.rights, name)
        try:
            return load_study(self.desk.store, name).study_name
        except StudyMissing:
            if not self.rights.studies:
                raise
        raise StudyMissing(f"there is no study {name!r}")  # without the names of others'


def require_covered(rights: Rights, name: str) -> None:
    """Refuse a study that somebody may not see, whether there is one or not. Raises Refusal."""
    if not rights.covers(name):
        text = f"the token is for studies whose names begin with {rights.studies!r}"
        raise refuse(HTTPStatus.FORBIDDEN, f"{text}, got {name!r}")


@dataclass(frozen=True, kw_only=True)
class Route:
    """What may be asked.

    Attributes:
        method: of HTTP; what may be got may be asked for its head, too.
        path: with what is left open in braces, as "/api/v1/studies/{name}".
        answer: makes the answer; its docstring describes the route.
        scope: that whoever asks needs; None for what anybody is told.
        everything: whether it is about all studies, so that whoever may see some has no use for
            it. Without it, ``answer`` leaves out what may not be seen.
        gives: the JSON: a type, or the name of a schema of ``api.schemas``; None for no JSON.
        many: whether that is a list of such.
        status: of the answer, if all is well.
        others: further such statuses.
        media: type of an answer that is no JSON.
        body: the JSON that is sent: a TypedDict, or several, see ``json_schema``; None for none.
        query: type of what the address says; None for nothing.
        changes: whether it changes a study, whose version has to be named then.
        slow: whether it takes long, so that a few at a time are served.
        form: whether a form of our own pages sends it.
    """

    method: str
    path: str
    answer: Callable[[Call], Answer]
    scope: Scope | None
    everything: bool = False
    gives: Any = None
    many: bool = False
    status: HTTPStatus = HTTPStatus.OK
    others: tuple[HTTPStatus, ...] = ()
    media: str = ""
    body: Any = None
    query: type | None = None
    changes: bool = False
    slow: bool = False
    form: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Its path, cut at the slashes."""
        return tuple(self.path.removeprefix("/").split("/"))

    def matches(self, segments: list[str]) -> dict[str, str] | None:
        """Compare it with a path's segments: the open parts by their names; None if it differs."""
        parts = self.parts
        if len(parts) != len(segments):
            return None
        words = {}
        for part, segment in zip(parts, segments, strict=True):
            if part.startswith("{"):
                words[part.strip("{}")] = segment
            elif part != segment:
                return None
        return words

    @property
    def words(self) -> tuple[str, ...]:
        """The names of what its path leaves open."""
        return tuple(part.strip("{}") for part in self.parts if part.startswith("{"))
