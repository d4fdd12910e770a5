"""Stores of artifacts for tests: a bucket that lives in memory."""

import io
from typing import Any, BinaryIO

from botocore.exceptions import ClientError, EndpointConnectionError


class Bucket:
    """Boto3's client for S3, as far as it is used, with one bucket ``b``.

    Attributes:
        objects: content by key.
        unreachable: as if the network was gone.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.unreachable = False

    def _check(self, bucket: str) -> None:
        if self.unreachable:
            raise EndpointConnectionError(endpoint_url="http://store.example")
        if bucket != "b":
            raise ClientError(
                {"Error": {"Code": "404", "Message": "Not Found"}}, operation_name="HeadBucket"
            )

    def head_bucket(self, Bucket: str) -> dict[str, Any]:
        self._check(Bucket)
        return {}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        self._check(Bucket)
        if Key not in self.objects:
            raise ClientError(
                {"Error": {"Code": "NoSuchKey", "Message": "no"}}, operation_name="GetObject"
            )
        return {"Body": io.BytesIO(self.objects[Key])}

    def upload_fileobj(self, file: BinaryIO, bucket: str, key: str) -> None:
        content = b"".join(iter(lambda: file.read(1 << 20), b""))
        self._check(bucket)
        self.objects[key] = content

    def delete_object(self, Bucket: str, Key: str) -> None:
        self._check(Bucket)
        self.objects.pop(Key, None)
