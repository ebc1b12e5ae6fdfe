"""Several processes at one port: who comes is let in by any, and none of them is missed.

They are `labs queue-service serve --processes`, as a person starts it, on a PostgreSQL.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from operator import methodcaller
from pathlib import Path

import httpx
import psutil
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from labs.broker.ports import free_port
from labs.broker.state import ROOT
from labs.cli import labs
from labs.queue_service.client import QueueServiceClient
from labs.queue_service.client_verbs import VerbsOf
from labs.queue_service.local_instance import STORE
from labs.queue_service.processes import Processes
from labs.queue_service.service import QueueService
from labs.stopping import Stop
from labs.task_queue.api_server import STOP_WITHIN_S
from labs.waiting import wait_until
from tests.queue_service.ledger import Ledger, Load
from tests.queue_service.served_apart import is_alive
from tests.queue_service.test_stopping_under_load import Talk

pytestmark = pytest.mark.slow

TIMEOUT_S = 30.0
SERVE = (sys.executable, "-m", "labs", "queue-service", "serve")


@dataclass
class Served:
    """A server of two processes; what it logs is read as it comes."""

    name: str
    port: int
    parent: subprocess.Popen[str]
    lines: list[dict[str, object]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def processes(self) -> list[psutil.Process]:
        """Those that serve."""
        return psutil.Process(self.parent.pid).children()

    def listen(self) -> None:
        """Read what it logs until it ends."""
        assert self.parent.stderr is not None
        for line in self.parent.stderr:
            self.lines.append(json.loads(line))

    def has_said(self, pattern: str) -> list[dict[str, object]]:
        """The lines of its log in which this is."""
        return [line for line in self.lines if re.search(pattern, str(line["message"]))]


def served(store: str, opened: ExitStack, *flags: str) -> Served:
    """Start one, and return when both processes serve."""
    port, name = free_port(), f"together-{secrets.token_hex(4)}"
    words = ("--processes", "2", "--port", str(port), "--name", name, "--json", *flags)
    parent = opened.enter_context(
        subprocess.Popen(
            [*SERVE, *words],
            env={**os.environ, STORE: store},
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
    )
    opened.callback(parent.kill)
    one = Served(name, port, parent)
    threading.Thread(target=one.listen, daemon=True).start()
    wait_until(lambda: one.has_said("Serving"), 2 * TIMEOUT_S, what="both to serve")
    return one


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """What the test has started ends with it."""
    with ExitStack() as stack:
        yield stack


def looks_counted(url: str) -> float:
    """How many requests about messages have been answered, as /metrics says."""
    answer = httpx.get(f"{url}/metrics", timeout=TIMEOUT_S)
    found = {one.name: one for one in text_string_to_metric_families(answer.text)}
    return sum(
        one.value
        for one in found["queue_service_requests"].samples
        if one.name.endswith("_total") and one.labels["route"] == "/v1/queue/message"
    )


def test_they_share_the_work_count_together_and_one_that_dies_is_replaced(
    postgres_url: str, opened: ExitStack
) -> None:
    server = served(postgres_url, opened, "--log-requests")
    pids = {one.pid for one in server.processes}
    assert set(server.has_said("Serving")[0]["processes"]) == pids  # type: ignore[call-overload]

    asked = 0
    while {line["process"] for line in server.has_said('"status": 404')} != pids:
        with httpx.Client(base_url=server.url, timeout=TIMEOUT_S) as client:
            assert client.get("/v1/queue/message?buildId=1").status_code == 404
        asked += 1  # who lets in is who is free: in the end, both
    wait_until(lambda: looks_counted(server.url) == asked, TIMEOUT_S, what="all to be counted")
    assert {looks_counted(server.url) for _ in range(8)} == {asked}, "whichever is asked"

    ledger = Ledger()
    with Load([server.url], ledger) as load:
        load.wait_for(30, settled=15)
        os.kill(killed := min(pids), signal.SIGKILL)
        load.wait_for(30, settled=15)
        replaced = f"process {killed} was ended by SIGKILL. Another takes its place"
        wait_until(lambda: server.has_said(replaced), TIMEOUT_S, what="its parent to notice")
        assert server.has_said(replaced)[0]["process"] == server.parent.pid
        wait_until(lambda: len(server.processes) == 2, TIMEOUT_S, what="another one")
    with QueueServiceClient(server.url) as client:
        ledger.check(client)
    assert looks_counted(server.url) > asked, "what the dead had counted is kept"


@pytest.mark.usefixtures("doors_can_be_deafened")
def test_sigterm_under_load_resets_no_connection_and_leaves_no_process(
    postgres_url: str, opened: ExitStack
) -> None:
    server = served(postgres_url, opened)
    talk = Talk(server.port)
    opened.callback(talk.over.set)
    clients = [
        threading.Thread(target=talk.go_on, args=[ask], kwargs={"keep": keep})
        for ask, keep in (
            *[(talk.start, True)] * 4,
            *[(talk.start, False)] * 3,
            *[(talk.wait_for_work, True)] * 3,
        )
    ]
    for client in clients:
        client.start()
    wait_until(lambda: talk.broken or len(talk.answered) > 100, TIMEOUT_S, what="load")
    processes = server.processes
    recycled = min(one.pid for one in processes)
    os.kill(recycled, signal.SIGTERM)
    wait_until(lambda: server.has_said(f"{recycled} has stopped"), TIMEOUT_S)
    wait_until(lambda: len(server.processes) == 2, TIMEOUT_S, what="another one")
    processes += server.processes
    server.parent.send_signal(signal.SIGTERM)
    for one in server.processes:  # as who ends all processes of a service does
        one.send_signal(signal.SIGTERM)
    assert server.parent.wait(STOP_WITHIN_S + 5) == 0
    for client in clients:
        client.join(TIMEOUT_S)
    assert talk.broken == []
    assert talk.statuses <= {200, 201, 503}
    assert not [one for one in processes if one.is_running()]
    wait_until(lambda: server.has_said("Stopped"), TIMEOUT_S)
    with QueueService.at(postgres_url, server.name) as service:
        assert talk.answered <= {one.build_id for one in VerbsOf(service.call).messages()}
    assert not server.has_said("has not stopped yet")


def test_processes_do_not_outlive_a_parent_that_was_killed(
    postgres_url: str, opened: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = served(postgres_url, opened)
    processes = server.processes
    assert list(tmp_path.iterdir()), "where they count"
    with httpx.Client(timeout=TIMEOUT_S) as client:  # a connection that stays open
        assert client.get(f"{server.url}/v1/status").status_code == 200
        server.parent.kill()
        _, alive = psutil.wait_procs(processes, timeout=TIMEOUT_S)
    assert alive == []
    assert not is_alive(server.url)
    assert list(tmp_path.iterdir()) == []


def refused(*words: object) -> str:
    """What a server of two processes says that can't be started."""
    serve = ["queue-service", "serve", "--processes", "2", *map(str, words)]
    done = CliRunner().invoke(labs, serve)
    assert done.exit_code == 2
    return " ".join(done.stderr.split())


def test_what_several_can_not_serve_is_refused_with_a_sentence(
    postgres_url: str, opened: ExitStack, tmp_path: Path
) -> None:
    file = f"sqlite:///{tmp_path}/queue.db"
    assert "2 processes can't serve a SQLite file" in refused("--store", file)
    taken = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
    said = refused("--store", postgres_url, "--port", taken.getsockname()[1])
    assert "in use" in said
    assert "another --port" in said
    missing = tmp_path / "public.pem"
    said = refused("--store", postgres_url, "--port", 0, "--public-key", missing)
    assert said.count(str(missing)) == 1, "not by each of them"
    assert "Serving" not in said


def test_one_that_dies_again_and_again_is_replaced_ever_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop, serves_and_ends = Stop(), methodcaller("serves")
    with caplog.at_level(logging.WARNING), Processes(1, serves_and_ends) as processes:

        def look() -> None:
            processes.start(stop)
            processes.look_after(stop)

        looking = threading.Thread(target=look)
        looking.start()
        wait_until(lambda: len(caplog.messages) == 3, TIMEOUT_S, what="it to die three times")
        stop.want()
        looking.join(TIMEOUT_S)
    said = [re.sub(r"process \d+", "process", message) for message in caplog.messages]
    has_ended = "The serving process has ended with exit status 0. Another takes its place in"
    assert said == [f"{has_ended} {pause} s." for pause in ("0.5", "1", "2")]
