"""What the REST API can do beyond the known paths: claims, settling, ids of all kinds, pages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from labs.task_queue.api import create_app
from labs.task_queue.api_server import serving
from labs.task_queue.memory import MemoryQueue, MemoryTasks
from tests.support import wait_until

PREFIX = "/api/v1/queue"


@pytest.fixture
def http(memory_server: tuple[str, MemoryQueue]) -> Iterator[httpx.Client]:
    """A client of a server whose queue is empty."""
    url, queue = memory_server
    queue.tasks = MemoryTasks()
    with httpx.Client(base_url=url + PREFIX, trust_env=False, timeout=30) as client:
        yield client


def claimed(http: httpx.Client, **wanted: object) -> dict[str, object]:
    (claim,) = http.post("/claim", json=wanted).json()
    assert isinstance(claim, dict)
    return claim


def test_a_claim_says_how_it_is_held_and_its_owner_alone_settles_it(http: httpx.Client) -> None:
    http.post("/put", json={"a": 1})
    claim = claimed(http, lease_s=60)
    assert {"id", "body", "owner", "attempt", "move", "lease_ends"} == set(claim)

    stranger = http.post("/success", json={"id": "a"})
    assert (stranger.status_code, stranger.json()["kind"]) == (409, "ClaimLost")
    assert stranger.json()["remedy"]

    done = http.post("/success", json={"id": "a", "owner": claim["owner"], "move": claim["move"]})
    assert (done.status_code, done.json()) == (200, None)
    assert http.get("/size/SUCCESS").json() == 1


def test_a_claim_that_was_lost_is_refused_though_its_owner_has_claimed_again(
    http: httpx.Client,
) -> None:
    http.post("/put", json={"a": 1})
    first = claimed(http, owner="w")
    http.post("/release", json={"tasks": {"a": {"owner": "w"}}})
    again = claimed(http, owner="w")

    stale = http.post("/success", json={"id": "a", "owner": "w", "move": first["move"]})
    assert (stale.status_code, stale.json()["kind"]) == (409, "ClaimLost")
    fresh = http.post("/success", json={"id": "a", "owner": "w", "move": again["move"]})
    assert fresh.status_code == 200


def test_two_that_claim_without_a_name_can_not_settle_each_others_tasks(
    http: httpx.Client,
) -> None:
    http.post("/put", json={"a": 1, "b": 2})
    one, other = claimed(http, lease_s=60), claimed(http, lease_s=60)

    assert one["owner"] != other["owner"]
    answer = http.post("/fail", json={"id": "a", "owner": other["owner"]})
    assert answer.json()["kind"] == "ClaimLost"


def test_of_many_each_is_moved_by_itself_and_all_refused_is_an_error(http: httpx.Client) -> None:
    http.post("/put", json={"a": 1})
    claimed(http)
    outcomes = {"a": {"succeeded": True, "result": [1]}, "ghost": {"succeeded": False}}

    some = http.post("/settle", json={"outcomes": outcomes})
    assert some.status_code == 200
    assert {id_: why["kind"] for id_, why in some.json()["refused"].items()} == {
        "ghost": "UnknownTask"
    }
    none = http.post("/settle", json={"outcomes": outcomes})
    assert none.status_code == 409
    assert set(none.json()["refused"]) == {"a", "ghost"}
    assert http.get("/lookup_task", params={"id": "a"}).json()["result"] == [1]


def test_extend_release_refuse_peek_and_delete_do_what_they_say(http: httpx.Client) -> None:
    http.post("/put", json={"a": 1, "b": 2})
    assert http.get("/peek/5").json() == [["a", 1], ["b", 2]]
    claim = claimed(http, lease_s=60, owner="w")
    longer = http.post("/extend", json={"tasks": {"a": {"owner": "w"}}, "lease_s": 3600})
    assert longer.json() == {"refused": {}}
    task = http.get("/lookup_task", params={"id": "a"}).json()
    assert task["lease_ends"] > str(claim["lease_ends"])
    assert http.post("/release", json={"tasks": {"a": {"owner": "w"}}}).status_code == 200
    assert http.post("/refuse", json={"id": "a", "reason": "too large"}).status_code == 200
    assert http.post("/refuse", json={"id": "ghost", "reason": ""}).status_code == 404
    assert http.get("/lookup_task", params={"id": "a"}).json()["reason"] == "too large"
    assert http.delete("/settled", params={"older_than_s": 3600}).json() == {"purged": 0}
    assert http.delete("/settled", params={"older_than_s": 0}).json() == {"purged": 1}
    assert http.get("/lookup_task", params={"id": "a"}).status_code == 404


def test_a_claim_waits_for_a_task_and_is_answered_as_soon_as_it_is_there(
    http: httpx.Client,
) -> None:
    asked = threading.Barrier(9)

    def claim() -> list[dict[str, object]]:
        asked.wait(10)
        answer: list[dict[str, object]] = http.post("/claim", json={"wait_s": 25}).json()
        return answer

    with ThreadPoolExecutor(8) as workers:
        waiting = [workers.submit(claim) for _ in range(8)]
        asked.wait(10)
        http.post("/put", json={f"task {n}": n for n in range(8)})
        got = [claim["id"] for one in waiting for claim in one.result(20)]
    assert sorted(map(str, got)) == [f"task {n}" for n in range(8)]


def test_many_that_wait_keep_nobody_from_an_answer_and_a_stop_sends_them_home() -> None:
    app = create_app(MemoryQueue())
    limits = httpx.Limits(max_connections=None)
    with (
        ThreadPoolExecutor(100) as workers,
        serving(app) as url,
        httpx.Client(limits=limits, trust_env=False, timeout=60) as http,
    ):
        ask = f"{url}{PREFIX}/claim"
        waiting = [workers.submit(http.post, ask, json={"wait_s": 30}) for _ in range(100)]
        line = app.state.bell._line
        wait_until(lambda: len(line) > 90, 30, what="them to wait")
        assert http.get(f"{url}{PREFIX}/sizes").status_code == 200
        assert not any(one.done() for one in waiting)
        app.state.bell.close()
        assert [one.result(20).json() for one in waiting] == [[]] * 100


IDS = ["a/b", "/", "//x", "..", ".", "../x", "a b", "a?b", "a#b", "%2F", "+", "'\""]
IDS += ["\0", "\n", "a\n", "ü😀"]


@pytest.mark.parametrize("id_", IDS, ids=ascii)
def test_an_id_of_any_kind_is_found_by_query_and_in_the_path(http: httpx.Client, id_: str) -> None:
    http.post("/put", json={id_: "it", "a": "another", "x": "another", "b": "another"})

    for path in ("/lookup_item", "/status", "/lookup_task"):
        assert http.get(path, params={"id": id_}).status_code == 200
    assert http.get("/lookup_item", params={"id": id_}).json()["item_body"] == "it"
    if id_ not in ("..", ".", "../x"):  # which clients and proxies take for folders
        path = quote(id_, safe="")
        assert http.get(f"/lookup_item/{path}").json()["item_body"] == "it"
        assert http.get(f"/status/{path}").json() == 0


def test_an_address_that_is_no_utf8_is_400_and_no_other_task_is_meant(http: httpx.Client) -> None:
    http.post("/put", json={"\ufffd": 1})

    assert http.get("/status/%FF").status_code == 400
    assert http.get("/lookup_task?id=%FF").status_code == 400
    assert http.get("/lookup_task?id=%EF%BF%BD").status_code == 200


def test_a_stage_is_listed_whole_or_in_pages_that_say_where_the_next_begins(
    http: httpx.Client,
) -> None:
    ids = [f"task {n}" for n in range(2500)]
    http.post("/put", json=dict.fromkeys(ids))

    assert http.get("/lookup_state/WAITING").json() == ids
    found: list[str] = []
    page = http.get("/lookup_state/WAITING", params={"limit": 1000})
    while True:
        found += page.json()
        if "next" not in page.links:
            break
        page = http.get(str(http.base_url.join(page.links["next"]["url"])))
    assert found == ids
    assert http.get("/lookup_state/WAITING", params={"limit": 1001}).status_code == 422


def test_a_body_goes_out_as_it_came_in(http: httpx.Client) -> None:
    body = rb'{"a":{"half":"\ud800","nul":"\u0000","big":123456789012345678901234567890,"f":1.0}}'
    http.post("/put", content=body, headers={"Content-Type": "application/json"})

    answer = http.get("/lookup_item/a")

    assert rb'"half":"\ud800","nul":"\u0000","big":123456789012345678901234567890,"f":1.0' in (
        answer.content
    )


def test_the_metrics_are_prometheus_and_have_no_ids_in_them(http: httpx.Client) -> None:
    http.post("/put", json={"my-secret-id": 1, "b": 2})
    http.get("/status/my-secret-id")

    answer = http.get("/metrics")

    families = {one.name: one for one in text_string_to_metric_families(answer.text)}
    stages = {one.labels["stage"]: one.value for one in families["task_queue_tasks"].samples}
    assert stages == {"WAITING": 2, "PROCESSING": 0, "SUCCESS": 0, "FAIL": 0}
    assert families["task_queue_up"].samples[0].value == 1
    requests = families["task_queue_requests"].samples
    assert any(one.labels["path"].endswith("/status/{item_id:path}") for one in requests)
    assert "my-secret-id" not in answer.text
