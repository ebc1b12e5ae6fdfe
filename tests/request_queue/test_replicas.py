"""Replicas are added and killed in mid-work: nothing is lost, nothing jumps the queue.

Real processes on a Kafka that answers as one does; each writes what it begins and ends to one
file. At every look, what is committed must have been done by then.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from labs.request_queue import DriverSettings, LifecycleRequestQueueService
from labs.request_queue.kafka import KafkaLog
from labs.request_queue.local import LocalKafka
from labs.request_queue.log import Partition
from labs.waiting import wait_until
from tests.request_queue.replica import TOPIC

ROOT = Path(__file__).parents[2]
KEYS, EACH, WORK_S = 12, 8, 0.1


@dataclass
class Fleet:
    """Replicas as processes, the requests, and what became of them."""

    bootstrap: str
    journal: Path
    service: LifecycleRequestQueueService
    replicas: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    places: dict[tuple[Partition, int], tuple[str, int]] = field(default_factory=dict)
    """Where each request stands in the log."""

    def add(self, *names: str) -> None:
        for name in names:
            module = "tests.request_queue.replica_process"
            self.replicas[name] = subprocess.Popen(
                [sys.executable, "-m", module, self.bootstrap, self.journal, name, str(WORK_S)],
                cwd=ROOT,
            )

    def kill_in_mid_work(self, name: str) -> None:
        wait_until(lambda: self.in_work(name), 40, what=f"{name} to work", interval_s=0.005)
        self.replicas[name].kill()
        self.replicas[name].wait()

    def queue(self) -> None:
        for n in range(EACH):
            for key in range(KEYS):
                place = self.service.queue_lifecycle_request({"request_id": f"key{key}", "n": n})
                self.places[place.partition, place.offset] = (f"key{key}", n)

    def lines(self) -> list[tuple[str, str, int, str]]:
        """began or ended, key, number, replica."""
        text = self.journal.read_text() if self.journal.exists() else ""
        split = (line.split() for line in text.splitlines())
        return [(what, key, int(n), name) for what, key, n, name in split]

    def in_work(self, name: str) -> bool:
        his = [what for what, _, _, who in self.lines() if who == name]
        return bool(his) and his[-1] == "began"

    def first(self, what: str) -> list[tuple[str, int]]:
        """Requests in the order in which they were first begun, or ended."""
        return list(dict.fromkeys((key, n) for kind, key, n, _ in self.lines() if kind == what))

    def committed(self) -> Mapping[Partition, int]:
        return self.service.log.committed(self.service.settings.queue.group_id, TOPIC)

    def assert_nothing_is_committed_that_was_not_done(self) -> None:
        committed = self.committed()  # before the journal is read: it is behind it, never ahead
        done = set(self.first("ended"))
        for (partition, offset), request in self.places.items():
            if offset < committed.get(partition, 0):
                assert request in done, f"{request} is committed and was not done"

    def all_is_committed(self) -> bool:
        self.assert_nothing_is_committed_that_was_not_done()
        committed = self.committed()
        return all(offset < committed.get(row, 0) for row, offset in self.places)


@pytest.fixture
def fleet(local_kafka: LocalKafka, tmp_path: Path) -> Iterator[Fleet]:
    log = KafkaLog(local_kafka.bootstrap)
    fleet = Fleet(local_kafka.bootstrap, tmp_path / "journal", LifecycleRequestQueueService(log))
    yield fleet
    for process in fleet.replicas.values():
        process.kill()
        process.wait()
    log.close()


@pytest.mark.slow
def test_every_request_is_done_in_order_though_replicas_come_and_are_killed(fleet: Fleet) -> None:
    assert fleet.service.settings == DriverSettings()
    fleet.service.make_topics()
    fleet.add("one", "two")
    fleet.queue()
    fleet.kill_in_mid_work("one")
    fleet.assert_nothing_is_committed_that_was_not_done()
    fleet.add("three", "four")
    fleet.kill_in_mid_work("three")
    fleet.kill_in_mid_work("two")
    fleet.add("five")
    wait_until(fleet.all_is_committed, 90, what="all to be committed", interval_s=0.2)

    every = {(f"key{key}", n) for key in range(KEYS) for n in range(EACH)}
    assert set(fleet.first("ended")) == every
    for what in ("began", "ended"):
        for key in range(KEYS):
            numbers = [n for its, n in fleet.first(what) if its == f"key{key}"]
            assert numbers == sorted(numbers), f"key{key} {what} out of order"
    again = [what for what, *_ in fleet.lines()].count("ended") - len(every)
    assert again <= 2 * KEYS, "few were done twice"

    for name in ("four", "five"):
        fleet.replicas[name].terminate()
        assert fleet.replicas[name].wait(30) == 0
