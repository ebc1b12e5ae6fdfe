"""The logs that the contract is held against: in memory, librdkafka's own, and real ones.

`LABS_TEST_KAFKA=host:port` adds one that is up already, such as the compose file's. Each
test gets topics and groups of its own, by names that nobody had before it.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from labs.request_queue.kafka import KafkaLog
from labs.request_queue.local import LocalKafka
from labs.request_queue.log import Consumer, Log, Partition, Record, Topic
from labs.request_queue.memory import MemoryLog
from tests.request_queue.modern_kafka import ModernKafka, modern_kafka

GIVEN = os.environ.get("LABS_TEST_KAFKA")
SILENCE_S = 2.0
"""How long a consumer may be silent in these tests, where the log lets us choose."""
REAL_SILENCE_S = 6.0
"""The least that a real Kafka lets a group choose."""
SETTLES_S = 40.0
"""The longest that a group takes to settle: a real one may wait for its session's time-out."""


@dataclass
class Ground:
    """A log, what it can do, and names on it that are the test's own."""

    log: Log
    silence_s: float
    """How long a consumer may be silent before it loses its partitions."""
    down: Callable[[], None] | None = None
    up: Callable[[], None] | None = None
    deletes: bool = True
    consumers: list[Consumer] = field(default_factory=list)
    mark: str = field(default_factory=lambda: secrets.token_hex(4))
    """Makes a group's name the test's own: a member's farewell disturbs no other test."""

    def topic(self, num_partitions: int = 4) -> str:
        """A new topic."""
        name = f"test-{secrets.token_hex(4)}"
        self.log.ensure_topic(Topic(name, num_partitions))
        return name

    def consumer(self, group: str, topic: str, **callbacks: object) -> Consumer:
        """A consumer that is closed with the test."""
        made = self.log.consumer(f"{group}-{self.mark}", [topic], **callbacks)  # type: ignore[arg-type]
        self.consumers.append(made)
        return made

    def committed(self, group: str, topic: str) -> Mapping[Partition, int]:
        """What the group has committed."""
        return self.log.committed(f"{group}-{self.mark}", topic)

    def close(self) -> None:
        """Close what the test has left open."""
        if self.up:
            self.up()
        for consumer in self.consumers:
            consumer.close()


@pytest.fixture(scope="session")
def local_kafka() -> Iterator[LocalKafka]:
    """librdkafka's own cluster, one for the run."""
    with LocalKafka() as kafka:
        yield kafka


@pytest.fixture(scope="session")
def modern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModernKafka]:
    """A server of another make that speaks the protocol of today, one for the run."""
    with modern_kafka(tmp_path_factory.mktemp("modern kafka")) as kafka:
        yield kafka


@pytest.fixture(params=["memory", "local", "modern", *(["given"] if GIVEN else [])])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """Each log in turn."""
    made = grounds(request)
    yield made
    made.close()
    made.log.close()


def grounds(request: pytest.FixtureRequest) -> Ground:
    match request.param:
        case "memory":
            memory = MemoryLog(max_poll_interval_s=SILENCE_S)
            return Ground(memory, SILENCE_S, memory.down, memory.up)
        case "local":
            local: LocalKafka = request.getfixturevalue("local_kafka")
            log = KafkaLog(local.bootstrap, {"max.poll.interval.ms": int(SILENCE_S * 1000)})
            return Ground(log, SILENCE_S, local.down, local.up)
        case "modern":
            modern: ModernKafka = request.getfixturevalue("modern")
            return Ground(
                KafkaLog(modern.bootstrap, silent_for(SILENCE_S)), SILENCE_S, deletes=False
            )
        case _:
            assert GIVEN, "the fixture has no such parameter without an address"
            return Ground(KafkaLog(GIVEN, silent_for(REAL_SILENCE_S)), REAL_SILENCE_S)


def silent_for(seconds: float) -> dict[str, int]:
    """The settings of consumers that may be silent for so long, their process's threads too."""
    limit = int(seconds * 1000)
    return {
        "session.timeout.ms": limit,
        "max.poll.interval.ms": limit,
        "heartbeat.interval.ms": limit // 10,
    }


def take(consumer: Consumer, count: int, *others: Consumer) -> list[Record]:
    """So many records, one after the other; the other consumers are kept alive meanwhile."""
    taken: list[Record] = []
    deadline = time.monotonic() + SETTLES_S
    while len(taken) < count and time.monotonic() < deadline:
        if record := consumer.poll(0.1):
            taken.append(record)
        for other in others:
            assert other.poll(0) is None, "the other consumer got what was not meant for it"
    assert len(taken) == count, f"{len(taken)} of {count} records came"
    return taken


def settle(*consumers: Consumer, partitions: int) -> None:
    """Poll all of them until each has a share, and the shares are all partitions."""
    deadline = time.monotonic() + SETTLES_S
    while True:
        for consumer in consumers:
            consumer.poll(0.02)
        shares = [consumer.assignment() for consumer in consumers]
        if all(shares) and sum(map(len, shares)) == partitions:
            return
        assert time.monotonic() < deadline, f"the group did not settle: {shares}"


class Alive:
    """Polls a consumer in a thread of its own, as a replica would; keeps what it got."""

    def __init__(self, consumer: Consumer) -> None:
        self.got: list[Record] = []
        self._consumer = consumer
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        while not self._ended.is_set():
            if record := self._consumer.poll(0.05):
                self.got.append(record)

    def end(self) -> None:
        """Stop polling."""
        self._ended.set()
        self._thread.join()
