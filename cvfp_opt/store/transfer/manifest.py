"""The member ``manifest.json`` of an export: what is in it, and what it was made from."""

import platform
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any, Self, TypedDict

from cvfp_opt.errors import ArchiveError
from cvfp_opt.store.transfer.dump import Dump
from cvfp_opt.store.transfer.json_values import Value
from cvfp_opt.store.transfer.safe_zip import ARTIFACTS
from cvfp_opt.version import __version__

# Format of the file. Raise it when old readers would misread, and keep reading the old ones.
# 2: a study with its confirmation; one without is written as 1.
FORMAT = 2
KIND = "cvfp-opt study"

STUDY = "study.json"
TRIALS = "trials.jsonl"
# The same two members of the confirmation.
CONFIRMATION = ("confirmation.json", "confirmation.jsonl")

_KEYS = (
    "format",
    "kind",
    "study",
    "counts",
    "source",
    "exported",
    "versions",
    "missing_artifacts",
    "members",
)


def mirror_names(place: int) -> tuple[str, str]:
    """Name the members of a mirror, as STUDY and TRIALS are those of the study."""
    return f"mirrors/{place}.json", f"mirrors/{place}.jsonl"


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file in the zip: SHA-256 of its content, hexadecimal, and its size in bytes."""

    sha256: str
    size: int


class ManifestJson(TypedDict):
    """The manifest of an exported file.

    Attributes:
        format: of the file.
        kind: "cvfp-opt study".
        study: name and uuid; the latter empty if another program made the study.
        counts: of trials by state, of trials of each mirror, of artifacts, and of runs of the
            confirmation if there is one.
        source: the database that it came from, without a password.
        exported: epoch seconds.
        versions: of what exported it.
        missing_artifacts: ids of files that were not to be had.
        members: the files in it, by name.
    """

    format: int
    kind: str
    study: dict[str, str]
    counts: dict[str, Any]
    source: str
    exported: float
    versions: dict[str, str]
    missing_artifacts: list[str]
    members: dict[str, Annotated[dict[str, Any], Member]]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The manifest of an exported file.

    Attributes:
        study: name and uuid; the latter empty if another program made the study.
        counts: of trials by state, of trials of each mirror, of artifacts, and of runs of the
            confirmation if there is one.
        source: the database that it came from, as shown; never with a password.
        exported: epoch seconds.
        versions: of what exported it.
        missing: ids of artifacts that were not to be had.
        members: all others, by name.
    """

    study: dict[str, str]
    counts: dict[str, Any]
    source: str
    exported: float
    versions: dict[str, str]
    missing: list[str]
    members: Mapping[str, Member]

    @classmethod
    def of(cls, dump: Dump, source: str, members: Mapping[str, Member]) -> Self:
        """Make one for a file that is being written; artifacts that are no members are missing."""
        versions = {"cvfp-opt": __version__, "python": platform.python_version()}
        return cls(
            study=_study(dump),
            counts=_counts(dump, members),
            source=source,
            exported=time.time(),
            versions=versions | {"optuna": version("optuna")},
            missing=[i for i in dump.artifacts() if f"{ARTIFACTS}{i}" not in members],
            members=members,
        )

    def to_json(self) -> ManifestJson:
        """Convert it to plain JSON, as ``read`` reads it."""
        return {
            "format": FORMAT if "confirmation" in self.counts else 1,
            "kind": KIND,
            "study": self.study,
            "counts": self.counts,
            "source": self.source,
            "exported": self.exported,
            "versions": self.versions,
            "missing_artifacts": self.missing,
            "members": {name: vars(member) for name, member in self.members.items()},
        }

    @classmethod
    def read(cls, value: Value) -> Self:
        """Read and check a manifest.

        Raises:
            ArchiveError: not a manifest, or one of a newer format.
        """
        found = value.kind(dict)
        if found.get("kind") != KIND:
            raise ArchiveError(f"{value.where}: not an export of cvfp-opt")
        if type(found.get("format")) is int and found["format"] > FORMAT:
            raise ArchiveError(
                f"{value.where}: written by a newer cvfp-opt (archive format {found['format']}, "
                f"this one reads up to {FORMAT}); type `pip install -U cvfp-opt`"
            )
        format_, _, study, counts, source, exported, versions, missing, members = value.members(
            *_KEYS
        )
        confirmed = format_.whole(1, FORMAT) > 1
        return cls(
            study={key: item.text() for key, item in study.items()},
            counts=_read_counts(counts, confirmed),
            source=source.text(),
            exported=exported.finite(),
            versions={key: item.text() for key, item in versions.items()},
            missing=[item.name() for item in missing.elements()],
            members={name: _member(item) for name, item in members.items()},
        )

    def check(self, dump: Dump, where: str) -> None:
        """Refuse a dump that is not the one described.

        Raises:
            ArchiveError: it is not.
        """
        there = {n.removeprefix(ARTIFACTS) for n in self.members if n.startswith(ARTIFACTS)}
        wanted = set(dump.artifacts())
        if there | set(self.missing) != wanted or there & set(self.missing):
            raise ArchiveError(f"{where}: the artifacts are not those that the trials refer to")
        if (self.study, self.counts) != (_study(dump), _counts(dump, self.members)):
            raise ArchiveError(f"{where}: the study is not the one described")


def _member(value: Value) -> Member:
    sha256, size = value.members("sha256", "size")
    return Member(sha256=sha256.hexadecimal(64), size=size.whole(0, 2**62))


def _read_counts(value: Value, confirmed: bool) -> dict[str, Any]:
    also = ["confirmation"] if confirmed else []
    trials, mirrors, artifacts, *runs = value.members("trials", "mirrors", "artifacts", *also)
    counts = {
        "trials": {state: count.whole(1) for state, count in trials.items()},
        "mirrors": {name: count.whole(0) for name, count in mirrors.items()},
        "artifacts": artifacts.whole(0),
    }
    return counts | ({"confirmation": runs[0].whole(0)} if runs else {})


def _study(dump: Dump) -> dict[str, str]:
    record = dump.study.record
    return {"name": dump.study.name, "uuid": record.identity if record else ""}


def _counts(dump: Dump, members: Mapping[str, Member]) -> dict[str, Any]:
    states = Counter(trial.state.name for trial in dump.study.trials)
    return {
        "trials": dict(sorted(states.items())),
        "mirrors": {mirror.name: len(mirror.trials) for mirror in dump.mirrors},
        "artifacts": sum(name.startswith(ARTIFACTS) for name in members),
        **({"confirmation": len(dump.confirmation.trials)} if dump.confirmation else {}),
    }
