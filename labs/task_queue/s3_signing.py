"""The signature that S3 wants of each request: AWS Signature Version 4.

Pure: a request and the credentials go in, the headers to add come out. The rule is published,
and its published examples are the test. No secret is in what `repr` shows.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def signed_headers(
    credentials: Credentials,
    region: str,
    now: datetime,
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> dict[str, str]:
    """The headers, and those that prove who asks.

    Args:
        now: in UTC; the server wants it to be right within some minutes.
        path: percent-encoded, as it is sent.
        query: likewise, its parameters in the order of their names.
        headers: by names in lower case, `host` among them.
    """
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    signed = {**headers, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    if credentials.session_token:
        signed["x-amz-security-token"] = credentials.session_token
    names = sorted(signed)
    lines = (f"{name}:{signed[name]}" for name in names)
    request = "\n".join([method, path, query, *lines, "", ";".join(names), digest])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = _key_of_the_day(credentials.secret_access_key, stamp[:8], region)
    signed["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={_hmac(key, text).hex()}"
    )
    return signed


@lru_cache(maxsize=16)
def _key_of_the_day(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
