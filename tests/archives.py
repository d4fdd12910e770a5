"""Export files taken apart and put together again, as an attacker or a bad disk might."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from dumps import confirmed, own_study, own_trial
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import TrialState

from cvfp_opt.store.transfer.archive_writing import write_archive
from cvfp_opt.store.transfer.dump import Dump

ARTIFACT, CHECKPOINT = "0f-curves", "1f-1"


class Artifacts(dict[str, bytes]):
    """Artifacts in memory, as Optuna's stores offer them."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        if artifact_id not in self:
            raise ArtifactNotFound(artifact_id)
        return io.BytesIO(self[artifact_id])


def account(artifact_id: str) -> dict[str, str]:
    """The system attribute by which Optuna remembers an artifact."""
    meta = {
        "artifact_id": artifact_id,
        "filename": "x.bin",
        "mimetype": "application/octet-stream",
        "encoding": None,
    }
    return {f"artifacts:{artifact_id}": json.dumps(meta)}


def with_artifacts() -> tuple[Dump, Artifacts]:
    """A study of ours: a trial that ended with an artifact, one that waits with a checkpoint."""
    dump = own_study(
        own_trial(0, system_attrs=account(ARTIFACT)),
        own_trial(1, state=TrialState.WAITING, system_attrs=account(CHECKPOINT)),
        own_trial(2, state=TrialState.FAIL, user_attrs={"reason": "<script>"}),
    )
    return dump, Artifacts({ARTIFACT: b"curves" * 100, CHECKPOINT: b"\0\1" * 100})


def export(path: Path = Path("s.cvfp.zip")) -> Path:
    """A good export of ``with_artifacts``."""
    write_archive(path, *with_artifacts(), "sqlite:///x.db")
    return path


def export_confirmed(path: Path = Path("s.cvfp.zip")) -> Path:
    """A good export of the same study with a confirmation."""
    dump, artifacts = with_artifacts()
    write_archive(path, confirmed(dump), artifacts, "sqlite:///x.db")
    return path


def take_apart(path: Path) -> dict[str, bytes]:
    """The members of a zip file."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def put_together(path: Path, members: dict[str, bytes]) -> Path:
    """A zip file whose manifest agrees with its members, as far as it is one."""
    content = dict(members)
    manifest: Any = json.loads(content.pop("manifest.json"))
    manifest["members"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in content.items()
    }
    return write_zip(path, content | {"manifest.json": json.dumps(manifest).encode()})


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """A zip file, compressed as an export is."""
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            stored = name.startswith("artifacts/")
            kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            file.writestr(zipfile.ZipInfo(name), data, kind)
    return path
