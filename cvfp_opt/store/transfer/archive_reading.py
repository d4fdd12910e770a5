"""Reading an export: everything in the zip file is checked before a dump is made of it."""

import io
import json
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Self, cast

from optuna.artifacts.exceptions import ArtifactNotFound

from cvfp_opt.errors import ArchiveError
from cvfp_opt.store.database.number_checks import parse_whole
from cvfp_opt.store.transfer.codec import read_dump
from cvfp_opt.store.transfer.dump import Dump
from cvfp_opt.store.transfer.json_values import Value
from cvfp_opt.store.transfer.manifest import CONFIRMATION, STUDY, TRIALS, Manifest, mirror_names
from cvfp_opt.store.transfer.safe_zip import ARTIFACTS, MANIFEST, SafeZip, Stream, faults

# Python itself reads no more digits of a number.
_parse_int = partial(parse_whole, max_digits=4000)


class Archive:
    """An exported study, which is also a store of its artifacts.

    Attributes:
        manifest: of the file.
        dump: the study.
    """

    def __init__(self, file: SafeZip) -> None:
        """Check and read a whole archive.

        Raises:
            ArchiveError: anything in it is not as an export writes it.
            StudyError: the study was written by a newer version of this program.
        """
        self._file = file
        self.manifest = self._manifest()
        self.dump = self._dump()
        self.manifest.check(self.dump, str(file.path))
        for name, member in self.manifest.members.items():
            if name.startswith(ARTIFACTS):
                for _ in file.chunks(name, member.sha256):
                    pass

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, shown: Path | None = None) -> Iterator[Self]:
        """Open an export for as long as its artifacts are needed.

        Args:
            path: of the file.
            shown: what messages call it; None for ``path``.
        """
        with SafeZip.open(path, shown or path) as file:
            yield cls(file)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open an artifact; reading it to the end checks its digest once more."""
        name = f"{ARTIFACTS}{artifact_id}"
        if name not in self.manifest.members:
            raise ArtifactNotFound(artifact_id)
        chunks = self._file.chunks(name, self.manifest.members[name].sha256)
        return cast(BinaryIO, io.BufferedReader(Stream(chunks)))

    def _manifest(self) -> Manifest:
        path, sizes = self._file.path, self._file.sizes
        if MANIFEST not in sizes:
            raise ArchiveError(
                f"{path}: an export of cvfp-opt is required, this zip file has no {MANIFEST}"
            )
        manifest = Manifest.read(self._json(MANIFEST, self._file.unverified_text(MANIFEST)))
        declared = {name: member.size for name, member in manifest.members.items()}
        actual = {name: size for name, size in sizes.items() if name != MANIFEST}
        if declared != actual:
            other = sorted(set(declared.items()) ^ set(actual.items()))[0][0]
            raise ArchiveError(f"{path}: member {reprlib.repr(other)} is not as {MANIFEST} has it")
        return manifest

    def _dump(self) -> Dump:
        places = range(len(self.manifest.counts.get("mirrors", {})))
        mirrors = [mirror_names(place) for place in places]
        confirmations = [CONFIRMATION] if "confirmation" in self.manifest.counts else []
        linked = [*mirrors, *confirmations]
        used = {STUDY, TRIALS, *(name for pair in linked for name in pair)}
        found = {name for name in self.manifest.members if not name.startswith(ARTIFACTS)}
        if found != used:
            other = sorted(found ^ used)[0]
            raise ArchiveError(
                f"{self._file.path}: member {reprlib.repr(other)} is not one of an export's"
            )
        return read_dump(
            self._study(STUDY, TRIALS),
            (self._study(*names) for names in mirrors),
            next((self._study(*names) for names in confirmations), None),
        )

    def _study(self, header: str, trials: str) -> tuple[Value, Iterator[Value]]:
        return self._header(header), self._lines(trials)

    def _header(self, name: str) -> Value:
        return self._json(name, self._file.text(name, self._digest(name)))

    def _lines(self, name: str) -> Iterator[Value]:
        for number, line in enumerate(self._file.lines(name, self._digest(name))):
            yield self._json(f"{name}, line {number + 1}", line)

    def _json(self, where: str, text: str) -> Value:
        with faults(self._file.path):
            return Value(json.loads(text, parse_int=_parse_int), f"{self._file.path}: {where}")

    def _digest(self, name: str) -> str:
        return self.manifest.members[name].sha256
