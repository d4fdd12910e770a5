"""The JSON Schemas of what commands print with --json, and the HTTP API sends."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.report.json_schema import DIALECT, Schema, SchemaMaker

# Version of all schemas. A key may be added at any time; raise it when one goes or changes.
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The JSON of a command.

    Attributes:
        what: it is, in a few words.
        parts: gives the types that it is made from; they are imported when it is called.
        shape: "object"; "list" or "table" of objects, by a name.
    """

    what: str
    parts: Callable[[], tuple[Any, ...]]
    shape: str = "object"


def _status() -> tuple[Any, ...]:
    from cvfp_opt.report.status import StatusJson
    from cvfp_opt.store.record.summary import StateJson, SummaryJson

    return StatusJson, SummaryJson, StateJson


def _best() -> tuple[Any, ...]:
    from cvfp_opt.report.best import BestJson

    return BestJson, *_trial()


def _trial() -> tuple[Any, ...]:
    from cvfp_opt.report.trial import NamedTrialJson
    from cvfp_opt.store.record.records import TrialRecord

    return NamedTrialJson, TrialRecord


def _trials() -> tuple[Any, ...]:
    from cvfp_opt.report.rows import Cell
    from cvfp_opt.report.trial_columns import TrialRowJson

    return (Annotated[dict[str, Cell | bool], TrialRowJson],)


def _studies() -> tuple[Any, ...]:
    from cvfp_opt.store.record.studies import ListedStudyJson

    return (ListedStudyJson,)


def _study() -> tuple[Any, ...]:
    from cvfp_opt.report.study import StudyJson
    from cvfp_opt.store.record.summary import StateJson

    return StudyJson, StateJson


def _submission() -> tuple[Any, ...]:
    from cvfp_opt.api.submitting import SubmissionJson
    from cvfp_opt.store.record.queue_entry import QueueJson

    return SubmissionJson, QueueJson


def _control() -> tuple[Any, ...]:
    from cvfp_opt.store.queue.control import ControlledJson

    return (ControlledJson,)


def _added() -> tuple[Any, ...]:
    from cvfp_opt.api.changing import AddedJson

    return (AddedJson,)


def _failed() -> tuple[Any, ...]:
    from cvfp_opt.api.changing import FailedJson

    return (FailedJson,)


def _deleted() -> tuple[Any, ...]:
    from cvfp_opt.api.changing import DeletedJson

    return (DeletedJson,)


def _renamed() -> tuple[Any, ...]:
    from cvfp_opt.api.changing import RenamedJson

    return (RenamedJson,)


def _queue() -> tuple[Any, ...]:
    from cvfp_opt.report.queue import QueuedStudyJson
    from cvfp_opt.store.record.queue_entry import QueueJson

    return QueuedStudyJson, QueueJson


def _workers() -> tuple[Any, ...]:
    from cvfp_opt.report.queue import WorkerJson

    return (WorkerJson,)


def _events() -> tuple[Any, ...]:
    from cvfp_opt.store.record.event import EventJson

    return (EventJson,)


def _hooks() -> tuple[Any, ...]:
    from cvfp_opt.api.notifying import HookStanding

    return (HookStanding,)


def _tokens() -> tuple[Any, ...]:
    from cvfp_opt.store.record.tokens import TokenJson

    return (TokenJson,)


def _confirmation() -> tuple[Any, ...]:
    from cvfp_opt.report.confirmation import ConfirmationJson

    return (ConfirmationJson,)


def _comparison() -> tuple[Any, ...]:
    from cvfp_opt.report.compare import ComparisonJson

    return (ComparisonJson,)


def _examination() -> tuple[Any, ...]:
    from cvfp_opt.report.doctor import ExaminationJson

    return (ExaminationJson,)


def _exported() -> tuple[Any, ...]:
    from cvfp_opt.report.transfer import ExportedJson

    return (ExportedJson,)


def _loaded() -> tuple[Any, ...]:
    from cvfp_opt.report.transfer import LoadedJson

    return (LoadedJson,)


def _merged() -> tuple[Any, ...]:
    from cvfp_opt.report.transfer import LoadedJson, MergedJson

    return MergedJson, LoadedJson


def _checks() -> tuple[Any, ...]:
    from cvfp_opt.single.verify import Check

    return (Check,)


def _single(name: str) -> Callable[[], tuple[Any, ...]]:
    def parts() -> tuple[Any, ...]:
        from cvfp_opt.api import single_json

        return (getattr(single_json, name),)

    return parts


_LISTED = Entry(what="the studies of a database", parts=_studies, shape="list")
_STATE = Entry(what="how far a study is, its best trials, and a judgement", parts=_status)
_WANTED = Entry(what="a worker, and what is wanted of it", parts=_workers)
_CONTROLLED = Entry(what="a study after a change of what is wanted of it", parts=_control)
_BROUGHT = Entry(what="a study that came from elsewhere", parts=_loaded)

ENTRIES: Mapping[str, Entry] = {
    "run": _STATE,
    "submit": Entry(
        what="a study that was submitted, and its place in the queue", parts=_submission
    ),
    "queue": Entry(what="what runs where, and what is next", parts=_queue, shape="list"),
    "worker list": Entry(what="the workers that stay", parts=_workers, shape="list"),
    **dict.fromkeys(("worker drain", "worker stop"), _WANTED),
    "status": _STATE,
    "best": Entry(what="the best trial, and whether to believe it", parts=_best),
    "list": _LISTED,
    "confirm": Entry(what="what fresh seeds said of the best trials", parts=_confirmation),
    "compare": Entry(what="two studies side by side", parts=_comparison),
    "study list": _LISTED,
    "study show": Entry(what="what a study was created with and ran on", parts=_study),
    **dict.fromkeys(("study pause", "study resume", "study cancel", "study set"), _CONTROLLED),
    "study delete": Entry(what="a study that was deleted", parts=_deleted),
    "study rename": Entry(what="a study under another name", parts=_renamed),
    "study doctor": Entry(what="what is wrong with a database", parts=_examination),
    "study export": Entry(what="a study that was written to a file", parts=_exported),
    "study import": _BROUGHT,
    "study copy": _BROUGHT,
    "study merge": Entry(what="studies that were joined", parts=_merged),
    "trial list": Entry(what="the trials of a study, a row each", parts=_trials, shape="list"),
    "trial show": Entry(what="a trial in full", parts=_trial),
    "trial enqueue": Entry(what="trials that were enqueued", parts=_added),
    "trial fail": Entry(what="a trial that was ended", parts=_failed),
    "trial replay": Entry(what="a trial run again, and compared", parts=_single("ReplayJson")),
    "events": Entry(what="what happened to studies", parts=_events, shape="list"),
    "notify list": Entry(what="the hooks, and how they stand", parts=_hooks, shape="list"),
    "token list": Entry(what="the tokens of a database", parts=_tokens, shape="list"),
    "train": Entry(what="one training run", parts=_single("TrainedJson")),
    "verify": Entry(what="tests of a network", parts=_checks, shape="list"),
    "thresholds": Entry(what="what a convergence rate rests on", parts=_single("ThresholdsJson")),
    "reproduce": Entry(
        what="the original report's experiments", parts=_single("ExperimentJson"), shape="table"
    ),
}
"""By the command that prints it."""


def schema(name: str, *, closed: bool = False) -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of what a command prints with ``--json``.

    Within a version keys may be added: a program ignores those that it does not know. A key that
    goes or changes raises the version, which is the end of ``$id``. What JSON has no number for
    is a word, "NaN", "Infinity" or "-Infinity".

    Args:
        name: the command, as "status" or "trial show".
        closed: let no object have a key that is not named, as tests of this version want it.

    Raises:
        DefinitionError: no such command, or one that prints no JSON.

    Example:
        ``jsonschema.validate(json.loads(printed), cv.schema("status"))``
    """
    if not isinstance(name, str) or name not in ENTRIES:
        known = nearest(str(name), ENTRIES)
        raise DefinitionError(
            f"the name of a command that prints JSON is required, got {name!r}; {known}"
        )
    maker = SchemaMaker(closed=closed)
    head = {"$schema": DIALECT, "$id": schema_id(name), "title": f"cvfp-opt {name} --json"}
    return head | _body(maker, ENTRIES[name]) | {"$defs": maker.definitions}


def schema_id(name: str) -> str:
    """Name a schema for all the world."""
    return f"urn:cvfp-opt:{name.replace(' ', '-')}:{VERSION}"


def components(names: Iterable[str], refs: str = "#/components/schemas/") -> dict[str, Schema]:
    """Make the schemas of several commands, with what they refer to, as OpenAPI keeps them.

    Args:
        names: of ENTRIES.
        refs: where they will be, as the beginning of a reference.

    Returns:
        The schema of each command, by its name with a hyphen for a space, and all definitions.
    """
    maker = SchemaMaker(refs)
    found = {name.replace(" ", "-"): _body(maker, ENTRIES[name]) for name in names}
    return found | maker.definitions


def _body(maker: SchemaMaker, entry: Entry) -> Schema:
    parts = entry.parts()
    one = maker.object(*parts) if len(parts) > 1 or entry.shape == "object" else maker.of(parts[0])
    if entry.shape == "list":
        return {"type": "array", "items": one}
    if entry.shape == "table":
        return {"type": "object", "additionalProperties": one}
    return one
