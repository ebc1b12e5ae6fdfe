"""A request at the door, as bytes in the log, and read back.

At the door a request is a mapping with a `request_id`; what cannot be one is refused with a
sentence before anything is sent. In the log it is JSON, its `request_id` the record's key.
Read back, it is a dict of the handler's own, or `Unreadable` with the reason: a record that
somebody else wrote may be anything.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labs.errors import BadInput
from labs.request_queue.log import Record

MAX_REQUEST_BYTES = 1_000_000
"""A request is not larger than this: brokers refuse records above 1 MiB unless told otherwise."""

LIFECYCLE_FIELDS = (
    "lifecycle_name",
    "driver_files",
    "system_properties",
    "resource_properties",
    "request_properties",
    "associated_topology",
    "deployment_location",
)
"""What a lifecycle request has, besides its `request_id`."""


class RequestRefused(BadInput, ValueError):
    """Raised at the door for what cannot be a request; nothing was queued."""


class RequestTooLarge(RequestRefused):
    """Raised at the door for a request that the log would not take."""


class Unreadable(Exception):
    """Raised for a record that holds no request; `str(error)` is the reason."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a replica took it."""

    request_id: str
    body: dict[str, Any]
    """The whole request, the handler's to change."""
    record: Record


def lifecycle_request(
    lifecycle_name: str,
    *,
    request_id: str | None = None,
    driver_files: str = "",
    system_properties: Mapping[str, Any] | None = None,
    resource_properties: Mapping[str, Any] | None = None,
    request_properties: Mapping[str, Any] | None = None,
    associated_topology: Mapping[str, Any] | None = None,
    deployment_location: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A complete lifecycle request, to be queued; its `request_id` is made up if none is given."""
    return {
        "request_id": str(uuid.uuid4()) if request_id is None else request_id,
        "lifecycle_name": lifecycle_name,
        "driver_files": driver_files,
        "system_properties": dict(system_properties or {}),
        "resource_properties": dict(resource_properties or {}),
        "request_properties": dict(request_properties or {}),
        "associated_topology": dict(associated_topology or {}),
        "deployment_location": dict(deployment_location or {}),
    }


def at_the_door(request: object) -> tuple[bytes, bytes]:
    """The key and the value of the record that a request becomes. The request is not changed.

    Raises:
        RequestRefused: it is none. The sentence says why.
    """
    if request is None:
        raise RequestRefused("Request must not be null.", remedy="Queue a dict with a request_id.")
    if not isinstance(request, Mapping):
        raise RequestRefused(
            f"Request must be a mapping, and this is a {type(request).__name__}.",
            remedy="Queue a dict with a request_id.",
        )
    request_id = request.get("request_id")
    if request_id is None or request_id == "":
        raise RequestRefused(
            "Request must have a request_id.",
            remedy="Give it one, such as str(uuid.uuid4()): requests with the same one are "
            "done in order.",
        )
    if not isinstance(request_id, str):
        raise RequestRefused(
            f"A request_id must be a string, and this is a {type(request_id).__name__}.",
            remedy=f"Queue it as {str(request_id)!r}.",
        )
    try:
        key = request_id.encode()
        value = json.dumps(dict(request), allow_nan=False).encode()
        _must_have_text_keys(request)
    except UnicodeEncodeError:
        raise RequestRefused(
            "The request_id is not text: it holds half a surrogate pair.",
            remedy="Decode what it comes from as UTF-8, strictly.",
        ) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestRefused(
            f"Request must be JSON: {error}.",
            remedy="Keep to dicts with string keys, lists, strings, finite numbers, "
            "booleans and None.",
        ) from None
    if len(key) + len(value) > MAX_REQUEST_BYTES:
        raise RequestTooLarge(
            f"The request has {len(key) + len(value):,} bytes with its key; the log takes "
            f"{MAX_REQUEST_BYTES:,}.",
            remedy="Put what is large elsewhere, and its address into the request.",
        )
    return key, value


def read(record: Record) -> Request:
    """The request that a record holds.

    Raises:
        Unreadable: it holds none.
    """
    if record.value is None:
        raise Unreadable("The record has no value.")
    try:
        body = json.loads(record.value.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Unreadable(f"It is not UTF-8: {error}.") from None
    except RecursionError:
        raise Unreadable("It is nested too deeply to be read.") from None
    except ValueError as error:
        raise Unreadable(f"It is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise Unreadable(f"It is not a mapping, but JSON of the kind {_kind(body)}.")
    request_id = body.get("request_id")
    if not isinstance(request_id, str) or not request_id:
        raise Unreadable("It has no request_id that is a string.")
    return Request(request_id, body, record)


def missing_field(request: Request, required: tuple[str, ...]) -> str | None:
    """The first required field that the request lacks, or has as null."""
    return next((name for name in required if request.body.get(name) is None), None)


def _must_have_text_keys(value: object) -> None:
    """JSON would turn other keys into text, and two of them into one."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not a string")
            _must_have_text_keys(below)
    elif isinstance(value, list | tuple):
        for below in value:
            _must_have_text_keys(below)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    kinds = {list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return kinds[type(value)]
