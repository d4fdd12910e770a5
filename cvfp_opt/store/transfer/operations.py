"""The operations of transfer: export, import, copy and merge."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cvfp_opt.disk import is_there
from cvfp_opt.errors import ArchiveError, StorageError
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.storage import open_for_reading, open_for_search, translated
from cvfp_opt.store.files.artifact_stores import open_artifacts
from cvfp_opt.store.transfer.archive_reading import Archive
from cvfp_opt.store.transfer.archive_writing import check_target, write_archive
from cvfp_opt.store.transfer.artifacts import Reader, Several, placed
from cvfp_opt.store.transfer.dump import Dump
from cvfp_opt.store.transfer.foreign_attributes import without_odd
from cvfp_opt.store.transfer.from_database import read_dump
from cvfp_opt.store.transfer.manifest import Manifest
from cvfp_opt.store.transfer.merge import Differences, Merged, Source, merge
from cvfp_opt.store.transfer.to_database import check_absent, write_dump

SUFFIX = ".zip"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A database and the artifacts that belong to it.

    Attributes:
        location: of the database.
        artifacts: what the user typed; None for the default.
    """

    location: Location
    artifacts: str | None = None

    def read(self, name: str) -> Dump:
        """Read a study, as of one moment. Raises StorageError, StudyError."""
        with open_for_reading(self.location) as store:
            return store.patiently(lambda: read_dump(store, name))

    def reader(self) -> Reader:
        """Open its artifacts. Raises StorageError."""
        return open_artifacts(self.location, self.artifacts)

    def load(self, dump: Dump, artifacts: Reader) -> "Loaded":
        """Write a study and its artifacts, or nothing.

        Raises:
            StudyError: it is there already, or its name is taken.
            StorageError: database or artifact store refuse.
        """
        target = open_artifacts(self.location, self.artifacts)
        with open_for_search(self.location) as store:
            check_absent(store, dump)  # before anything is copied
            with placed(dump.artifacts(), artifacts, target) as missing:
                loaded = dump.without_checkpoints(missing)
                write_dump(store, loaded)
        return Loaded(dump=loaded, missing=[i for i in missing if i in loaded.artifacts()])


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A study that was imported or copied.

    Attributes:
        dump: as it is there now.
        missing: ids of artifacts of its trials that were not to be had.
    """

    dump: Dump
    missing: list[str]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A file that was written.

    Attributes:
        manifest: of the file.
        given_back: numbers of running trials, which are enqueued in the file.
        left_out: attributes that could not be imported again, and whose.
        size: in bytes.
    """

    manifest: Manifest
    given_back: tuple[int, ...]
    left_out: tuple[str, ...]
    size: int


def export_study(place: Place, name: str, path: Path) -> Exported:
    """Write a study to a file.

    Raises:
        StudyError: there is no such study.
        ArchiveError: the file exists, cannot be written, or would not be read again.
        StorageError: database or artifacts cannot be read.
    """
    if path.suffix != SUFFIX:
        raise ArchiveError(f"{path}: a name that ends in {SUFFIX} is required")
    check_target(path)  # before a long study is read
    dump, left_out = without_odd(place.read(name))
    with translated(place.location):  # some of the rows are looked into only now
        manifest = write_archive(path, dump, place.reader(), place.location.shown)
    return Exported(
        manifest=manifest,
        given_back=dump.given_back,
        left_out=left_out,
        size=path.stat().st_size,
    )


def import_study(path: Path, name: str | None, place: Place) -> Loaded:
    """Read a study from a file; nothing is written before all of the file is checked.

    Args:
        path: of the file.
        name: of the study here; None for the one that it had.
        place: where to.

    Raises:
        ArchiveError: the file is not an export, or not a whole one.
        StudyError, StorageError: see ``Place.load``.
    """
    with Archive.open(path) as archive:
        return place.load(archive.dump.renamed(name), archive)


def copy_study(source: Place, name: str, target: Place, new_name: str | None) -> Loaded:
    """Copy a study to another database.

    Raises:
        StudyError, StorageError: it cannot be read there, or written here.
    """
    return target.load(source.read(name).renamed(new_name), source.reader())


def merge_studies(
    names: Sequence[str], new_name: str, place: Place, differences: Differences
) -> tuple[Merged, Loaded]:
    """Make one study of several, which are left as they are.

    Args:
        names: two or more, see ``open_source``.
        new_name: of the result.
        place: where to; and where those are that are named without a place.
        differences: lists what forbids joining two of them.

    Raises:
        CvfpOptError: one of them cannot be read, they do not belong together, or the result
            cannot be written.
    """
    with ExitStack() as stack:
        sources = [stack.enter_context(open_source(name, place)) for name in names]
        merged = merge(sources, new_name, differences)
        return merged, place.load(merged.dump, merged.artifacts)


@contextmanager
def open_source(text: str, place: Place) -> Iterator[Source]:
    """Open a study by ``FILE.zip`` for an export, ``URL#NAME`` for one elsewhere, else by name.

    Args:
        text: what the user typed.
        place: where a mere name is.
    """
    if text.endswith(SUFFIX) and ("#" not in text or is_there(Path(text))):
        with Archive.open(Path(text)) as archive:
            yield Source(label=text, dump=archive.dump, artifacts=archive)
    elif "#" in text:
        location, name = _elsewhere(text)
        elsewhere = Place(location=location)
        label = f"{location.shown}#{name}"
        readers = Several([elsewhere.reader(), place.reader()])  # all may share one
        yield Source(label=label, dump=elsewhere.read(name), artifacts=readers)
    else:
        yield Source(label=text, dump=place.read(text), artifacts=place.reader())


def _elsewhere(text: str) -> tuple[Location, str]:
    """Split ``URL#NAME`` into database and study: paths, passwords and names may have a "#", too.

    Raises:
        StorageError: no part before a "#" names a database.
    """
    ends = [i for i, one in enumerate(text) if one == "#"]
    found = []
    refusal: StorageError | None = None
    for end in ends:
        try:
            found.append((resolve_location(text[:end]), text[end + 1 :]))
        except StorageError as error:
            refusal = error
            continue
        path = found[-1][0].path
        if path is None or is_there(path):
            return found[-1]
    if not found:
        assert refusal is not None, "there is a #"
        raise refusal
    return found[0]
