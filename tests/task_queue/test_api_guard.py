"""Who may not in, what is too long or too slow, and that the document tells the truth."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from labs.errors import BadInput
from labs.task_queue.api import create_app
from labs.task_queue.api_server import is_loopback, local_hosts, serving
from labs.task_queue.client import ApiClient
from labs.task_queue.errors import Unauthorised
from labs.task_queue.memory import MemoryQueue

PREFIX = "/api/v1/queue"
TOKEN = "a-token-of-a-test"
MAX_BODY_BYTES = 10_000
SOON_S = 0.3


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A server that wants a token, and has little patience."""
    app = create_app(
        MemoryQueue(), token=TOKEN, max_body_bytes=MAX_BODY_BYTES, body_within_s=SOON_S
    )
    with serving(app, silent_s=SOON_S) as url:
        yield url


@pytest.fixture
def http(guarded: str) -> Iterator[httpx.Client]:
    """Somebody who has the token."""
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=guarded + PREFIX, headers=bearer, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN])
@pytest.mark.parametrize("path", ["/sizes", "/put", "/metrics", "/nowhere"])
def test_without_the_token_nothing_is_answered_but_how_to_bring_it(
    guarded: str, path: str, given: str
) -> None:
    for method in ("GET", "POST"):
        answer = httpx.request(
            method, guarded + PREFIX + path, headers={"Authorization": given}, trust_env=False
        )
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert TOKEN not in answer.text
        assert answer.json()["kind"] == "Unauthorised"


def test_with_it_one_is_let_in_and_the_health_needs_none(guarded: str, http: httpx.Client) -> None:
    assert http.get("/sizes").status_code == 200
    assert httpx.get(f"{guarded}{PREFIX}/health", trust_env=False).json() == {"status": "ok"}
    with ApiClient(guarded, token=TOKEN) as client, ApiClient(guarded, token="wrong") as stranger:
        assert client.sizes()["WAITING"] == 0
        with pytest.raises(Unauthorised, match="those alone who bring its token"):
            stranger.sizes()
        assert TOKEN not in repr(client)


def test_a_body_that_is_too_long_is_413_whether_it_says_its_length_or_not(
    http: httpx.Client,
) -> None:
    long = b'{"a": "' + b"x" * MAX_BODY_BYTES + b'"}'
    kind = {"Content-Type": "application/json"}

    said = http.post("/put", content=long, headers=kind)
    streamed = http.post("/put", content=iter([long]), headers=kind)

    assert [said.status_code, streamed.status_code] == [413, 413]
    assert said.json()["kind"] == "TooLarge"
    assert http.get("/size/WAITING").json() == 0


def test_half_a_body_is_answered_408_and_nothing_is_stored(
    guarded: str, http: httpx.Client
) -> None:
    head = f"POST {PREFIX}/put HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += 'Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"a": 1'
    with connected(guarded) as line:
        line.sendall(head.encode())
        assert line.recv(4096).startswith(b"HTTP/1.1 408")
    with connected(guarded) as line:  # and who goes away in the middle harms nobody
        line.sendall(head.encode())
    assert http.get("/size/WAITING").json() == 0


def test_many_slow_clients_keep_nobody_from_an_answer_and_silent_ones_are_sent_away(
    guarded: str, http: httpx.Client
) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(guarded)) for _ in range(100)]
        for line in slow:
            line.sendall(b"POST /api/v1/queue/put HT")
        assert http.get("/sizes").status_code == 200
        assert all(line.recv(1) == b"" for line in slow)


def test_the_port_that_another_has_is_said_in_a_sentence() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(BadInput, match=r"can't listen on 127\.0\.0\.1:\d+: Address already in use"),
        serving(create_app(MemoryQueue()), port=taken.getsockname()[1]),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - nothing is bound here
        ("db", False),
    ],
)
def test_loopback_is_told_from_everywhere_else(host: str, here: bool) -> None:
    assert is_loopback(host) is here


def test_what_can_not_be_found_or_done_is_json_too(http: httpx.Client) -> None:
    assert http.get("/nowhere").json()["kind"] == "NoSuchPath"
    assert http.get("/put").json()["kind"] == "NoSuchMethod"


STRICT = """
[[operations]]  # an unknown id is 400, as known clients expect
include-path-regex = "/(status|lookup_item)"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401"]
[[operations]]  # `after` is any text that a page has given
include-path-regex = "/lookup_state/"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "422"]
"""


@pytest.mark.slow
def test_the_openapi_document_tells_the_truth(tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(STRICT)
    app = create_app(MemoryQueue(), token=TOKEN)
    app.state.bell.close()  # nobody waits
    with serving(app) as url:
        document = httpx.get(f"{url}/openapi.json", trust_env=False).json()
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
                *("run", f"{url}/openapi.json", "--header", f"Authorization: Bearer {TOKEN}"),
                *("--phases", "coverage", "--no-color"),
                "--generation-deterministic",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
    assert "Tested: 23" in ran.stdout

    schemes = document["components"]["securitySchemes"]
    assert [one["scheme"] for one in schemes.values()] == ["bearer"]
    paths = document["paths"]
    assert all("security" in verb for path, verbs in paths.items() for verb in verbs.values()) is (
        f"{PREFIX}/health" not in paths
    )
    assert paths[f"{PREFIX}/get/{{n_items}}"]["get"]["deprecated"] is True


def test_a_server_without_a_token_does_not_say_that_it_wants_one() -> None:
    assert "securitySchemes" not in create_app(MemoryQueue()).openapi()["components"]


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def test_a_server_for_this_machine_is_not_asked_for_by_a_name_from_elsewhere() -> None:
    with serving(create_app(MemoryQueue(), hosts=local_hosts("127.0.0.1"))) as url:
        for host, status in ((urlsplit(url).netloc, 200), ("LocalHost", 200), ("a.example", 421)):
            sizes = httpx.get(f"{url}{PREFIX}/sizes", headers={"Host": host}, trust_env=False)
            assert sizes.status_code == status

    assert local_hosts("0.0.0.0") is None  # noqa: S104 - nothing listens there
