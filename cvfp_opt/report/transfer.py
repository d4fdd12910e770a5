"""Results of export, import, copy and merge, in lines for a terminal and as JSON."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypedDict

from cvfp_opt.escaping import positional, printable, quoted
from cvfp_opt.report.words import ranges
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.doctor.finding import counted
from cvfp_opt.store.transfer.manifest import ManifestJson
from cvfp_opt.store.transfer.merge import Merged
from cvfp_opt.store.transfer.operations import Exported, Loaded


class ExportedJson(TypedDict):
    """An exported study.

    Attributes:
        file: that it is in.
        size: of the file in bytes.
        given_back: running trials, which wait in the copy.
        left_out: attributes that this program does not write and would not read.
        manifest: what is in the file.
    """

    file: str
    size: int
    given_back: list[int]
    left_out: list[str]
    manifest: ManifestJson


class LoadedJson(TypedDict):
    """What an import, a copy or a merge has brought.

    Attributes:
        study_name: name of the study here.
        storage: URL of its database, without a password.
        trials: number of its trials.
        confirmation: number of runs of its confirmation; null if it has none.
        given_back: trials that ran and wait here.
        missing_artifacts: ids of files that were not to be had.
    """

    study_name: str
    storage: str
    trials: int
    confirmation: int | None
    given_back: list[int]
    missing_artifacts: list[str]


class SourceJson(TypedDict):
    """A study that was joined with others.

    Attributes:
        study: which.
        added: by its trials' numbers there, their numbers here.
        known: the same for trials that were here already.
    """

    study: str
    added: dict[str, int]
    known: dict[str, int]


class MergedJson(TypedDict):
    """What became of the trials of studies that were joined.

    Attributes:
        sources: the studies, in their order.
        conflicts: trials that differ although they are the same, a sentence each.
        unconfirmed: studies whose confirmation was left out.
    """

    sources: list[SourceJson]
    conflicts: list[str]
    unconfirmed: list[str]


def exported_lines(exported: Exported, file: str) -> list[str]:
    """Say what was exported."""
    manifest = exported.manifest
    trials, artifacts = sum(manifest.counts["trials"].values()), manifest.counts["artifacts"]
    return [
        *_given_back(exported.given_back),
        *_missing(manifest.missing),
        *_left_out(exported.left_out),
        f"study {manifest.study['name']!r} is in {file}: {counted(trials, 'trial')}"
        f"{_confirmed(manifest.counts.get('confirmation'))}, "
        f"{counted(artifacts, 'artifact')}, {exported.size:,} bytes",
        f"to use it elsewhere:  cvfp-opt study import {positional(file)}",
    ]


def exported_json(exported: Exported, file: str) -> ExportedJson:
    """Convert an export to plain JSON values, with the whole manifest."""
    return {
        "file": file,
        "size": exported.size,
        "given_back": list(exported.given_back),
        "left_out": list(exported.left_out),
        "manifest": exported.manifest.to_json(),
    }


def loaded_lines(loaded: Loaded, location: Location) -> list[str]:
    """Say what an import, a copy or a merge has brought."""
    study, confirmation = loaded.dump.study, loaded.dump.confirmation
    runs = len(confirmation.trials) if confirmation else None
    lines = [
        *_given_back(loaded.dump.given_back),
        *_missing(loaded.missing),
        f"study {study.name!r} is in {location.shown}: {counted(len(study.trials), 'trial')}"
        f"{_confirmed(runs)}",
    ]
    if study.record is not None:
        name = quoted(study.name)
        lines.append(f"to go on with it:  cvfp-opt run --study-name {name}{location.option}")
    return lines


def loaded_json(loaded: Loaded, location: Location) -> LoadedJson:
    """Convert what was brought to plain JSON values."""
    confirmation = loaded.dump.confirmation
    return {
        "study_name": loaded.dump.study.name,
        "storage": location.shown,
        "trials": len(loaded.dump.study.trials),
        "confirmation": len(confirmation.trials) if confirmation else None,
        "given_back": list(loaded.dump.given_back),
        "missing_artifacts": loaded.missing,
    }


def merged_lines(merged: Merged) -> list[str]:
    """Say what became of the trials of each study but the first, and the conflicts."""
    lines = []
    for joined in merged.joined[1:]:
        lines += [_moved(joined.label, run) for run in _runs(joined.added)]
        if joined.known:
            lines.append(
                f"{_numbers(joined.known)} of {joined.label}: there already, "
                f"as {_numbers(joined.known.values())}"
            )
    lines += [
        f"the confirmation of {label} is left out: its seeds are not those of the result; type "
        f"`cvfp-opt confirm --study-name {quoted(merged.dump.study.name)}`"
        for label in merged.unconfirmed
    ]
    return lines + [f"conflict: {line}" for line in merged.conflicts]


def merged_json(merged: Merged) -> MergedJson:
    """Convert a merge to plain JSON values, without the first study: its trials stay."""
    return {
        "sources": [
            {"study": one.label, "added": _keyed(one.added), "known": _keyed(one.known)}
            for one in merged.joined
        ],
        "conflicts": merged.conflicts,
        "unconfirmed": merged.unconfirmed,
    }


def _keyed(numbers: Mapping[int, int]) -> dict[str, int]:
    return {str(there): here for there, here in numbers.items()}


def _moved(label: str, run: list[tuple[int, int]]) -> str:
    there, here = zip(*run, strict=True)
    verb = "is" if len(run) == 1 else "are"
    return f"{_numbers(there)} of {label} {verb} {_numbers(here)} now"


def _runs(added: Mapping[int, int]) -> list[list[tuple[int, int]]]:
    """Split the pairs of numbers into pieces without gaps on either side."""
    runs: list[list[tuple[int, int]]] = []
    for pair in sorted(added.items()):
        if runs and tuple(n + 1 for n in runs[-1][-1]) == pair:
            runs[-1].append(pair)
        else:
            runs.append([pair])
    return runs


def _numbers(numbers: Iterable[int]) -> str:
    """Write ``trial 3``, ``trials 0-4, 7``."""
    ordered = sorted(numbers)
    return f"trial{'s' if len(ordered) > 1 else ''} {', '.join(ranges(ordered))}"


def _given_back(numbers: Collection[int]) -> list[str]:
    if not numbers:
        return []
    waits = "is running: it waits" if len(numbers) == 1 else "are running: they wait"
    return [f"{_numbers(numbers)} {waits} in the copy"]


def _confirmed(runs: int | None) -> str:
    return "" if runs is None else f" and {counted(runs, 'run')} of its confirmation"


def _missing(ids: Collection[str]) -> list[str]:
    if not ids:
        return []
    first = ", ".join(list(ids)[:3]) + (", ..." if len(ids) > 3 else "")
    return [f"{counted(len(ids), 'artifact')} not to be had, left out: {first}"]


def _left_out(attributes: Sequence[str]) -> list[str]:
    if not attributes:
        return []
    first = printable("; ".join(attributes[:3])) + ("; ..." if len(attributes) > 3 else "")
    return [
        f"{counted(len(attributes), 'attribute')} left out, as this program does not write them "
        f"and would not read them: {first}"
    ]
