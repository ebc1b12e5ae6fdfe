"""The contract over HTTP: codes, bodies and headers, in the known service's words and our own."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from labs.queue_service.api import create_app
from labs.queue_service.messages import State
from labs.queue_service.operations import GetStats
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService
from labs.task_queue.tasks import DEEPEST
from tests.queue_service.doors import build, cluster, job, shared_service, shared_url
from tests.queue_service.grounds import claim_one, put
from tests.queue_service.served import asking, served
from tests.support import wait_until

__all__ = ["build", "cluster", "job", "served", "shared_service", "shared_url"]

MESSAGE = "/v1/queue/message"


@pytest.fixture
def http(shared_url: str) -> Iterator[httpx.Client]:
    """A client of a server that others use too."""
    with asking(shared_url) as client:
        yield client


def deleted(http: httpx.Client, said: Any, **query: str) -> httpx.Response:
    return http.request("DELETE", MESSAGE, json=said, params=query)


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The body of a refusal, which has both services' words."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert said["type"] == f"urn:queue-service:{kind}"
    assert said["status"] == said["statusCode"] == status
    assert said["detail"] == said["message"] != ""
    assert said["title"] == said["error"]
    assert said["remedy"]
    return said


def named(answer: httpx.Response) -> list[str]:
    """The fields that a 422 names."""
    return sorted(one["field"] for one in problem(answer, 422, "BadMessage")["errors"])


# --- Messages ---------------------------------------------------------------------------------


def test_a_start_is_201_with_its_place_and_the_same_again_is_200(
    http: httpx.Client, build: int, job: int
) -> None:
    first = http.post(MESSAGE, json={"buildId": build, "jobId": job})
    again = http.post(f"{MESSAGE}/", json={"buildId": build, "jobId": job})

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == {
        "id": str(build),
        "buildId": build,
        "jobId": job,
        "state": "queued",
        "created": True,
        "replayed": False,
        "until": None,
        "waitsFor": None,
        "note": "",
    }
    assert (again.json()["created"], again.json()["id"]) == (False, str(build))
    assert first.headers["location"] == again.headers["location"]
    found = http.get(first.headers["location"])
    assert found.json()["message"]["id"] == str(build)


def test_the_status_of_a_job_has_its_state_position_attempts_and_times(
    http: httpx.Client, build: int, job: int
) -> None:
    http.post(MESSAGE, json={"buildId": build, "jobId": job, "container": "node"})

    said = http.get(MESSAGE, params={"jobId": job}).json()

    assert said == http.get(MESSAGE, params={"buildId": build}).json()
    assert said["position"] >= 1
    message = said["message"]
    assert (message["state"], message["attempts"], message["blockedBy"]) == ("queued", 0, [job])
    assert message["body"] == {"buildId": build, "jobId": job, "container": "node"}
    assert datetime.fromisoformat(message["enqueuedAt"]).tzinfo == UTC
    assert message["enqueuedAt"].endswith("Z")


def test_of_a_job_that_is_disabled_nothing_is_stored_and_it_is_said_why(
    http: httpx.Client, build: int, job: int
) -> None:
    answer = http.post(MESSAGE, json={"buildId": build, "jobId": job, "jobState": "DISABLED"})
    assert answer.status_code == 200
    assert "location" not in answer.headers
    assert (answer.json()["created"], answer.json()["note"] != "") == (False, True)
    problem(http.get(MESSAGE, params={"buildId": build}), 404, "UnknownMessage")


def test_an_idempotency_key_replays_its_answer_and_is_good_for_one_request(
    http: httpx.Client, build: int, job: int
) -> None:
    key = {"Idempotency-Key": f"key-{build}"}
    said = {"buildId": build, "jobId": job}
    first = http.post(MESSAGE, json={**said, "token": "one"}, headers=key)
    again = http.post(MESSAGE, json={**said, "token": "other"}, headers=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == {**first.json(), "replayed": True}
    other = http.post(MESSAGE, json={**said, "priority": 1}, headers=key)
    problem(other, 422, "KeyReused")
    twice = httpx.Headers([("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
    assert named(http.post(MESSAGE, json=said, headers=twice)) == ["idempotency-key"]


def test_a_stop_says_what_it_stopped_and_of_an_unknown_build_that_it_will(
    http: httpx.Client, build: int, job: int
) -> None:
    http.post(MESSAGE, json={"buildId": build, "jobId": job})
    stopped = deleted(http, {"buildId": build, "jobId": job, "blockedBy": [job], "token": "x"})
    assert stopped.json() == {"id": str(build), "was": "queued", "stopped": True}
    assert deleted(http, {"buildId": build}).json()["stopped"] is False
    assert deleted(http, {"buildId": build + 1}).json()["was"] is None
    late = http.post(MESSAGE, json={"buildId": build + 1, "jobId": job})
    assert (late.status_code, late.json()["state"]) == (200, "stopped")


def test_a_frozen_message_is_thawed_or_stopped_by_its_job(
    http: httpx.Client, build: int, job: int
) -> None:
    frozen = {"buildId": build, "jobId": job, "freezeWindows": [tomorrow()]}
    answer = http.post(MESSAGE, json=frozen)
    assert answer.json()["state"] == "frozen"
    assert answer.json()["until"].endswith("Z")
    thawed = http.post(MESSAGE, json={"jobId": job}, params={"type": "frozen"})
    assert (thawed.status_code, thawed.json()["state"]) == (200, "queued")
    missing = http.post(MESSAGE, json={"jobId": job}, params={"type": "frozen"})
    problem(missing, 404, "UnknownMessage")

    other = {**frozen, "buildId": build + 1, "jobId": job + 10**6}
    http.post(MESSAGE, json=other)
    stopped = deleted(http, {"jobId": job + 10**6}, type="frozen")
    assert stopped.json() == {"id": str(build + 1), "was": "frozen", "stopped": True}


def tomorrow() -> str:
    """A window of all of today and tomorrow."""
    now = datetime.now(UTC)
    days = {now.day, (now + timedelta(days=1)).day}
    return f"* * {','.join(map(str, sorted(days)))} * ?"


def test_a_schedule_is_put_replaced_listed_and_deleted(http: httpx.Client, job: int) -> None:
    periodic = {"type": "periodic"}
    first = http.post(MESSAGE, json={"jobId": job, "cron": "H H 1 1 *"}, params=periodic)
    assert first.status_code == 200
    assert first.json()["jobId"] == job
    assert first.json()["schedule"]["nextRun"].endswith("Z")
    annotations = {"screwdriver.cd/buildPeriodically": "H 3 * * *"}
    known = {"jobId": job, "job": {"permutations": [{"annotations": annotations}]}}
    again = http.post(MESSAGE, json=known, params=periodic).json()["schedule"]
    assert again["cron"] == "H 3 * * *"
    listed = http.get("/v1/queue/schedules").json()["schedules"]
    assert [one["cron"] for one in listed if one["jobId"] == job] == ["H 3 * * *"]
    gone = {"jobId": job, "deleted": True}
    assert deleted(http, {"jobId": job}, type="periodic").json() == gone
    assert deleted(http, {"jobId": job}, type="periodic").json() == {**gone, "deleted": False}
    wrong = http.post(MESSAGE, json={"jobId": job, "cron": "x"}, params=periodic)
    assert named(wrong) == ["cron"]


@pytest.mark.parametrize("kind", ["cache", "timer", "unzip", "webhook", "Periodic", ""])
def test_a_type_that_there_is_not_is_refused_and_nothing_is_done(
    http: httpx.Client, build: int, job: int, kind: str
) -> None:
    said = {"buildId": build, "jobId": job}
    assert named(http.post(MESSAGE, json=said, params={"type": kind})) == ["type"]
    assert named(deleted(http, said, type=kind)) == ["type"]
    assert named(http.post(f"{MESSAGE}?type=frozen&type=periodic", json=said)) == ["type"]
    assert http.get(MESSAGE, params={"jobId": job}).status_code == 404


def test_fields_that_are_wrong_are_named_and_nothing_is_stored(
    http: httpx.Client, build: int, job: int
) -> None:
    wrong = {"buildId": str(build), "jobId": job, "blockedBy": [job, "x"]}
    assert named(http.post(MESSAGE, json=wrong)) == ["blockedBy.1", "buildId"]
    assert named(http.post(MESSAGE, content=b"{")) == ["body"]
    assert named(http.post(MESSAGE)) == ["body"]
    twice = f'{{"buildId": {build}, "jobId": {job}, "jobId": {job}}}'
    assert named(http.post(MESSAGE, content=twice)) == ["jobId"]
    assert named(http.get(f"{MESSAGE}?jobId=%FF")) == ["query"]
    assert http.get(MESSAGE, params={"jobId": job}).status_code == 404


def test_a_body_goes_out_as_it_came_in(http: httpx.Client, build: int, job: int) -> None:
    deep = "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)
    text = f'{{"buildId": {build}, "jobId": {job}, "deep": {deep}, "text": "ü😀 \\u00e9 <&>", '
    text += '"big": 123456789012345678901234567890, "float": 1.0, "small": 1e-9, "none": null}'
    assert http.post(MESSAGE, content=text).status_code == 201

    found = http.get(MESSAGE, params={"buildId": build}).json()["message"]["body"]

    assert found == json.loads(text)
    assert isinstance(found["float"], float)


def test_a_long_body_is_read_and_refused_like_a_short_one(
    http: httpx.Client, build: int, job: int
) -> None:
    long = {"buildId": build, "jobId": job, "long": ["\u0041ü"] * 100_000}
    assert http.post(MESSAGE, json=long).status_code == 201
    found = http.get(MESSAGE, params={"buildId": build}).json()["message"]["body"]
    assert found == long
    assert named(http.post(MESSAGE, json={**long, "x": "\0"})) == ["x"]
    assert named(http.post(MESSAGE, content=json.dumps(long)[:-1])) == ["body"]


def test_messages_are_listed_in_pages_newest_first(
    http: httpx.Client, build: int, job: int
) -> None:
    for n in range(5):
        http.post(MESSAGE, json={"buildId": build + n, "jobId": job, "blockedBy": []})
    ids: list[str] = []
    query: dict[str, Any] = {"jobId": job, "limit": 2}
    while True:
        page = http.get("/v1/queue/messages", params=query).json()
        ids += [one["id"] for one in page["messages"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert ids == [str(build + n) for n in reversed(range(5))]
    some = http.get("/v1/queue/messages", params={"jobId": job, "state": "failed"}).json()
    assert some == {"messages": [], "next": None}


# --- Dispatch ---------------------------------------------------------------------------------


def claimed(http: httpx.Client, cluster: str, **said: Any) -> list[dict[str, Any]]:
    answer = http.post("/v1/queue/claim", json={"owner": "w", "cluster": cluster, **said})
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["claimed"]
    return found


def test_a_message_is_claimed_extended_and_done(
    http: httpx.Client, build: int, job: int, cluster: str
) -> None:
    http.post(MESSAGE, json={"buildId": build, "jobId": job, "buildClusterName": cluster})
    (one,) = claimed(http, cluster, n=5, leaseS=30)
    assert (one["id"], one["owner"], one["attempt"]) == (str(build), "w", 1)
    held = {name: one[name] for name in ("id", "owner", "move")}

    longer = http.post("/v1/queue/extend", json={**held, "leaseS": 3600}).json()
    assert longer["leaseEnds"] > one["leaseEnds"]
    done = http.post("/v1/queue/ack", json={**held, "result": {"ok": [1]}})
    assert (done.status_code, done.json()) == (200, {"state": "done"})
    message = http.get(MESSAGE, params={"buildId": build}).json()["message"]
    assert (message["state"], message["result"]) == ("done", {"ok": [1]})
    problem(http.post("/v1/queue/ack", json={**held, "owner": "v"}), 409, "ClaimLost")
    problem(http.post("/v1/queue/ack", json={**held, "id": "ghost"}), 404, "UnknownMessage")


def test_what_has_failed_for_good_is_replayed_or_discarded(
    http: httpx.Client, build: int, job: int, cluster: str
) -> None:
    for n in range(2):
        start = {"buildId": build + n, "jobId": job + n * 10**6, "buildClusterName": cluster}
        http.post(MESSAGE, json=start)
    for one in claimed(http, cluster, n=2):
        held = {name: one[name] for name in ("id", "owner", "move")}
        nack = http.post("/v1/queue/nack", json={**held, "reason": "broken", "final": True})
        assert nack.json() == {"state": "failed"}
    replayed = http.post("/v1/queue/failed/replay", json={"ids": [str(build), "ghost"]})
    assert replayed.json() == {"ids": [str(build)]}
    discarded = http.post("/v1/queue/failed/discard", json={"ids": [str(build), str(build + 1)]})
    assert discarded.json() == {"ids": [str(build + 1)]}
    assert [one["id"] for one in claimed(http, cluster, n=5)] == [str(build)]


def test_a_claim_that_waits_is_answered_as_soon_as_there_is_something(
    http: httpx.Client, build: int, job: int, cluster: str
) -> None:
    asked = threading.Barrier(2)

    def wait() -> list[dict[str, Any]]:
        asked.wait(10)
        return claimed(http, cluster, waitS=25)

    with ThreadPoolExecutor(1) as workers:
        waiting = workers.submit(wait)
        asked.wait(10)
        http.post(MESSAGE, json={"buildId": build, "jobId": job, "buildClusterName": cluster})
        assert [one["id"] for one in waiting.result(20)] == [str(build)]


def test_a_claim_whose_client_has_gone_takes_nothing(
    served: str, sqlite_service: QueueService
) -> None:
    host, port = urlsplit(served).hostname, urlsplit(served).port
    body = json.dumps({"owner": "gone", "waitS": 25}).encode()
    head = f"POST /v1/queue/claim HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, port or 0)) as line:
        line.sendall(head.encode() + body)
        wait_until(lambda: len(sqlite_service._kept) == 1, 10, what="the claim to wait")
    with asking(served) as http:
        wait_until(lambda: answered(http, "499"), 10, what="it to be seen that the client has gone")
        put(sqlite_service, 1)
        assert claim_one(sqlite_service).owner == "worker"


def answered(http: httpx.Client, status: str) -> bool:
    """Whether a claim was answered so."""
    labels = f'method="POST",route="/v1/queue/claim",status="{status}"'
    return f"queue_service_requests_total{{{labels}}}" in http.get("/metrics").text


def test_who_waits_is_answered_when_the_server_stops_and_it_is_ready_no_more(
    sqlite_service: QueueService,
) -> None:
    app = create_app(sqlite_service)
    with ThreadPoolExecutor(1) as workers, serving(app) as url, asking(url) as http:
        waiting = workers.submit(http.post, "/v1/queue/claim", json={"owner": "w", "waitS": 30})
        wait_until(lambda: len(sqlite_service._kept) == 1, 10, what="the claim to wait")
        assert http.get("/v1/ready").json() == {"ready": True}
        app.stop()
        assert waiting.result(10).json() == {"claimed": []}
        problem(http.get("/v1/ready"), 503, "StoreUnreachable")
        assert http.get("/v1/ready").headers["retry-after"] == "1"
        assert http.get("/v1/status").text == "OK"
        assert http.post(MESSAGE, json={"buildId": 1, "jobId": 1}).status_code == 201


# --- How all of it stands ---------------------------------------------------------------------


def test_the_stats_have_all_states_workers_and_the_oldest_age(
    served: str, sqlite_service: QueueService
) -> None:
    for n in range(3):
        put(sqlite_service, n + 1, job_id=n // 2 + 1)
    claim_one(sqlite_service)
    with asking(served) as http:
        said = http.get("/v1/queue/stats").json()
        assert set(said["counts"]) == {state.value for state in State}
        found = {state: n for state, n in said["counts"].items() if n}
        assert found == {"queued": 1, "blocked": 1, "running": 1}
        assert said["workers"] == 1
        assert said["oldestAgeS"] >= 0
        assert sqlite_service.call(GetStats()).counts[State.QUEUED] == 1
        assert http.get("/v1/queue/samples").json() == {"samples": []}


def test_head_works_where_get_does_and_one_slash_more_is_no_other_path(
    http: httpx.Client,
) -> None:
    for path in ("/v1/status", "/v1/queue/stats", "/v1/ready", "/metrics", "/openapi.json"):
        get, head = http.get(f"{path}/"), http.head(path)
        assert get.status_code == head.status_code == 200
        assert head.content == b""
        assert head.headers["content-type"] == get.headers["content-type"]
    assert http.get("/v1/status").headers["cache-control"] == "no-store"
    problem(http.get("/v1/status//"), 404, "NoSuchPath")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "DELETE"])
def test_what_is_not_there_and_what_is_not_done_there_are_problems_too(
    http: httpx.Client, method: str
) -> None:
    problem(http.request(method, "/v1/nowhere"), 404, "NoSuchPath")
    answer = http.request(method, "/v1/queue/stats")
    problem(answer, 405, "NoSuchMethod")
    assert answer.headers["allow"] == "GET, HEAD"


def test_what_fails_in_an_unforeseen_way_tells_nothing_of_itself(
    http: httpx.Client, shared_service: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> object:
        raise ZeroDivisionError("the secret of the house")

    monkeypatch.setattr(shared_service, "do", broken)
    answer = http.get("/v1/queue/stats")
    problem(answer, 500, "ServerFailed")
    assert "secret" not in answer.text
    assert "Zero" not in answer.text
