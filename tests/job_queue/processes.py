"""Worker processes for tests, behind a proxy that can strike, on a broker that can be killed."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from labs.broker.address import Address
from labs.broker.state import ROOT
from labs.job_queue import JobQueue
from labs.journal import Journal
from labs.proxy.server import Proxy, Upstream
from labs.waiting import wait_until
from tests.job_queue.queues import QUICK

TIMEOUT_S = 60.0
DOOR = "worker"


class Site:
    """One job queue, its worker processes behind a proxy, and what their handlers noted."""

    def __init__(self, broker: Address, folder: Path, name: str | None = None) -> None:
        self.name = name or f"jobs-{secrets.token_hex(4)}"
        self.ledger = folder / "ledger.txt"
        self.hold = self.ledger.with_suffix(".hold")
        self.journal = Journal()
        self.proxy = Proxy(Upstream(broker.host, broker.port), self.journal)
        self._broker = broker
        self._processes: list[subprocess.Popen[bytes]] = []
        self._address = broker
        self.ledger.touch()

    def __enter__(self) -> Self:
        self.proxy.__enter__()
        self._address = replace(self._broker, host="127.0.0.1", port=self.proxy.open(DOOR))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self.proxy.__exit__(kind, error, trace)

    def queue(self) -> JobQueue:
        """The job queue, for the test: not by way of the proxy."""
        return JobQueue.connect(self._broker.url, self.name, **QUICK)

    def start_worker(self) -> subprocess.Popen[bytes]:
        """One more worker process."""
        environment = os.environ | {
            "AMQP_URL": self._address.url,
            "QUEUE": self.name,
            "LEDGER": str(self.ledger),
        }
        command = [sys.executable, "-m", "tests.job_queue.a_worker"]
        self._processes.append(subprocess.Popen(command, cwd=ROOT, env=environment))
        return self._processes[-1]

    def came(self) -> Counter[str]:
        """How often each job has come to a handler."""
        return Counter(self.ledger.read_text().split())

    def wait_for(self, number: int) -> None:
        """Wait until jobs have come to handlers so often."""
        wait_until(
            lambda: self.came().total() >= number,
            TIMEOUT_S,
            what=f"{number} on the ledger, which has {self.came()}",
        )

    def wait_for_strike(self) -> None:
        """Wait until a fault has struck."""
        self.journal.wait_for(
            lambda events: any(event.kind == "fault" for event in events),
            TIMEOUT_S,
            what="the fault to strike",
        )


def terminate(process: subprocess.Popen[bytes]) -> int:
    """Ask it to stop, and wait: its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(TIMEOUT_S)
