"""Writing an export: a dump becomes a zip file that is whole, or not there."""

import hashlib
import json
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from optuna.artifacts.exceptions import ArtifactNotFound

from cvfp_opt.disk import check_new, replacing
from cvfp_opt.errors import ArchiveError
from cvfp_opt.store.transfer.archive_reading import Archive
from cvfp_opt.store.transfer.artifacts import CHUNK, Reader
from cvfp_opt.store.transfer.codec import study_json, trial_line
from cvfp_opt.store.transfer.dump import Dump
from cvfp_opt.store.transfer.manifest import (
    CONFIRMATION,
    STUDY,
    TRIALS,
    Manifest,
    Member,
    mirror_names,
)
from cvfp_opt.store.transfer.safe_zip import (
    ARTIFACTS,
    MANIFEST,
    MAX_RATIO,
    MEMORY_PER_BYTE,
    RATIO_FROM,
    memory_of,
)

# Compression level: the highest takes four times as long and saves a tenth.
_LEVEL = 1
_DATE = (1980, 1, 1, 0, 0, 0)


def check_target(path: Path) -> None:
    """Refuse a file that an export can't be written to.

    Raises:
        ArchiveError: it exists, or its folder does not.
    """
    check_new(path, error=ArchiveError, instead="name a new file, or remove that one first")


def write_archive(path: Path, dump: Dump, artifacts: Reader, source: str) -> Manifest:
    """Write an export, read it back, and only then give it its name.

    Args:
        path: of the file.
        dump: the study.
        artifacts: where its artifacts are; those that are not there are noted as missing.
        source: the database that it came from, without a password.

    Raises:
        ArchiveError: see ``check_target``; the disk refuses; or the study holds what could not be
            imported again.
    """
    check_target(path)
    with replacing(path, error=ArchiveError, private=True) as file:
        manifest = _write(file, dump, artifacts, source)
        file.flush()
        # what could not be imported is no export
        with Archive.open(Path(file.name), shown=path):
            pass
    return manifest


def _write(file: BinaryIO, dump: Dump, artifacts: Reader, source: str) -> Manifest:
    members: dict[str, Member] = {}
    missing: list[str] = []
    with zipfile.ZipFile(file, "w") as archive:
        for artifact_id in dump.artifacts():
            name = f"{ARTIFACTS}{artifact_id}"
            try:
                members[name] = _add_artifact(archive, name, artifacts, artifact_id)
            except ArtifactNotFound:
                missing.append(artifact_id)
        dump = dump.without_checkpoints(missing)
        for name, content in _texts(dump):
            members[name] = _add_text(archive, name, content)
        manifest = Manifest.of(dump, source, members)
        _add_text(archive, MANIFEST, json.dumps(manifest.to_json(), indent=1).encode())
    return manifest


def _texts(dump: Dump) -> Iterator[tuple[str, bytes]]:
    for study, header, trials in (
        (dump.study, STUDY, TRIALS),
        *((mirror, *mirror_names(place)) for place, mirror in enumerate(dump.mirrors)),
        *([(dump.confirmation, *CONFIRMATION)] if dump.confirmation else []),
    ):
        yield header, (json.dumps(study_json(study), indent=1) + "\n").encode()
        yield trials, "".join(trial_line(study, trial) for trial in study.trials).encode()


def _add_text(archive: zipfile.ZipFile, name: str, content: bytes) -> Member:
    info = _info(name)
    compressed = len(zlib.compress(content, _LEVEL))
    swells = len(content) > MAX_RATIO / 2 * compressed
    fills = memory_of(content) > MEMORY_PER_BYTE * compressed
    bomb = len(content) > RATIO_FROM and (swells or fills)
    info.compress_type = zipfile.ZIP_STORED if bomb else zipfile.ZIP_DEFLATED
    archive.writestr(info, content, compresslevel=_LEVEL)
    return Member(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def _add_artifact(
    archive: zipfile.ZipFile, name: str, artifacts: Reader, artifact_id: str
) -> Member:
    digest, size = hashlib.sha256(), 0
    with (
        closing(artifacts.open_reader(artifact_id)) as content,
        archive.open(_info(name), "w", force_zip64=True) as member,
    ):
        while chunk := content.read(CHUNK):
            member.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return Member(sha256=digest.hexdigest(), size=size)


def _info(name: str) -> zipfile.ZipInfo:
    """Make a member with a fixed date: the same study gives the same members."""
    info = zipfile.ZipInfo(name, _DATE)
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    return info
