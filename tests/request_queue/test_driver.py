"""The driver as an HTTP service: what it answers, when, and what it says of its broker.

A real server on loopback, and a real client; the log is the one in memory, which can be down.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from labs.errors import BadInput
from labs.request_queue import (
    LifecycleExecuteResponse,
    LifecycleRequestQueueService,
    MemoryLog,
    RequestRefused,
)
from labs.request_queue.driver import ResourceDriverService
from labs.request_queue.driver_api import create_app
from labs.request_queue.driver_server import serving
from labs.request_queue.log import Appended
from labs.request_queue.metrics import Counts, of_queue
from labs.waiting import wait_until
from tests.request_queue.replica import TOPIC, Replica, records, settings

EXECUTE = "/api/driver/lifecycle/execute"
BODY = {
    "lifecycleName": "Start",
    "driverFiles": base64.b64encode(b"a zip").decode(),
    "systemProperties": {"resourceId": {"value": "r-1", "type": "string"}},
    "resourceProperties": {"propA": {"value": "ä", "type": "string"}},
    "requestProperties": {"seconds": 5},
    "associatedTopology": {"stack": {"id": "1", "type": "Openstack"}},
    "deploymentLocation": {"name": "here", "type": "Openstack", "properties": {"url": "x"}},
}


class OwnDriver:
    """A driver that writes down how it was called."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.error = error

    def execute_lifecycle(
        self,
        lifecycle_name: str,
        driver_files: str,
        system_properties: Mapping[str, Any],
        resource_properties: Mapping[str, Any],
        request_properties: Mapping[str, Any],
        associated_topology: Mapping[str, Any],
        deployment_location: Mapping[str, Any],
    ) -> LifecycleExecuteResponse:
        if self.error:
            raise self.error
        self.calls.append(
            {
                "lifecycleName": lifecycle_name,
                "driverFiles": driver_files,
                "systemProperties": system_properties,
                "resourceProperties": resource_properties,
                "requestProperties": request_properties,
                "associatedTopology": associated_topology,
                "deploymentLocation": deployment_location,
            }
        )
        return LifecycleExecuteResponse("its own id", {"stack": {"id": "2"}})


class ImpatientLog(MemoryLog):
    """One that says soon that it is down."""

    def append(self, topic: str, value: bytes, **how: Any) -> Appended:
        return super().append(topic, value, **{**how, "timeout_s": 0.1})


class Site:
    """A driver that is being served."""

    def __init__(self, url: str, log: MemoryLog, own: OwnDriver) -> None:
        self.client = httpx.Client(base_url=url, timeout=20)
        self.url, self.log, self.own = url, log, own

    def posts(self, body: Any = None, **how: Any) -> httpx.Response:
        return self.client.post(EXECUTE, **(how or {"json": BODY if body is None else body}))

    @property
    def queued(self) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in records(self.log, TOPIC)]


def site(enabled: bool, own: OwnDriver | None = None) -> Iterator[Site]:
    log, driver = ImpatientLog(), own or OwnDriver()
    chosen = settings(enabled=enabled)
    service = LifecycleRequestQueueService(log, chosen)
    app = create_app(
        ResourceDriverService(chosen, driver=driver, requests=service), {"broker": service.check}
    )
    with serving(app) as url:
        yield Site(url, log, driver)


@pytest.fixture
def queued() -> Iterator[Site]:
    yield from site(enabled=True)


@pytest.fixture
def direct() -> Iterator[Site]:
    yield from site(enabled=False)


def test_a_request_is_accepted_with_its_id_once_it_is_in_the_log(queued: Site) -> None:
    response = queued.posts()
    assert response.status_code == 202
    said = response.json()
    assert said["request_id"] == said["requestId"]
    (request,) = queued.queued
    assert request == {
        "request_id": said["request_id"],
        "lifecycle_name": "Start",
        "driver_files": BODY["driverFiles"],
        "system_properties": BODY["systemProperties"],
        "resource_properties": BODY["resourceProperties"],
        "request_properties": BODY["requestProperties"],
        "associated_topology": BODY["associatedTopology"],
        "deployment_location": BODY["deploymentLocation"],
    }


def test_while_the_queue_is_on_the_drivers_own_implementation_is_not_called(queued: Site) -> None:
    assert queued.posts().status_code == 202
    assert queued.own.calls == []


def test_while_it_is_off_the_driver_is_called_and_nothing_queued(direct: Site) -> None:
    response = direct.posts()
    assert response.status_code == 202
    assert response.json()["requestId"] == "its own id"
    assert response.json()["associatedTopology"] == {"stack": {"id": "2"}}
    assert direct.own.calls == [BODY]
    assert direct.queued == []


def test_what_the_api_accepted_is_what_a_replica_handles(queued: Site) -> None:
    got: list[dict[str, Any]] = []

    def handler(request: dict[str, Any]) -> bool:
        got.append(request)
        return True

    request_id = queued.posts().json()["request_id"]
    Replica(handler, queued.log).processes()
    assert [request["request_id"] for request in got] == [request_id]


def test_properties_that_may_be_left_out_are_empty(queued: Site) -> None:
    needed = ("lifecycleName", "driverFiles", "systemProperties", "deploymentLocation")
    assert queued.posts({key: BODY[key] for key in needed}).status_code == 202
    assert queued.queued[0]["resource_properties"] == {}
    assert queued.queued[0]["associated_topology"] == {}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"lifecycleName": None}, "lifecycleName: Input should be a valid string"),
        ({"lifecycleName": ""}, "lifecycleName: String should have at least 1 character"),
        ({"driverFiles": "&&&"}, "driverFiles: it is not base64"),
        ({"systemProperties": []}, "systemProperties: Input should be an object"),
        ({"deploymentLocation": {}}, "deploymentLocation.name: Field required"),
        ({"requestProperties": {"n": float("nan")}}, "must be JSON"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_in_words(
    queued: Site, change: dict[str, Any], sentence: str
) -> None:
    response = queued.posts(
        content=json.dumps({**BODY, **change}), headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert sentence in response.json()["localizedMessage"]
    assert response.json()["status"] == 400
    assert queued.queued == []


@pytest.mark.parametrize("missing", ["lifecycleName", "driverFiles", "deploymentLocation"])
def test_a_field_that_is_missing_is_named(queued: Site, missing: str) -> None:
    response = queued.posts({key: value for key, value in BODY.items() if key != missing})
    assert response.status_code == 400
    assert f"{missing}: Field required" in response.json()["localizedMessage"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 10_000])
def test_a_body_that_is_no_request_is_refused_in_words(queued: Site, body: bytes) -> None:
    response = queued.posts(content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "The request is not right" in response.json()["localizedMessage"]


def test_a_body_of_another_kind_is_refused(queued: Site) -> None:
    response = queued.posts(content=json.dumps(BODY), headers={"content-type": "text/plain"})
    assert response.status_code == 415
    assert "Content-Type: application/json" in response.json()["localizedMessage"]


@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_body_that_is_too_long_is_refused_and_the_next_one_taken(
    queued: Site, in_pieces: bool
) -> None:
    body = json.dumps({**BODY, "driverFiles": "A" * 2_000_000}).encode()
    pieces = (body[at : at + 65_536] for at in range(0, len(body), 65_536))
    response = queued.posts(
        content=pieces if in_pieces else body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 413
    assert "1,000,000 bytes" in response.json()["localizedMessage"]
    assert queued.posts().status_code == 202


def test_a_request_that_grows_too_long_for_the_log_is_refused(queued: Site) -> None:
    body = {**BODY, "lifecycleName": "ä" * 400_000}
    response = queued.posts(
        content=json.dumps(body, ensure_ascii=False).encode(),
        headers={"content-type": "application/json"},
    )
    assert response.status_code == 413


def test_another_path_or_method_is_refused_in_the_same_form(queued: Site) -> None:
    assert queued.client.get("/nowhere").json() == {"localizedMessage": "Not Found.", "status": 404}
    assert queued.client.get(EXECUTE).status_code == 405


def test_what_the_log_did_not_take_is_never_accepted(queued: Site) -> None:
    assert queued.posts().status_code == 202
    queued.log.down()
    response = queued.posts()
    assert response.status_code == 503
    assert "The request was not taken; send it again later" in response.json()["localizedMessage"]
    queued.log.up()
    assert queued.posts().status_code == 202
    assert len(queued.queued) == 2


def test_a_driver_that_starts_without_its_broker_answers_503_and_recovers(queued: Site) -> None:
    queued.log.down()
    assert queued.posts().status_code == 503
    queued.log.up()
    assert queued.posts().status_code == 202


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (RequestRefused("There is no operation Start."), 400, "There is no operation Start."),
        (RuntimeError("secret"), 500, "The driver failed"),
    ],
)
def test_a_drivers_own_error_is_answered_in_words(
    error: Exception, status: int, sentence: str
) -> None:
    for direct in site(enabled=False, own=OwnDriver(error)):
        response = direct.posts()
        assert response.status_code == status
        assert sentence in response.json()["localizedMessage"]
        assert "secret" not in response.text


def test_health_tells_the_truth_about_the_broker(queued: Site) -> None:
    well = queued.client.get("/management/health")
    assert (well.status_code, well.json()) == (
        200,
        {"vitals": {"app": {"status": "OK"}, "broker": {"status": "OK"}}},
    )
    queued.log.down()
    ill = queued.client.get("/management/health")
    assert ill.status_code == 503
    vitals = ill.json()["vitals"]
    assert vitals["app"]["status"] == vitals["broker"]["status"] == "UNHEALTHY"
    assert "can't be reached" in vitals["broker"]["why"]
    queued.log.up()
    assert queued.client.get("/management/health").status_code == 200


def test_health_answers_while_many_requests_wait_for_a_log_that_is_gone() -> None:
    released = threading.Event()
    hanging: list[str] = []

    class Hanging(MemoryLog):
        def append(self, *args: Any, **how: Any) -> Appended:
            hanging.append("one more")
            assert released.wait(60)
            return super().append(*args, **how)

    chosen = settings(enabled=True)
    service = LifecycleRequestQueueService(Hanging(), chosen)
    app = create_app(ResourceDriverService(chosen, requests=service), {"broker": service.check})
    with serving(app) as url, ThreadPoolExecutor(60) as pool:
        waiting = [pool.submit(httpx.post, url + EXECUTE, json=BODY, timeout=60) for _ in range(60)]
        try:
            wait_until(lambda: len(hanging) >= 40, 30, what="all of the server's threads to hang")
            assert httpx.get(f"{url}/management/health", timeout=10).status_code == 200
        finally:
            released.set()
        assert {response.result().status_code for response in waiting} == {202}


def test_metrics_say_how_much_waits_for_how_long_and_what_became_of_the_rest() -> None:
    counts = Counts()
    replica = Replica(lambda request: request["n"] == 1, first_pause_s=0.01)
    replica.queue._settlement._observer = counts
    app = create_app(
        ResourceDriverService(settings(enabled=True), requests=replica.service),
        metrics=lambda: {**of_queue(replica.service), "replica": counts.numbers()},
    )
    replica.queues("a", n=1)
    for _ in range(3):
        replica.queues("b", n=2)
    for _ in range(5):
        replica.processes()
    with serving(app) as url:
        said = httpx.get(f"{url}/management/metrics", timeout=20).json()
        assert said["waiting"] == 3
        assert said["replica"]["done"] == 1
        assert said["replica"]["put_back"] == 4
        assert said["replica"]["most_attempts"] == 1
        assert said["replica"]["last_age_s"] >= 0
        assert isinstance(replica.log, MemoryLog)
        replica.log.down()
        assert httpx.get(f"{url}/management/metrics", timeout=20).status_code == 503


def test_what_is_being_answered_when_it_stops_is_answered() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(OwnDriver):
        def execute_lifecycle(self, *args: Any, **fields: Any) -> LifecycleExecuteResponse:
            begun.set()
            assert go_on.wait(20)
            return super().execute_lifecycle(*args, **fields)

    app = create_app(ResourceDriverService(settings(), driver=Slow()))
    with ThreadPoolExecutor(1) as pool:
        with serving(app) as url:
            answer = pool.submit(httpx.post, url + EXECUTE, json=BODY, timeout=30)
            assert begun.wait(10)
            threading.Timer(0.3, go_on.set).start()
        assert answer.result().status_code == 202
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        app = create_app(ResourceDriverService(settings(), driver=OwnDriver()))
        with pytest.raises(BadInput, match="can't listen on"), serving(app, port=port):
            pass


def test_a_driver_needs_what_its_settings_ask_for() -> None:
    with pytest.raises(BadInput, match="is enabled, and there is none"):
        ResourceDriverService(settings(enabled=True), driver=OwnDriver())
    with pytest.raises(BadInput, match="no driver to call"):
        ResourceDriverService(settings())


def test_the_api_describes_itself(queued: Site) -> None:
    described = queued.client.get("/openapi.json").json()
    operation = described["paths"][EXECUTE]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["required"]) == {
        "lifecycleName",
        "driverFiles",
        "systemProperties",
        "deploymentLocation",
    }
