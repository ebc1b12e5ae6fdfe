"""A bucket of an S3 store: the few requests that the queue needs, each one round trip.

Conditional writes are what all rests on: `create` (If-None-Match: *) and `replace` (If-Match)
say whether they have won. A request whose answer was lost is sent again; was it a conditional
one, and has it perhaps won already, then the object is read: each body is written only once.

urllib3 carries the requests, and we sign them. boto3 takes 2.5 to 4 ms of a processor for each,
this 0.5, and there are ten to a task; obstore is as quick, but can't list less than 1,000 keys
(30 ms, where the head of a prefix takes 2) and can't delete on a condition.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
import xml.etree.ElementTree as Xml
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape

import urllib3

from labs.task_queue.errors import StoreUnreachable
from labs.task_queue.s3_signing import Credentials, signed_headers

TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)
PAUSES_S = (0.1, 0.4, 1.0)
"""Before each further try of a request that got no answer."""
LIST_AT_MOST = 1000
DELETE_AT_MOST = 1000
BUSY = frozenset({500, 502, 503, 504})
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
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


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing."""

    key: str
    modified: datetime


class _NoAnswer(Exception):
    """Raised when the store does not answer, or says that it can't now."""


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
        self.endpoint, self.name, self.region = endpoint.rstrip("/"), bucket, region
        split = urlsplit(self.endpoint)
        self._host, self._base = split.netloc, f"{split.path}/{quote(bucket)}"
        self._credentials = credentials
        self._pool = urllib3.PoolManager(maxsize=connections, retries=False, timeout=TIMEOUT)
        self._counting = threading.Lock()
        self.requests = 0
        """How many were made so far."""

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    # --- Objects ------------------------------------------------------------------------------

    def read(self, key: str) -> tuple[bytes, str] | None:
        """An object and its ETag; None: there is none."""
        answer = self._ask("GET", key)
        if answer.status == 404 and _code(answer) != "NoSuchBucket":
            return None
        self._check(answer)
        return answer.data, answer.headers["etag"]

    def write(self, key: str, body: bytes = b"") -> None:
        """Write an object, whatever was there."""
        self._check(self._ask("PUT", key, body=body))

    def create(self, key: str, body: bytes) -> str | None:
        """Write an object that must not be there; its ETag, or None: there is one."""
        return self._write_if(key, body, {"if-none-match": "*"})

    def replace(self, key: str, body: bytes, etag: str) -> str | None:
        """Write an object in place of that with the ETag; its own, or None: it is another."""
        return self._write_if(key, body, {"if-match": etag})

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, whether they are there or not."""
        for first in range(0, len(keys), DELETE_AT_MOST):
            batch = keys[first : first + DELETE_AT_MOST]
            if len(batch) == 1:
                answer = self._ask("DELETE", batch[0])
                if answer.status != 404:
                    self._check(answer)
                continue
            listed = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in batch)
            body = f"<Delete><Quiet>true</Quiet>{listed}</Delete>".encode()
            headers = {"content-type": "application/xml"}
            answer = self._ask("POST", "", query="delete=", headers=headers, body=body)
            self._check(answer)
            if b"<Error>" in answer.data:
                raise self._refused(answer)

    def delete_if(self, key: str, etag: str) -> bool:
        """Delete the object with this ETag; whether it is gone, by this or before."""
        answer = self._ask("DELETE", key, headers={"if-match": etag})
        if answer.status in (409, 412, 501):
            return False
        if answer.status != 404:
            self._check(answer)
        return True

    def list(self, prefix: str, *, after: str = "", limit: int = LIST_AT_MOST) -> list[Entry]:
        """The first objects under a prefix, those after the key `after`, in the order of keys."""
        query = {"list-type": "2", "max-keys": str(limit), "prefix": prefix}
        if after:
            query["start-after"] = after
        text = "&".join(f"{name}={quote(query[name], safe='')}" for name in sorted(query))
        answer = self._ask("GET", "", query=text)
        self._check(answer)
        found = Xml.fromstring(answer.data)  # noqa: S314 - the store that we trust with all tasks
        space = NAMESPACE if found.tag.startswith(NAMESPACE) else ""
        return [
            Entry(
                line.findtext(f"{space}Key", ""),
                datetime.fromisoformat(line.findtext(f"{space}LastModified", "")),
            )
            for line in found.iterfind(f"{space}Contents")
        ]

    def list_all(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """All objects under a prefix, a request for each thousand."""
        while entries := self.list(prefix, after=after):
            yield from entries
            if len(entries) < LIST_AT_MOST:
                return
            after = entries[-1].key

    # --- Requests -----------------------------------------------------------------------------

    def _write_if(self, key: str, body: bytes, condition: Mapping[str, str]) -> str | None:
        for attempt, pause_s in enumerate((*PAUSES_S, None)):
            try:
                answer = self._send("PUT", key, headers=condition, body=body)
            except _NoAnswer as why:
                if pause_s is None:
                    raise self._unreachable(why) from None
                time.sleep(pause_s)
                continue
            if answer.status in (404, 409, 412) and _code(answer) != "NoSuchBucket":
                # An earlier try may have won, and only its answer been lost.
                if attempt and (there := self.read(key)) and there[0] == body:
                    return there[1]
                if answer.status == 409 and pause_s is not None:  # others write at this moment
                    time.sleep(pause_s)
                    continue
                return None
            self._check(answer)
            return str(answer.headers["etag"])
        raise AssertionError("unreachable: the last try returns or raises")

    def _ask(
        self,
        method: str,
        key: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> urllib3.BaseHTTPResponse:
        """Send a request that may be made twice."""
        for pause_s in (*PAUSES_S, None):
            try:
                return self._send(method, key, query=query, headers=headers or {}, body=body)
            except _NoAnswer as why:
                if pause_s is None:
                    raise self._unreachable(why) from None
                time.sleep(pause_s)
        raise AssertionError("unreachable: the last try returns or raises")

    def _send(
        self, method: str, key: str, *, headers: Mapping[str, str], body: bytes, query: str = ""
    ) -> urllib3.BaseHTTPResponse:
        path = f"{self._base}/{quote(key, safe='/-_.~')}" if key else self._base
        signed = self._signed(method, path, query, headers, body)
        url = f"{self.endpoint}{path.removeprefix(urlsplit(self.endpoint).path)}"
        with self._counting:
            self.requests += 1
        try:
            answer = self._pool.request(
                method, f"{url}?{query}" if query else url, headers=signed, body=body
            )
        except urllib3.exceptions.HTTPError as error:
            raise _NoAnswer(_words(error)) from None
        if answer.status in BUSY:
            raise _NoAnswer(f"it answers {answer.status} {_code(answer)}".rstrip(), NO_ROOM)
        return answer

    def _signed(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        all_headers = {"host": self._host, **headers}
        if body:
            # Else SeaweedFS keeps an empty object when we die between the headers and the body.
            md5 = hashlib.md5(body, usedforsecurity=False).digest()
            all_headers["content-md5"] = base64.b64encode(md5).decode()
        return signed_headers(
            self._credentials,
            self.region,
            datetime.now(UTC),
            method=method,
            path=path,
            query=query,
            headers=all_headers,
            body=body,
        )

    def _check(self, answer: urllib3.BaseHTTPResponse) -> None:
        if answer.status >= 300:
            raise self._refused(answer)

    def _refused(self, answer: urllib3.BaseHTTPResponse) -> StoreUnreachable:
        code = _code(answer)
        return StoreUnreachable(
            f"The S3 store at {self.endpoint} refuses the bucket {self.name}: "
            f"{answer.status} {code}".rstrip()
            + ".",
            remedy=REMEDIES.get(code, "Look at the store's own log."),
        )

    def _unreachable(self, why: _NoAnswer) -> StoreUnreachable:
        what, *remedy = why.args
        return StoreUnreachable(
            f"The S3 store at {self.endpoint} does not answer: {what}.",
            remedy=remedy[0]
            if remedy
            else "Is it running, and the endpoint's address right? Nothing is lost; try again.",
        )


def _code(answer: urllib3.BaseHTTPResponse) -> str:
    """The word in which S3 says what is wrong; empty if it says none."""
    _, found, rest = answer.data.partition(b"<Code>")
    return rest.partition(b"</Code>")[0].decode(errors="replace") if found else ""


def _words(error: urllib3.exceptions.HTTPError) -> str:
    """What happened to a connection, without the addresses of objects in our memory."""
    match error:
        case urllib3.exceptions.NameResolutionError():
            return "its name is not known"
        case urllib3.exceptions.NewConnectionError() | urllib3.exceptions.ConnectTimeoutError():
            return "nobody listens there"
        case urllib3.exceptions.SSLError():
            return "its certificate is not trusted, or it speaks no TLS"
        case urllib3.exceptions.ReadTimeoutError():
            return f"it was silent for {TIMEOUT.read_timeout} s"
    return f"the connection broke ({type(error).__name__})"
