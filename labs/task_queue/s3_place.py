"""Where an S3 queue is, and as whom one asks: from a path, arguments and the usual variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from labs.errors import BadInput
from labs.task_queue.s3_bucket import Bucket, Credentials, has_usual_credentials

LONGEST_PREFIX = 512
VARIABLES = {
    "endpoint_url": ("FSSPEC_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "access_key_id": ("AWS_ACCESS_KEY_ID",),
    "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "session_token": ("AWS_SESSION_TOKEN",),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, and a prefix in it, which may be empty."""

    bucket: str
    prefix: str

    @classmethod
    def read(cls, base_path: str) -> Self:
        """The place that `s3://bucket/prefix` or `bucket/prefix` names.

        Raises:
            BadInput: it names none.
        """
        bucket, _, prefix = str(base_path).removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/")
        parts = prefix.split("/") if prefix else []
        if (
            not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket)
            or len(prefix) > LONGEST_PREFIX
            or any(not re.fullmatch(r"[\w !'()*.=@+:,~-]+", part, re.ASCII) for part in parts)
            or any(part in (".", "..") for part in parts)
        ):
            raise BadInput(
                f"{base_path!r:.80} is no place in an S3 store.",
                remedy="Give a bucket and a prefix, such as s3://my-bucket/queues/orders.",
            )
        return cls(bucket, prefix)


def bucket_at(place: Place, given: Mapping[str, str | None], *, connections: int) -> Bucket:
    """The bucket; what is not given comes from the environment.

    Raises:
        BadInput: there are no credentials, or the endpoint is no address.
    """
    found = {name: given.get(name) or _variable(name) for name in VARIABLES}
    key, secret = found["access_key_id"], found["secret_access_key"]
    if key and secret:
        credentials = Credentials(key, secret, found["session_token"])
    elif has_usual_credentials():
        credentials = Credentials()
    else:
        raise BadInput(
            "There are no credentials for the S3 store.",
            remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    region = found["region"] or REGION
    endpoint = found["endpoint_url"] or f"https://s3.{region}.amazonaws.com"
    if not re.fullmatch(r"https?://[^/@?#\s]+(/[^@?#\s]*)?", endpoint):
        raise BadInput(
            "The S3 endpoint is no address of a store.",
            remedy="It is http:// or https://, a host and perhaps a port, without credentials.",
        )
    return Bucket(
        endpoint,
        place.bucket,
        credentials,
        region=region,
        connections=connections,
    )


def _variable(name: str) -> str | None:
    return next((value for one in VARIABLES[name] if (value := os.environ.get(one))), None)
