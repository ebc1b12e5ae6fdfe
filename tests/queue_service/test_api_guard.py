"""Who may not in, what is too long, too slow or too much, and what the log has of it."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from labs.queue_service.api import create_app
from labs.queue_service.api_guard import Limits
from labs.queue_service.auth import Authenticator
from labs.queue_service.client import QueueServiceClient
from labs.queue_service.limits import RateLimit
from labs.queue_service.passwords import PasswordFile, put_password
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService
from labs.task_queue.api_server import local_hosts
from tests.queue_service.served import MAX_BODY_BYTES, Locked, asking, locked
from tests.task_queue.test_api_guard import connected

__all__ = ["locked"]

MESSAGE = "/v1/queue/message"
START = {"buildId": 1, "jobId": 1}
CLAIM = {"owner": "w"}


@pytest.fixture
def http(locked: Locked) -> Iterator[httpx.Client]:
    """Somebody who has not shown anything yet."""
    with asking(locked.url) as client:
        yield client


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic YTpi", "a.b.c"])
@pytest.mark.parametrize(
    "path", ["queue/message", "queue/stats", "queue/claim", "queue/failed/replay"]
)
def test_without_a_good_token_nothing_is_answered_but_how_to_bring_one(
    http: httpx.Client, path: str, given: str
) -> None:
    method = "GET" if path == "queue/stats" else "POST"
    answer = http.request(method, f"/v1/{path}", headers={"Authorization": given}, json=START)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    said = answer.json()
    assert (said["statusCode"], said["error"]) == (401, "Unauthorized")
    assert said["message"] in ("Missing authentication", "Invalid token")
    assert "wrong" not in answer.text


def test_a_token_opens_what_its_scopes_say(http: httpx.Client, locked: Locked) -> None:
    sdapi, worker, other = (locked.bearer(scope) for scope in ("sdapi", "worker", "build"))

    assert http.post(MESSAGE, json=START, headers=sdapi).status_code in (200, 201)
    assert http.post("/v1/queue/claim", json=CLAIM, headers=worker).status_code == 200
    for one in (sdapi, worker, other):
        assert http.get("/v1/queue/stats", headers=one).status_code == 200
    for path, need, headers in (
        (MESSAGE, "sdapi", worker),
        ("/v1/queue/claim", "worker", sdapi),
        ("/v1/queue/failed/replay", "sdapi", other),
    ):
        answer = http.post(path, json=START, headers=headers)
        assert answer.status_code == 403
        said = answer.json()
        assert said["message"] == "Insufficient scope"
        assert said["data"]["need"] == need
        assert len(said["data"]["got"]) == 1


def test_some_paths_need_no_token_and_the_metrics_none_from_this_machine(
    http: httpx.Client,
) -> None:
    for path in ("/v1/status", "/v1/ready", "/openapi.json", "/metrics", "/v1/metrics"):
        assert http.get(path).status_code == 200
    for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        assert http.get("/metrics", headers={header: "203.0.113.9"}).status_code == 401


def test_a_password_of_a_labs_file_is_asked_for_in_the_browsers_way(
    sqlite_service: QueueService, tmp_path: Path
) -> None:
    file = tmp_path / "passwords"
    put_password(file, "ada", ["sdapi"], "correct horse")
    authenticator = Authenticator(passwords=PasswordFile(file))
    with serving(create_app(sqlite_service, authenticator=authenticator)) as url:
        with asking(url) as http:
            answer = http.get("/v1/queue/stats")
            assert answer.headers["www-authenticate"].startswith("Basic")
            assert http.get("/v1/queue/stats", auth=("ada", "correct horse")).status_code == 200
            wrong = http.get("/v1/queue/stats", auth=("ada", "wrong horse"))
            assert wrong.status_code == 401
            assert "horse" not in wrong.text
            assert http.get("/").status_code == 401
        with QueueServiceClient(url, user="ada", password="correct horse") as client:
            assert client.start(1, 1).created
    authenticator.close()


def test_a_body_that_is_too_long_is_413_whether_it_says_its_length_or_not(
    http: httpx.Client, locked: Locked
) -> None:
    headers = {**locked.bearer("sdapi"), "Content-Type": "application/json"}
    long = b'{"buildId": 7, "jobId": 7, "a": "' + b"x" * MAX_BODY_BYTES + b'"}'

    said = http.post(MESSAGE, content=long, headers=headers)
    streamed = http.post(MESSAGE, content=iter([long]), headers=headers)
    much = http.post(MESSAGE, content=long * 500, headers=headers)

    assert [said.status_code, streamed.status_code, much.status_code] == [413, 413, 413]
    assert said.json()["type"] == "urn:queue-service:TooLarge"
    assert http.get(MESSAGE, params={"buildId": 7}, headers=headers).status_code == 404


def test_half_a_body_is_answered_408_and_nothing_is_stored(
    http: httpx.Client, locked: Locked
) -> None:
    bearer = locked.bearer("sdapi")
    head = f"POST {MESSAGE} HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer['Authorization']}\r\n"
    head += 'Content-Length: 50\r\n\r\n{"buildId": 8, "jobId": 8'
    with connected(locked.url) as line:
        line.sendall(head.encode())
        assert line.recv(4096).startswith(b"HTTP/1.1 408")
    with connected(locked.url) as line:  # and who goes away in the middle harms nobody
        line.sendall(head.encode())
    assert http.get(MESSAGE, params={"buildId": 8}, headers=bearer).status_code == 404


def test_who_asks_without_a_token_is_answered_before_the_body_has_come(locked: Locked) -> None:
    head = f"POST {MESSAGE} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
    with connected(locked.url) as line:
        line.sendall(head.encode())
        assert line.recv(4096).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "json"])
def test_a_body_that_is_no_json_by_its_name_is_415(
    http: httpx.Client, locked: Locked, kind: str
) -> None:
    headers = {**locked.bearer("sdapi"), "Content-Type": kind}
    answer = http.post(MESSAGE, content=b"buildId=1&jobId=1", headers=headers)
    assert answer.status_code == 415
    for good in ("application/json; charset=utf-8", "Application/JSON"):
        headers["Content-Type"] = good
        assert http.post(MESSAGE, content=b"{}", headers=headers).status_code == 422


def test_many_slow_clients_keep_nobody_from_an_answer(http: httpx.Client, locked: Locked) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(locked.url)) for _ in range(100)]
        for line in slow:
            line.sendall(b"POST /v1/queue/message HT")
        assert http.get("/v1/queue/stats", headers=locked.bearer("x")).status_code == 200


def test_one_request_too_many_is_429_and_says_when_to_come_again(
    sqlite_service: QueueService,
) -> None:
    limits = Limits(rate=RateLimit(per_s=0.01, burst=3))
    with serving(create_app(sqlite_service, limits=limits)) as url, asking(url) as http:
        answers = [http.get("/v1/queue/stats") for _ in range(5)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429, 429]
        assert answers[3].json()["type"] == "urn:queue-service:Overloaded"
        assert 1 <= int(answers[3].headers["retry-after"]) <= 100
        assert http.get("/v1/status").status_code == 200
        assert http.get("/v1/ready").status_code == 200


def test_the_page_counts_among_the_requests_of_an_address_too(
    sqlite_service: QueueService,
) -> None:
    limits = Limits(rate=RateLimit(per_s=0.01, burst=3))
    with serving(create_app(sqlite_service, limits=limits)) as url, asking(url) as http:
        answers = [http.get(path) for path in ("/", "/nowhere", "/v1/queue/stats", "/", "/x")]
        answers.append(http.post("/login"))
    assert [one.status_code for one in answers] == [200, 404, 200, 429, 429, 429]
    assert 1 <= int(answers[3].headers["retry-after"]) <= 100


ELSEWHERE = [
    {"Origin": "http://pages.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("by", ELSEWHERE)
def test_a_page_from_elsewhere_can_not_let_a_browser_change_anything(
    sqlite_service: QueueService, http: httpx.Client, locked: Locked, by: dict[str, str]
) -> None:
    """A body without a type needs no leave to be sent, and a browser brings its login along."""
    body = json.dumps({"buildId": 77, "jobId": 77})
    cookie = {"Cookie": f"token={locked.token('sdapi')}"}
    with serving(create_app(sqlite_service)) as url, asking(url) as open_http:
        for client, login in ((open_http, {}), (http, cookie)):
            answer = client.post(MESSAGE, content=body, headers={**by, **login})
            assert answer.status_code == 403
            assert answer.json()["type"] == "urn:queue-service:AnothersPage"
            found = client.get(MESSAGE, params={"buildId": 77}, headers=login)
            assert found.status_code == 404
        own = {"Origin": url}
        assert open_http.post(MESSAGE, content=body, headers=own).status_code == 201
    # No page can bring this header without asking first, and it is told no.
    bearer = locked.bearer("sdapi")
    assert http.post(MESSAGE, json=START, headers={**by, **bearer}).status_code in (200, 201)


def test_the_same_key_of_somebody_else_is_another_one(http: httpx.Client, locked: Locked) -> None:
    def sent(subject: str, build: int) -> httpx.Response:
        token = locked.token("sdapi", subject=subject)
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "1"}
        return http.post(MESSAGE, json={"buildId": build, "jobId": build}, headers=headers)

    for subject, build in (("ann", 501), ("bob", 502), ("b" * 9000, 503), ("\0\ud800", 504)):
        assert sent(subject, build).status_code == 201
    again, other = sent("ann", 501), sent("ann", 502)
    assert again.headers["idempotency-replayed"] == "true"
    assert other.json()["type"] == "urn:queue-service:KeyReused"


def test_more_than_can_wait_is_429_too(sqlite_service: QueueService) -> None:
    sqlite_service._writer._max_waiting = 0
    with serving(create_app(sqlite_service)) as url, asking(url) as http:
        answer = http.post(MESSAGE, json=START)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert http.get("/v1/queue/stats").status_code == 200


def test_what_is_no_http_is_refused_and_harms_nobody(http: httpx.Client, locked: Locked) -> None:
    host, port = urlsplit(locked.url).hostname or "", urlsplit(locked.url).port or 0
    for rubbish, status in (
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
        (b"GET\r\n\r\n", b"400"),
        (b"BREW / HTTP/1.1\r\n\r\n", b"400"),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", b"404"),
    ):
        with socket.create_connection((host, port), timeout=20) as line:
            line.sendall(rubbish)
            assert line.recv(4096).startswith(b"HTTP/1.1 " + status)
    assert http.get("/v1/status").status_code == 200


def test_the_log_has_a_line_for_each_request_and_no_secret_in_it(
    http: httpx.Client, locked: Locked, caplog: pytest.LogCaptureFixture
) -> None:
    token = locked.token("sdapi", subject="grace")
    with caplog.at_level(logging.INFO, logger="labs.queue_service.requests"):
        http.post(
            f"{MESSAGE}?type=frozen",
            json={"jobId": 99, "token": "body-secret"},
            headers={"Authorization": f"Bearer {token}", "Cookie": "token=cookie-secret"},
        )
        http.get("/v1/queue/message?id=my-secret-id", headers={"Authorization": "Bearer wrong"})
        http.request("REPORT", "/v1/coffee-secret")
    lines = [one.message for one in caplog.records if one.name == "labs.queue_service.requests"]
    assert len(lines) == 3
    assert '"method": "POST", "route": "/v1/queue/message", "status": 404' in lines[0]
    assert '"subject": "grace"' in lines[0]
    assert '"status": 401' in lines[1]
    assert '"method": "other", "route": "", "status": 404' in lines[2]
    assert "secret" not in "".join(lines)
    assert token not in caplog.text


@pytest.mark.parametrize("path", ["/v1/queue/stats", "/v1/status", "/", "/openapi.json"])
def test_a_server_for_this_machine_is_not_asked_for_by_a_name_from_elsewhere(
    sqlite_service: QueueService, path: str
) -> None:
    app = create_app(sqlite_service, limits=Limits(hosts=local_hosts("127.0.0.1")))
    with serving(app) as url, asking(url) as http:
        assert http.get(path).status_code == 200
        assert http.get(path, headers={"Host": "LOCALHOST:80"}).status_code == 200
        there = http.get(path, headers={"Host": "pages.example"})

    assert there.status_code == 421
    assert "header Host" in there.json()["detail"]
