"""The numbers of a server: what they say, how many lines they are, and when the store is away."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from labs.queue_service.api import create_app
from labs.queue_service.messages import State
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService
from labs.task_queue.local_postgres import LocalPostgres
from tests.queue_service.grounds import ack, claim_one, put
from tests.queue_service.served import asking, served
from tests.support import wait_until

__all__ = ["served"]


@pytest.fixture
def http(served: str) -> Iterator[httpx.Client]:
    """A client of the test's own server."""
    with asking(served) as client:
        yield client


def numbers(http: httpx.Client) -> dict[str, Metric]:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {one.name: one for one in text_string_to_metric_families(answer.text)}


def value(metric: Metric, name: str, **labels: str) -> float:
    """Of the one sample that has this name and these labels."""
    (found,) = [
        one.value
        for one in metric.samples
        if one.name == name and labels.items() <= one.labels.items()
    ]
    return found


def test_they_say_how_the_queue_stands_and_what_was_answered(
    http: httpx.Client, sqlite_service: QueueService
) -> None:
    for n in range(3):
        put(sqlite_service, n + 1, job_id=n + 1)
    claim_one(sqlite_service)
    for _ in range(2):
        http.get("/v1/queue/message?buildId=1")
    http.get("/v1/queue/message?buildId=9")

    found = numbers(http)

    states = {one.labels["state"]: one.value for one in found["queue_service_messages"].samples}
    assert states == {**dict.fromkeys(map(str, State), 0.0), "queued": 2.0, "running": 1.0}
    assert value(found["queue_service_up"], "queue_service_up") == 1
    assert value(found["queue_service_workers"], "queue_service_workers") == 1
    assert "queue_service_oldest_age_seconds" in found
    requests, seconds = found["queue_service_requests"], found["queue_service_request_seconds"]
    asked = {"method": "GET", "route": "/v1/queue/message"}
    assert value(requests, "queue_service_requests_total", **asked, status="200") == 2
    assert value(requests, "queue_service_requests_total", **asked, status="404") == 1
    assert value(seconds, "queue_service_request_seconds_count", **asked) == 3


def test_they_say_how_long_messages_had_been_due_and_what_transactions_took(
    http: httpx.Client, sqlite_service: QueueService
) -> None:
    for n in range(3):
        put(sqlite_service, n + 1, job_id=n + 1)
    ack(sqlite_service, claim_one(sqlite_service))

    found = numbers(http)

    waited = found["queue_service_dispatch_seconds"]
    assert value(waited, "queue_service_dispatch_seconds_count") == 1
    committed = found["queue_service_commit_operations"]
    assert value(committed, "queue_service_commit_operations_sum") == 5
    assert value(committed, "queue_service_commit_operations_count") <= 5
    assert value(found["queue_service_commit_seconds"], "queue_service_commit_seconds_sum") > 0


def test_there_are_only_so_many_lines_whatever_is_asked(http: httpx.Client) -> None:
    def lines(times: int) -> int:
        for n in range(times):
            http.get(f"/v1/secret-{n}")
            http.get(f"/no-page-{n}")
            http.get("/v1/queue/message", params={"id": f"secret-{n}"})
            http.request("REPORT", f"/v1/queue/{n}")
        text = http.get("/metrics").text
        assert "secret" not in text
        assert "REPORT" not in text
        return len(text.splitlines())

    lines(1)
    assert lines(1) == lines(20)


def test_a_store_that_is_away_is_503_everywhere_but_where_it_is_not_asked(
    own_postgres: LocalPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        QueueService.at(own_postgres.url) as service,
        caplog.at_level(logging.WARNING, logger="labs.queue_service"),
        serving(create_app(service)) as url,
        asking(url) as http,
    ):
        start = {"buildId": 1, "jobId": 1}
        assert http.post("/v1/queue/message", json=start).status_code == 201
        own_postgres.crash()
        for _ in range(3):
            for answer in (
                http.post("/v1/queue/message", json={"buildId": 2, "jobId": 2}),
                http.get("/v1/queue/message?buildId=1"),
                http.post("/v1/queue/claim", json={"owner": "w", "waitS": 20}),
                http.get("/v1/ready"),
            ):
                assert answer.status_code == 503
                assert answer.headers["retry-after"] == "1"
                assert answer.json()["type"] == "urn:queue-service:StoreUnreachable"
                assert answer.json()["detail"] == "The store does not answer."
                assert "127.0.0.1" not in answer.text  # strangers may ask whether it is ready
        assert http.get("/v1/status").status_code == 200
        wait_until(lambda: "queue_service_up 0.0" in http.get("/metrics").text, 10)
        own_postgres.start()
        wait_until(lambda: http.get("/v1/ready").status_code == 200, 30, what="it to be back")
        assert http.get("/v1/queue/message?buildId=1").status_code == 200
        assert http.post("/v1/queue/message", json=start).status_code == 200
    said = [one.message for one in caplog.records if one.name == "labs.queue_service.api_desk"]
    assert len(said) == 2
    assert said[0].startswith("The store does not answer")
    assert said[1] == "The store answers again."
