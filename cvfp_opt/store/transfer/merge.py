"""Merging studies: which of their trials are the same, and what numbers they get.

The first study keeps its numbers. The trials of the others that it lacks follow, study by study,
in their order. A trial of the result stands for at most one trial of each study, so the result is
at least as long as each of them; and as a trial is created with a number below its study's length,
the next number, with the first study's seed, was never drawn from before.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.damage import all_parsed
from cvfp_opt.store.files.artifact_names import artifact_ids
from cvfp_opt.store.record.confirmation import confirmation_name
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.store.record.mirrors import SOURCE_TRIAL
from cvfp_opt.store.record.records import (
    CONFIRMATION_POINTS,
    CONFIRMS,
    FORMAT,
    MIRROR_OF,
    MIRRORED,
    STUDY,
    StudyRecord,
)
from cvfp_opt.store.transfer.artifacts import Reader, Several
from cvfp_opt.store.transfer.dump import Dump, StudyDump, Texts, TrialDump, with_attr
from cvfp_opt.store.transfer.generations import without_parents
from cvfp_opt.store.transfer.same_trials import Candidate, candidates

# Study user attribute: what a merged study was made of.
MERGED_FROM = "cvfp_opt:merged_from"

Differences = Callable[[StudyRecord, StudyRecord], list[str]]
"""Lists what forbids joining the trials of two studies, a line each."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A study to merge.

    Attributes:
        label: what the user called it.
        dump: itself.
        artifacts: where its artifacts are.
    """

    label: str
    dump: Dump
    artifacts: Reader

    @property
    def record(self) -> StudyRecord:
        """The study's record.

        Raises:
            StudyError: another program made it.
        """
        if self.dump.study.record is None:
            raise StudyError(
                f"{self.label}: a study of cvfp-opt is required, another program made this one: "
                "nothing tells which of its trials are the same as others"
            )
        return self.dump.study.record


@dataclass(frozen=True, kw_only=True)
class Joined:
    """The outcome for the trials of one source.

    Attributes:
        label: of the source.
        added: number there -> number here.
        known: likewise, of those that were here already.
    """

    label: str
    added: dict[int, int]
    known: dict[int, int]


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The result of a merge.

    Attributes:
        dump: the study.
        artifacts: where its artifacts are.
        joined: what became of each source's trials.
        conflicts: a line each.
        unconfirmed: labels of the sources whose confirmations are left out.
    """

    dump: Dump
    artifacts: Reader
    joined: list[Joined]
    conflicts: list[str]
    unconfirmed: list[str]


def merge(sources: Sequence[Source], name: str, differences: Differences) -> Merged:
    """Make one study of several, which stay as they are.

    Args:
        sources: two or more.
        name: of the result.
        differences: lists what forbids joining two of them.

    Raises:
        StudyError: two of them are not of one kind.
    """
    first = sources[0]
    for other in sources[1:]:
        found = differences(first.record, other.record)
        if other.dump.study.directions != first.dump.study.directions:
            found.append("directions: they are not the same")
        if found:
            raise StudyError(
                f"{other.label} cannot be merged with {first.label}, only their seeds may differ:",
                *(f"  {line}" for line in found),
            )
    trials = _Trials(labels=[source.label for source in sources])
    joined = [
        trials.join(source.label, list(candidates(source.dump.study, place)))
        for place, source in enumerate(sources)
    ]
    _check_next_number(first, trials.kept)
    study = _study(sources, name, trials.kept)
    homes = {
        artifact_id: candidate.source
        for candidate in trials.kept
        for artifact_id in artifact_ids(candidate.trial.system_attrs)
    }
    return Merged(
        artifacts=Several([source.artifacts for source in sources], homes),
        dump=Dump(
            study=study,
            mirrors=tuple(_mirrors(sources, study, trials.kept)),
            confirmation=_confirmation(first, study),
        ),
        joined=joined,
        conflicts=trials.conflicts,
        unconfirmed=[source.label for source in sources[1:] if source.dump.confirmation],
    )


@dataclass(kw_only=True)
class _Trials:
    """The trials of the result so far; a place is a number."""

    labels: list[str]
    kept: list[Candidate] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    _by_uuid: dict[str, int] = field(default_factory=dict)
    _by_draws: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))

    def join(self, label: str, others: list[Candidate]) -> Joined:
        """Add the trials of the next source that are not here yet."""
        known = self._known(others) if self.kept else {}
        added = {}
        for other in others:
            number = other.trial.number
            if number in known:
                self._settle(known[number], other)
            else:
                added[number] = self._add(other)
        return Joined(label=label, added=added, known=known)

    def _known(self, others: list[Candidate]) -> dict[int, int]:
        """Find the trials of a source that are here: by identity, then, of the rest, twins."""
        known = {
            other.trial.number: self._by_uuid[other.identity.uuid]
            for other in others
            if other.identity and other.identity.uuid in self._by_uuid
        }
        taken = set(known.values())
        for other in others:
            if other.trial.number in known:
                continue
            for place in self._by_draws.get(other.draws, ()):
                if place not in taken and other.is_twin_of(self.kept[place]):
                    known[other.trial.number] = place
                    taken.add(place)
                    break
        return known

    def _add(self, other: Candidate) -> int:
        place = len(self.kept)
        self.kept.append(other)
        if other.identity:
            self._by_uuid[other.identity.uuid] = place
        self._by_draws[other.draws].append(place)
        return place

    def _settle(self, place: int, other: Candidate) -> None:
        """Keep one of two that are the same trial: the finished one, else the one named first."""
        ours = self.kept[place]
        better = other.finished and not ours.finished
        if better:
            self.kept[place] = other
        same = ours.identity and other.identity and ours.identity.uuid == other.identity.uuid
        if same and not ours.has_content_of(other):
            chosen = other if better else ours
            reason = "is finished" if ours.finished != other.finished else "was named first"
            self.conflicts.append(
                f"{self._shown(ours)} and {self._shown(other)} are one trial, but differ: "
                f"kept the one of {self.labels[chosen.source]}, which {reason}"
            )

    def _shown(self, one: Candidate) -> str:
        state = one.trial.state.name.lower()
        return f"trial {one.trial.number} of {self.labels[one.source]} ({state})"


def _check_next_number(first: Source, kept: Sequence[Candidate]) -> None:
    """Check the number of the next trial, since databases can be written to by hand."""
    drawn = [number for seed, number in (c.draws for c in kept) if seed == first.record.seed]
    if max(drawn, default=-1) >= len(kept):
        raise StudyError(
            f"{first.label}: a trial was created with the number {max(drawn)}, but there are only "
            f"{len(kept)} trials: the next ones would repeat its draws; see what wrote it"
        )


def _study(sources: Sequence[Source], name: str, kept: Sequence[Candidate]) -> StudyDump:
    first = sources[0].dump.study
    record = replace(sources[0].record, uuid=uuid.uuid4().hex, format=FORMAT)
    made_of = [
        {"study": s.dump.study.name, "uuid": s.record.identity, "trials": len(s.dump.study.trials)}
        for s in sources
    ]
    user_attrs = _union(source.dump.study.user_attrs for source in sources)
    user_attrs = with_attr(user_attrs, STUDY, asdict(record))
    return StudyDump(
        name=name,
        directions=first.directions,
        user_attrs=with_attr(user_attrs, MERGED_FROM, made_of),
        system_attrs=without_parents(_union(s.dump.study.system_attrs for s in sources)),
        trials=tuple(_numbered(c, number) for number, c in enumerate(kept)),
    )


def _numbered(candidate: Candidate, number: int) -> TrialDump:
    """Copy a trial under its new number, with its identity: a derived one would change."""
    trial = replace(candidate.trial, number=number)
    if candidate.identity is None:
        return trial
    return trial.with_system_attr(IDENTITY_KEY, candidate.identity.to_dict())


def _union(all_attrs: Iterable[Texts]) -> Texts:
    """Join the attributes of all; of two with one key, the study that was named first counts."""
    found: dict[str, str] = {}
    for attrs in all_attrs:
        found = {**attrs, **found}
    return dict(sorted(found.items()))


def _confirmation(first: Source, study: StudyDump) -> StudyDump | None:
    """Take the first study's confirmation: the result has its seed and trials' numbers.

    Another one's seeds draw otherwise: its runs could not be paired with these.
    """
    confirmation = first.dump.confirmation
    if confirmation is None or confirmation.record is None or study.record is None:
        return None
    points = all_parsed(confirmation.user_attrs).get(CONFIRMATION_POINTS)
    if not isinstance(points, dict):  # another program wrote it: its runs are of unknown points
        return None
    record = replace(confirmation.record, uuid=uuid.uuid4().hex)
    changed = {
        STUDY: asdict(record),
        CONFIRMS: study.name,
        CONFIRMATION_POINTS: {**points, "uuid": study.record.identity},
    }
    user_attrs = confirmation.user_attrs
    for key, value in changed.items():
        user_attrs = with_attr(user_attrs, key, value)
    return replace(confirmation, name=confirmation_name(study.name), user_attrs=user_attrs)


def _mirrors(
    sources: Sequence[Source], study: StudyDump, kept: Sequence[Candidate]
) -> Iterator[StudyDump]:
    """Join the mirrors, as far as the sources have them; the next run adds what they lack."""
    found: dict[str, dict[int, StudyDump]] = {}
    for place, source in enumerate(sources):
        for mirror in source.dump.mirrors:
            suffix = mirror.name.removeprefix(source.dump.study.name)
            found.setdefault(suffix, {})[place] = mirror
    for suffix, mirrors in found.items():
        there = {
            (place, trial.user_attr(SOURCE_TRIAL)): trial
            for place, mirror in mirrors.items()
            for trial in mirror.trials
        }
        trials: list[TrialDump] = []
        for number, candidate in enumerate(kept):
            trial = there.get((candidate.source, candidate.trial.number))
            if trial is not None:
                attrs = with_attr(trial.user_attrs, SOURCE_TRIAL, number)
                trials.append(replace(trial, number=len(trials), user_attrs=attrs))
        model = next(iter(mirrors.values()))
        assert study.record is not None, study.name
        attrs = with_attr(model.user_attrs, MIRROR_OF, study.name)
        attrs = with_attr(attrs, MIRRORED, study.record.identity)
        yield replace(model, name=study.name + suffix, user_attrs=attrs, trials=tuple(trials))
