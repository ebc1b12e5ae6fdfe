"""SIGTERM under load: no connection is reset, what was answered is there, and it ends in time.

The clients are plain sockets, so that whatever happens to a connection shows: some keep theirs and
ask again as soon as they are answered, some open one for each request, some wait for a claim. They
go on until the port is closed.
"""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from labs.broker.ports import free_port
from labs.queue_service.client import QueueServiceClient
from labs.queue_service.local_instance import STORE
from labs.task_queue.api_server import STOP_WITHIN_S
from labs.waiting import wait_until
from tests.queue_service.served_apart import is_alive

KEEPERS, OPENERS, WAITERS = 4, 3, 3


@dataclass
class Talk:
    """What the clients of one port saw; threads write to it."""

    port: int
    builds: Iterator[int] = field(default_factory=lambda: count(1))
    answered: set[int] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)
    """Connections that were cut, or refused after they had been made."""
    statuses: set[int] = field(default_factory=set)
    claimed: int = 0
    asked_to_close: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self, link: http.client.HTTPConnection, path: str, said: object) -> bool:
        """One request on a connection; whether that may be used again."""
        link.request("POST", f"/v1/queue/{path}", json.dumps(said))
        answer = link.getresponse()
        body = json.loads(answer.read())
        self.statuses.add(answer.status)
        if path == "message" and answer.status in (200, 201):
            self.answered.add(body["buildId"])
        if path == "claim" and answer.status == 200:
            self.claimed += len(body["claimed"])
        self.asked_to_close += answer.will_close
        return not answer.will_close

    def start(self, link: http.client.HTTPConnection) -> bool:
        """Start a build."""
        build = next(self.builds)
        return self.ask(link, "message", {"buildId": build, "jobId": build})

    def wait_for_work(self, link: http.client.HTTPConnection) -> bool:
        """Claim from a line in which there never is anything."""
        return self.ask(link, "claim", {"owner": "w", "cluster": "idle", "waitS": 20})

    def go_on(self, ask: Callable[[http.client.HTTPConnection], bool], *, keep: bool) -> None:
        """Ask until the port is closed, on one connection for as long as it may be kept."""
        while not self.over.is_set():
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=STOP_WITHIN_S + 20)
            try:
                link.connect()
            except ConnectionRefusedError:
                return
            try:
                while ask(link) and keep and not self.over.is_set():
                    pass
            except (OSError, http.client.HTTPException) as error:
                self.broken.append(f"{ask.__name__}: {error!r}")
            finally:
                link.close()


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A SQLite file: what its server has answered is there for the next one."""
    return f"sqlite:///{tmp_path}/queue.db"


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """What the test has started ends with it."""
    with ExitStack() as stack:
        yield stack


def served(store: str, port: int, opened: ExitStack) -> subprocess.Popen[bytes]:
    """`labs queue-service serve`, as a person would start it."""
    command = [sys.executable, "-m", "labs", "queue-service", "serve", "--port", str(port)]
    server = subprocess.Popen(command, env={STORE: store}, stdout=subprocess.DEVNULL)
    opened.callback(server.wait)
    opened.callback(server.kill)
    wait_until(lambda: is_alive(f"http://127.0.0.1:{port}"), 30, what="the server to start")
    return server


def test_sigterm_under_load_resets_no_connection_and_loses_nothing(
    store: str, opened: ExitStack
) -> None:
    port = free_port()
    server = served(store, port, opened)
    talk = Talk(port)
    opened.callback(talk.over.set)
    clients = [
        *(threading.Thread(target=talk.go_on, args=[talk.start], kwargs={"keep": True})
          for _ in range(KEEPERS)),
        *(threading.Thread(target=talk.go_on, args=[talk.start], kwargs={"keep": False})
          for _ in range(OPENERS)),
        *(threading.Thread(target=talk.go_on, args=[talk.wait_for_work], kwargs={"keep": True})
          for _ in range(WAITERS)),
    ]  # fmt: skip
    for client in clients:
        client.start()
    wait_until(lambda: talk.broken or len(talk.answered) > 200, 30, what="load")
    server.send_signal(signal.SIGTERM)
    assert server.wait(STOP_WITHIN_S + 5) == 0
    for client in clients:
        client.join(10)
    assert talk.broken == []
    assert talk.statuses <= {200, 201, 503}
    assert talk.asked_to_close >= KEEPERS + WAITERS
    served(store, port, opened)
    with QueueServiceClient(f"http://127.0.0.1:{port}") as asked:
        there = {message.build_id for message in asked.messages()}
    assert talk.answered <= there


def test_a_second_sigterm_does_not_wait(store: str, opened: ExitStack) -> None:
    port = free_port()
    server = served(store, port, opened)
    slow = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    slow.putrequest("POST", "/v1/queue/message")
    slow.putheader("Content-Length", "100")
    slow.endheaders(b"{")  # the rest never comes
    server.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_alive(f"http://127.0.0.1:{port}"), 10, what="the port to close")
    server.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(STOP_WITHIN_S / 2)
    assert server.poll() is not None
    slow.close()
