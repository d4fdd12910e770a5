"""Stores of artifacts: a folder, and a bucket."""

from pathlib import Path

import pytest
from artifact_stores import Bucket

from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.store.files.s3 import S3Store


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, bucket: Bucket) -> ArtifactStore:
    """One of each kind."""
    if request.param == "s3":
        return S3Store("s3://b/some/prefix/", client=bucket)
    return FolderStore(tmp_path / "artifacts")
