"""How long a private node takes from stopped to ready, beside a bare `rabbitmq-server`.

Both run the management plugin, start from an empty folder and are ready when an
AMQP login succeeds. They take turns, so that a busy machine is busy for both; the
ratio of the medians is what counts (at most 1.5). Run it from the checkout's root:

    .venv/bin/python -m benchmarks.startup [ROUNDS]
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from labs.broker.address import Address
from labs.broker.binaries import installed
from labs.broker.connection import log_in
from labs.broker.node import PrivateNode
from labs.broker.ports import free_port, is_free
from labs.broker.processes import carrying, kill
from labs.errors import BrokerUnreachable
from labs.waiting import wait_until

LIMIT = 1.5
MARKER = "LABS_BENCH"


def bare_start(home: Path) -> float:
    """Seconds until a bare rabbitmq-server, told only its folders and ports, lets one log in."""
    found = installed()
    assert found is not None
    amqp, management, distribution, epmd = (free_port() for _ in range(4))
    home.mkdir()
    (home / "enabled_plugins").write_text("[rabbitmq_management].\n")
    (home / "rabbitmq.conf").write_text(f"management.tcp.port = {management}\n")
    environment = {
        MARKER: str(home),
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ERL_EPMD_PORT": str(epmd),
        "RABBITMQ_NODENAME": "bare@localhost",
        "RABBITMQ_NODE_PORT": str(amqp),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(home),
        "RABBITMQ_LOG_BASE": str(home),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
    }
    begun = time.monotonic()
    server = subprocess.Popen(
        found.command("rabbitmq-server"),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = Address(host="127.0.0.1", port=amqp)

    def ready() -> bool:
        if is_free(amqp):
            return False
        try:
            log_in(address)
        except BrokerUnreachable:
            return False
        return True

    try:
        wait_until(ready, 120, what="the bare node", interval_s=0.1)
        return time.monotonic() - begun
    finally:
        kill([psutil.Process(server.pid)])
        server.wait()
        kill(carrying(MARKER, str(home)))


def private_start(home: Path) -> float:
    """Seconds until our own node is ready."""
    node = PrivateNode(home)
    begun = time.monotonic()
    node.start()
    took = time.monotonic() - begun
    node.kill()
    return took


def main() -> int:
    """Measure, print, and tell by the exit code whether the limit is kept."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    folder = Path(tempfile.mkdtemp(prefix="labs-startup-"))
    bare, private = [], []
    try:
        for turn in range(rounds):
            bare.append(bare_start(folder / f"bare{turn}"))
            private.append(private_start(folder / f"private{turn}"))
            print(f"{turn + 1}. bare {bare[-1]:5.2f} s   private {private[-1]:5.2f} s", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratio = statistics.median(private) / statistics.median(bare)
    print(f"From stopped to ready: {ratio:.2f} of a bare rabbitmq-server (limit {LIMIT}).")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
