"""The known REST paths answer as known clients expect, code by code and body by body."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from labs.task_queue.memory import MemoryQueue, MemoryTasks

PREFIX = "/api/v1/queue"


@pytest.fixture
def http(memory_server: tuple[str, MemoryQueue]) -> Iterator[httpx.Client]:
    """A client of a server whose queue holds `a` and `e/f`."""
    url, queue = memory_server
    queue.tasks = MemoryTasks()
    queue.put({"a": {"n": 1}, "e/f": 2})
    with httpx.Client(base_url=url + PREFIX, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/size/WAITING", 200, 2),
        ("/size/waiting", 400, {"detail": "waiting not a Queue Item Stage"}),
        ("/size/X", 400, {"detail": "X not a Queue Item Stage"}),
        ("/sizes", 200, {"WAITING": 2, "PROCESSING": 0, "SUCCESS": 0, "FAIL": 0}),
        ("/status/a", 200, 0),
        ("/status/x", 400, {"detail": "x not in Queue"}),
        ("/lookup_state/WAITING", 200, ["a", "e/f"]),
        ("/lookup_state/FAIL", 200, []),
        ("/lookup_state/X", 400, {"detail": "X not a Queue Item Stage"}),
        ("/lookup_item/a", 200, {"item_id": "a", "status": 0, "item_body": {"n": 1}}),
        ("/lookup_item/x", 400, {"detail": "x not in Queue"}),
        ("/describe", 200, {"implementation": "InMemoryQueue", "arguments": {}}),
        ("/get/1", 200, [["a", {"n": 1}]]),
    ],
)
def test_what_is_looked_at_is_answered_as_known(
    http: httpx.Client, path: str, status: int, body: object
) -> None:
    answer = http.get(path)

    assert (answer.status_code, answer.json()) == (status, body)


@pytest.mark.parametrize("n", ["0", "-1", "x", "1001"])
def test_get_of_no_number_that_can_be_meant_is_422_and_moves_nothing(
    http: httpx.Client, n: str
) -> None:
    assert http.get(f"/get/{n}").status_code == 422
    assert http.get("/size/WAITING").json() == 2


def test_get_moves_tasks_is_empty_in_the_end_and_says_that_it_is_deprecated(
    http: httpx.Client,
) -> None:
    answer = http.get("/get/5")

    assert answer.json() == [["a", {"n": 1}], ["e/f", 2]]
    assert answer.headers["deprecation"].startswith("@")
    assert answer.headers["link"] == '</api/v1/queue/claim>; rel="successor-version"'
    assert answer.headers["cache-control"] == "no-store"
    assert http.get("/get/5").json() == []
    assert http.head("/get/1").status_code == 405


def test_a_put_answers_null_or_what_it_skipped(http: httpx.Client) -> None:
    assert (answer := http.post("/put", json={"b": 1})).status_code == 200
    assert answer.json() is None

    answer = http.post("/put", json={"a": "other", "c": 1})

    assert answer.status_code == 200
    assert answer.json() == {"detail": ["Item 'a' already in queue. Skipping."]}
    assert http.get("/lookup_item/a").json()["item_body"] == {"n": 1}
    assert http.get("/size/WAITING").json() == 4


@pytest.mark.parametrize("body", ['"text"', "[]", "1", "{", '{"b": NaN}', '{"b": 1e999}', ""])
def test_a_put_of_anything_but_json_objects_is_422_and_stores_nothing(
    http: httpx.Client, body: str
) -> None:
    answer = http.post("/put", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["kind"] == "BadTask"
    assert http.get("/size/WAITING").json() == 2


def test_requeue_takes_a_list_or_a_text_and_names_what_it_skips(http: httpx.Client) -> None:
    http.get("/get/2")
    http.post("/fail", json={"id": "a"})

    assert http.post("/requeue", json=5).status_code == 422
    answer = http.post("/requeue", json=["a", "e/f", "x"])

    assert answer.json() == {
        "detail": [
            "Item 'e/f' not in a FAIL state. Skipping.",
            "Item 'x' not in a FAIL state. Skipping.",
        ]
    }
    assert http.get("/status/a").json() == 0
    assert http.post("/requeue", json="a").status_code == 200


@pytest.mark.parametrize("path", ["/sizes", "/size/WAITING", "/status/a", "/health", "/metrics"])
def test_what_can_be_read_can_be_asked_for_by_head_too(http: httpx.Client, path: str) -> None:
    answer = http.head(path)

    assert (answer.status_code, answer.content) == (200, b"")
    assert http.post(path).headers["allow"] == "GET, HEAD"
