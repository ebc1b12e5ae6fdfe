"""A bucket of an S3 store: the few requests that the queue needs, each one round trip.

Conditional writes are what all rests on: `create` (If-None-Match: *) and `replace` (If-Match)
say whether they have won. boto3 sends a request again whose answer was lost; was it a conditional
one, and has it perhaps won already, then the object is read: each body is written only once.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)

from labs.task_queue.errors import StoreUnreachable
from labs.task_queue.forks import OfProcess

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 30.0
TRIES = 4
"""Of a request that got no answer, with pauses that grow (boto3's standard retries)."""
PAUSES_S = (0.1, 0.4, 1.0)
"""While others write the same object at the same moment (409)."""
LIST_AT_MOST = 1000
DELETE_AT_MOST = 1000
GONE = ("NoSuchKey", "404")
REMEDIES = {
    "NoSuchBucket": "Make the bucket, or mend its name in the base path.",
    "InvalidBucketName": "Mend the bucket's name in the base path.",
    "InvalidAccessKeyId": "Mend AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    "SignatureDoesNotMatch": "Mend AWS_SECRET_ACCESS_KEY.",
    "AccessDenied": "The credentials must allow to list, read, write and delete in the bucket.",
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "PermanentRedirect": "Set AWS_REGION to the region in which the bucket is.",
    "AuthorizationHeaderMalformed": "Set AWS_REGION to the region in which the bucket is.",
}
NO_ROOM = "Is its disk full? What was stored before is safe; make room and try again."
MAKING = OfProcess(threading.Lock)
"""A session must not make two clients at the same moment."""
AWAY = "Is it running, and the endpoint's address right? Nothing is lost; try again."


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks; without a key, as boto3 finds it: a shared file, a role of this machine."""

    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing."""

    key: str
    modified: datetime


class Bucket:
    """One bucket, for any number of threads."""

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        credentials: Credentials,
        *,
        region: str = "us-east-1",
        connections: int = 16,
    ) -> None:
        self.endpoint, self.name = endpoint.rstrip("/"), bucket
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=connections,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            # Not every store knows the newer checksums; the signature covers the body.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
        )

        def client() -> Any:
            with MAKING():
                made = _session().client(
                    "s3",
                    endpoint_url=self.endpoint,
                    region_name=region,
                    aws_access_key_id=credentials.access_key_id,
                    aws_secret_access_key=credentials.secret_access_key,
                    aws_session_token=credentials.session_token,
                    config=config,
                )
            made.meta.events.register("before-send.s3", self._count)
            return made

        self._counting = OfProcess(threading.Lock)
        self.requests = 0
        """How many were made so far."""
        self._s3 = OfProcess(client)
        self._s3()

    def close(self) -> None:
        """Close the connections."""
        if made := self._s3.made():
            made.close()

    # --- Objects ------------------------------------------------------------------------------

    def read(self, key: str) -> tuple[bytes, str] | None:
        """An object and its ETag; None: there is none."""
        try:
            answer = self._s3().get_object(Bucket=self.name, Key=key)
            return answer["Body"].read(), answer["ETag"]
        except ClientError as error:
            if _code(error) in GONE:
                return None
            raise self._refused(error) from None
        except BotoCoreError as error:
            raise self._unreachable(error) from None

    def write(self, key: str, body: bytes = b"") -> None:
        """Write an object, whatever was there."""
        self._ask("put_object", Key=key, **_content(body))

    def create(self, key: str, body: bytes) -> str | None:
        """Write an object that must not be there; its ETag, or None: there is one."""
        return self._write_if(key, body, IfNoneMatch="*")

    def replace(self, key: str, body: bytes, etag: str) -> str | None:
        """Write an object in place of that with the ETag; its own, or None: it is another."""
        return self._write_if(key, body, IfMatch=etag)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, whether they are there or not."""
        if len(keys) == 1:
            self._delete(keys[0])
            return
        for first in range(0, len(keys), DELETE_AT_MOST):
            batch = [{"Key": key} for key in keys[first : first + DELETE_AT_MOST]]
            answer = self._ask("delete_objects", Delete={"Objects": batch, "Quiet": True})
            for error in answer.get("Errors", ()):
                raise self._refusal(str(error.get("Code", "")))

    def delete_if(self, key: str, etag: str) -> bool:
        """Delete the object with this ETag; whether it is gone, by this or before."""
        return self._delete(key, IfMatch=etag)

    def list(self, prefix: str, *, after: str = "", limit: int = LIST_AT_MOST) -> list[Entry]:
        """The first objects under a prefix, those after the key `after`, in the order of keys."""
        start = {"StartAfter": after} if after else {}
        found = self._ask("list_objects_v2", Prefix=prefix, MaxKeys=limit, **start)
        return [Entry(line["Key"], line["LastModified"]) for line in found.get("Contents", ())]

    def list_all(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """All objects under a prefix, a request for each thousand."""
        while entries := self.list(prefix, after=after):
            yield from entries
            if len(entries) < LIST_AT_MOST:
                return
            after = entries[-1].key

    # --- Requests -----------------------------------------------------------------------------

    def _write_if(self, key: str, body: bytes, **condition: Any) -> str | None:
        for pause_s in (*PAUSES_S, None):
            try:
                answer = self._s3().put_object(
                    Bucket=self.name, Key=key, **_content(body), **condition
                )
                return str(answer["ETag"])
            except ClientError as error:
                if _status(error) not in (404, 409, 412) or _code(error) == "NoSuchBucket":
                    raise self._refused(error) from None
                # An earlier try may have won, and only its answer been lost.
                if _tried_again(error) and (there := self.read(key)) and there[0] == body:
                    return there[1]
                if _status(error) != 409 or pause_s is None:
                    return None
                time.sleep(pause_s)
            except BotoCoreError as error:
                raise self._unreachable(error) from None
        raise AssertionError("unreachable: the last try returns or raises")

    def _delete(self, key: str, **condition: Any) -> bool:
        try:
            self._s3().delete_object(Bucket=self.name, Key=key, **condition)
        except ClientError as error:
            if condition and _status(error) in (409, 412, 501):
                return False
            if _code(error) not in GONE:
                raise self._refused(error) from None
        except BotoCoreError as error:
            raise self._unreachable(error) from None
        return True

    def _ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Make a request that may be made twice."""
        try:
            answer: dict[str, Any] = getattr(self._s3(), operation)(Bucket=self.name, **parameters)
        except ClientError as error:
            raise self._refused(error) from None
        except BotoCoreError as error:
            raise self._unreachable(error) from None
        return answer

    def _count(self, **_: object) -> None:
        """Called by boto3 before each request, tries again included."""
        with self._counting():
            self.requests += 1

    def _refused(self, error: ClientError) -> StoreUnreachable:
        code, status = _code(error), _status(error)
        if status >= 500:
            return self._silent(f"it answers {status} {code}".rstrip(), NO_ROOM)
        return self._refusal(f"{status} {code}" if code != str(status) else code, code)

    def _refusal(self, what: str, code: str = "") -> StoreUnreachable:
        return StoreUnreachable(
            f"The S3 store at {self.endpoint} refuses the bucket {self.name}: {what}.",
            remedy=REMEDIES.get(code or what, "Look at the store's own log."),
        )

    def _unreachable(self, error: BotoCoreError) -> StoreUnreachable:
        return self._silent(_words(error), AWAY)

    def _silent(self, what: str, remedy: str) -> StoreUnreachable:
        return StoreUnreachable(
            f"The S3 store at {self.endpoint} does not answer: {what}.", remedy=remedy
        )


@cache
def _session() -> boto3.session.Session:
    """One for all: it reads S3's long description once, which takes 0.2 s."""
    return boto3.session.Session()


def has_usual_credentials() -> bool:
    """Whether boto3 finds credentials by itself."""
    return _session().get_credentials() is not None


def _content(body: bytes) -> dict[str, Any]:
    """An object's body, with its digest: without one, SeaweedFS keeps an empty object when we
    die between the headers and the body."""
    if not body:
        return {"Body": body}
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return {"Body": body, "ContentMD5": base64.b64encode(digest).decode()}


def _code(error: ClientError) -> str:
    """The word in which S3 says what is wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _tried_again(error: ClientError) -> bool:
    return int(error.response["ResponseMetadata"].get("RetryAttempts", 0)) > 0


def _words(error: BotoCoreError) -> str:
    """What happened, without addresses of objects or of keys."""
    match error:
        case SSLError():
            return "its certificate is not trusted, or it speaks no TLS"
        case EndpointConnectionError() | ConnectTimeoutError():
            return "nobody listens there"
        case ReadTimeoutError():
            return f"it was silent for {READ_TIMEOUT_S:g} s"
    return f"the connection broke ({type(error).__name__})"
