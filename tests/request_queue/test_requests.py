"""A request at the door, in the log, and read back; what a response looks like."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labs.errors import BadInput, LabError
from labs.request_queue import (
    FAILURE_CODE_INTERNAL_ERROR,
    STATUS_FAILED,
    FailureDetails,
    LifecycleExecution,
    LifecycleRequestQueueService,
    MemoryLog,
    lifecycle_request,
)
from labs.request_queue.log import Partition, Record
from labs.request_queue.requests import (
    LIFECYCLE_FIELDS,
    RequestTooLarge,
    Unreadable,
    at_the_door,
    read,
)
from tests.request_queue.replica import TOPIC, records

LOOP: dict[str, Any] = {"request_id": "a"}
LOOP["itself"] = LOOP


def record(value: bytes | None) -> Record:
    return Record(Partition("t", 0), 0, None, value, {}, 0)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (None, "Request must not be null"),
        ([], "must be a mapping, and this is a list"),
        ("start", "must be a mapping, and this is a str"),
        ({}, "Request must have a request_id"),
        ({"request_id": None}, "Request must have a request_id"),
        ({"request_id": ""}, "Request must have a request_id"),
        ({"request_id": 7}, "must be a string, and this is a int"),
        ({"request_id": ["a"]}, "must be a string, and this is a list"),
        ({"request_id": "\ud800"}, "half a surrogate pair"),
        ({"request_id": "a", "when": object()}, "must be JSON"),
        ({"request_id": "a", "load": float("nan")}, "must be JSON"),
        ({"request_id": "a", ("b",): 1}, "must be JSON"),
        ({"request_id": "a", "ports": [{80: "http"}]}, "the key 80 is not a string"),
        (LOOP, "must be JSON"),
    ],
)
def test_what_cannot_be_a_request_is_refused_at_the_door_with_a_sentence(
    request_: Any, sentence: str
) -> None:
    log = MemoryLog()
    with pytest.raises(ValueError, match=sentence) as refused:
        LifecycleRequestQueueService(log).queue_lifecycle_request(request_)
    assert isinstance(refused.value, BadInput)
    assert refused.value.remedy
    assert records(log, TOPIC) == [], "nothing was queued"


@pytest.mark.parametrize(
    "request_", [{"request_id": "a", "files": "x" * 1_000_000}, {"request_id": "x" * 600_000}]
)
def test_a_request_that_the_log_would_refuse_for_its_size_is_refused_at_the_door(
    request_: dict[str, str],
) -> None:
    with pytest.raises(RequestTooLarge, match="bytes"):
        at_the_door(request_)


def test_a_queued_request_stands_in_the_log_with_its_id_as_key_and_unchanged() -> None:
    log = MemoryLog()
    request = lifecycle_request("Start", request_id="ü-7", request_properties={"size": [1, None]})
    before = json.dumps(request)
    place = LifecycleRequestQueueService(log).queue_lifecycle_request(request)
    (stands,) = records(log, TOPIC)
    assert (stands.partition, stands.offset) == (place.partition, place.offset)
    assert stands.key == "ü-7".encode()
    assert read(stands).body == request
    assert json.dumps(request) == before, "the caller's own is not changed"


def test_requests_of_one_id_stand_in_one_partition_in_order_and_others_spread() -> None:
    log = MemoryLog()
    service = LifecycleRequestQueueService(log)
    places = [service.queue_lifecycle_request({"request_id": "a", "n": n}) for n in range(5)]
    assert len({place.partition for place in places}) == 1
    assert [place.offset for place in places] == [0, 1, 2, 3, 4]
    others = {
        service.queue_lifecycle_request({"request_id": f"other {n}"}).partition for n in range(50)
    }
    assert len(others) > 10


def test_a_lifecycle_request_has_all_fields_and_an_id_of_its_own() -> None:
    one, other = lifecycle_request("Start"), lifecycle_request("Start")
    assert set(one) == {"request_id", *LIFECYCLE_FIELDS}
    assert one["request_id"] != other["request_id"]
    assert None not in one.values()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no value"),
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[]", "list"),
        (b"null", "null"),
        (b"5", "number"),
        (b"true", "boolean"),
        (b'"text"', "string"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5_000, "not JSON"),
        (b"{}", "no request_id"),
        (b'{"request_id": null}', "no request_id"),
        (b'{"request_id": 5}', "no request_id"),
        (b'{"request_id": ""}', "no request_id"),
    ],
)
def test_a_record_that_holds_no_request_is_unreadable_for_a_reason(
    value: bytes | None, reason: str
) -> None:
    with pytest.raises(Unreadable, match=reason):
        read(record(value))


def test_a_response_speaks_the_known_language() -> None:
    details = FailureDetails(FAILURE_CODE_INTERNAL_ERROR, "it broke")
    response = LifecycleExecution("a", STATUS_FAILED, details, {})
    assert json.loads(response.to_bytes()) == {
        "requestId": "a",
        "status": "FAILED",
        "failureDetails": {"failureCode": "INTERNAL_ERROR", "description": "it broke"},
        "outputs": {},
        "associatedTopology": {},
    }


def test_a_response_that_is_not_json_is_refused_with_a_sentence() -> None:
    service = LifecycleRequestQueueService(MemoryLog())
    service.make_topics()
    with pytest.raises(LabError, match="not JSON"):
        service.messaging.send_lifecycle_execution(
            LifecycleExecution("a", "COMPLETE", outputs={"when": object()})
        )
