"""Artifacts as objects of an S3-compatible bucket, through Optuna's Boto3ArtifactStore."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from optuna.artifacts import Boto3ArtifactStore

from cvfp_opt.errors import StorageError
from cvfp_opt.redaction import redacted
from cvfp_opt.store.files.artifact_names import checked_id

SCHEME = "s3://"
_BUCKET = re.compile(r"[\w.:\-]+", re.ASCII)  # or an access point's ARN

# Timeouts in seconds; boto3's own are 60 s, five times over: too long for training to stand still.
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_ATTEMPTS = 3


class S3Store:
    """An ArtifactStore in a bucket: objects ``PREFIX/ID``, each replaced as a whole.

    Args:
        url: ``s3://BUCKET`` or ``s3://BUCKET/PREFIX``.
        client: boto3's, for S3; None for one of boto3's own settings (environment, ``~/.aws``).

    Raises:
        StorageError: not such a URL, no boto3, or the bucket cannot be reached.
    """

    def __init__(self, url: str, client: Any = None) -> None:
        bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
        if not url.startswith(SCHEME) or not _BUCKET.fullmatch(bucket):
            raise StorageError(
                f"--artifacts: {SCHEME}BUCKET/PREFIX is required, the bucket's name of letters, "
                f"digits, dots, colons and dashes, got {redacted(url, word=True)!r}"
            )
        self._url = url
        self._prefix = prefix.strip("/")
        with self._told("cannot be reached"):
            client = client or _new_client(url)
            client.head_bucket(Bucket=bucket)
        # a copy in memory first would be one more of some hundred megabytes
        self._store = Boto3ArtifactStore(bucket, client, avoid_buf_copy=True)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        with self._told("cannot be read"):
            body = self._store.open_reader(self._key(artifact_id))
        return cast(BinaryIO, io.BufferedReader(_Body(self, body), 1 << 20))

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        with self._told("cannot be written to"):
            self._store.write(self._key(artifact_id), content_body)

    def remove(self, artifact_id: str) -> None:
        with self._told("cannot be written to"):
            self._store.remove(self._key(artifact_id))

    def _key(self, artifact_id: str) -> str:
        name = checked_id(artifact_id)
        return f"{self._prefix}/{name}" if self._prefix else name

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Raise boto3's errors as one line of ours."""
        try:
            from boto3.exceptions import Boto3Error
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise StorageError(
                f"--artifacts {self._url}: the package boto3 is required; "
                "type `pip install 'cvfp-opt[s3]'`"
            ) from None
        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError, OSError, ValueError) as error:
            raise StorageError(
                f"--artifacts {self._url}: {what}: {redacted(' '.join(str(error).split()))}; "
                "AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say where it is "
                "and who asks"
            ) from None


class _Body(io.RawIOBase):
    """An object being read."""

    def __init__(self, store: S3Store, body: Any) -> None:
        self._store = store
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._store._told("cannot be read"):
            content = self._body.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._body.close()
        super().close()


def _new_client(url: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
    )
    return boto3.client("s3", config=config)
