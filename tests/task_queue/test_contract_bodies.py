"""Bodies: JSON, what comes out is what went in; what is no JSON is refused before all else."""

from __future__ import annotations

import decimal
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from labs.task_queue.errors import BadTask
from labs.task_queue.queue import TaskQueue
from labs.task_queue.tasks import DEEPEST


def nested(levels: int) -> Any:
    body: Any = "core"
    for _ in range(levels):
        body = [body]
    return body


def cycle() -> Any:
    body: list[Any] = []
    body.append({"again": body})
    return body


BODIES: list[Any] = [
    *[None, True, False, 0, 1, -1, 10**400, -(10**400), 2**63, 2**64 + 1],
    *[0.0, -0.0, 1.5, 0.1 + 0.2, 1e308, 5e-324, 1.0, 1e22],
    *[
        "",
        "text",
        "null",
        "a\0b",
        "\ud800",
        "\udfff x",
        "\U0001f600",
        "\u2028",
        '"\\/',
        "</script>",
    ],
    *["\x00" * 10, "é" * 1000, "x" * 100_000],
    *[[], {}, [[]], [{}], {"": {}}, {"b": 1, "a": 2}, {"a\0": 1, "\ud800": 2, "é": 3, " ": 4}],
    {"list": [1, "two", None, {"three": [True]}], "text": "t", "n": 4.5},
    *[nested(DEEPEST), {"__class__": "x", "$ref": "#", "%s": "'; DROP TABLE tasks; --"}],
]


def exactly(body: Any) -> str:
    """As text: there 1 is not 1.0, nor 0.0 -0.0, and the order of keys counts."""
    return json.dumps(body)


def test_what_comes_out_is_what_went_in(queue: TaskQueue) -> None:
    queue.put({str(n): body for n, body in enumerate(BODIES)})
    seen = [exactly(body) for _, body in queue.peek(len(BODIES))]
    looked = [exactly(queue.lookup_item(str(n))["item_body"]) for n in range(len(BODIES))]
    got = [exactly(body) for _, body in queue.get(len(BODIES))]
    assert seen == looked == got == [exactly(body) for body in BODIES]


def test_results_are_bodies_too(queue: TaskQueue) -> None:
    queue.put(dict.fromkeys(map(str, range(len(BODIES)))))
    for claim, body in zip(queue.get(len(BODIES)), BODIES, strict=True):
        queue.success(claim, result=body)
    kept = [exactly(queue.lookup_task(str(n)).result) for n in range(len(BODIES))]
    assert kept == [exactly(body) for body in BODIES]


def test_a_tuple_becomes_a_list_on_every_store(queue: TaskQueue) -> None:
    queue.put({"a": {"pair": (1, 2)}})
    assert queue.get() == [("a", {"pair": [1, 2]})]


def test_nobody_changes_a_task_by_changing_what_was_put_or_got(queue: TaskQueue) -> None:
    body = {"list": [1]}
    queue.put({"a": body})
    body["list"].append(2)
    queue.peek()[0][1]["list"].append(3)
    queue.lookup_item("a")["item_body"]["list"].append(4)
    queue.get()[0].body["list"].append(5)
    assert queue.lookup_item("a")["item_body"] == {"list": [1]}


NO_JSON: dict[str, tuple[object, str]] = {
    "NaN": (float("nan"), "not JSON compliant"),
    "infinity, deep": ({"deep": [float("inf")]}, "not JSON compliant"),
    "bytes": (b"bytes", r"b'bytes' \(bytes\) can't be written"),
    "a set": ({1, 2}, r"\(set\) can't be written"),
    "an object": (object(), r"\(object\) can't be written"),
    "a time": (datetime(2026, 1, 1, tzinfo=UTC), r"\(datetime\) can't be written"),
    "a decimal": (decimal.Decimal("1.5"), r"\(Decimal\) can't be written"),
    "a cycle": (cycle(), "Circular reference"),
    "an int key": ({1: "int key"}, "the key 1 is no text"),
    "a None key": ([{"inner": {None: 1}}], "the key None is no text"),
    "a tuple key": ({(1, 2): 3}, "keys must be"),
    "one level too deep": (nested(DEEPEST + 1), "nested more than 200 levels"),
    "far too deep": (nested(100_000), "recursion|nested"),
    "too long a number": (10**5000, "integer string conversion"),
}


def test_what_is_no_json_is_refused_by_name_and_nothing_is_stored(queue: TaskQueue) -> None:
    for body, why in NO_JSON.values():
        with pytest.raises(BadTask, match=rf"^The body of 'bad' is not JSON: .*({why})"):
            queue.put({"good": 1, "bad": body, "fine": 2})
    assert queue.sizes() == {"WAITING": 0, "PROCESSING": 0, "SUCCESS": 0, "FAIL": 0}


def test_a_result_that_is_no_json_is_refused_and_the_task_stays(queue: TaskQueue) -> None:
    queue.put({"a": 1, "b": 2})
    queue.get(2)
    with pytest.raises(BadTask, match=r"^The result of 'a' is not JSON"):
        queue.success("a", result={1: 2})
    assert queue.sizes()["PROCESSING"] == 2


def test_a_put_wants_a_mapping(queue: TaskQueue) -> None:
    for items in None, 5, "a", [("a", 1)], {"a"}:
        with pytest.raises(BadTask, match="mapping"):
            queue.put(items)  # type: ignore[arg-type]
