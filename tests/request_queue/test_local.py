"""librdkafka's own cluster as a process: whom it serves, what it can't do, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from labs.broker.processes import ProcessId
from labs.cli import kafka as command
from labs.errors import BadInput, BrokerFailed
from labs.request_queue import local
from labs.request_queue.kafka import KafkaLog
from labs.request_queue.local import LocalKafka
from labs.request_queue.log import LogUnreachable, Partition, Topic
from labs.waiting import wait_until

ENDS_WITHIN_S = 15.0


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_topic_has_as_many_partitions_as_were_asked_for(local_kafka: LocalKafka) -> None:
    local_kafka.create_topic(Topic("twenty", 20))
    log = KafkaLog(local_kafka.bootstrap)
    log.ensure_topic(Topic("three", 3))

    assert len(log.partitions("twenty")) == 20
    assert len(log.partitions("three")) == 3
    log.close()


def test_a_topic_is_made_once(local_kafka: LocalKafka) -> None:
    local_kafka.create_topic(Topic("once", 1))

    with pytest.raises(BadInput, match="already exists"):
        local_kafka.create_topic(Topic("once", 1))


def test_it_listens_on_loopback_alone(local_kafka: LocalKafka) -> None:
    process = psutil.Process(local_kafka.pid)
    listening = [
        one.laddr.ip for one in process.net_connections() if one.status == psutil.CONN_LISTEN
    ]

    assert set(listening) == {"127.0.0.1"}
    assert len(listening) == 2, "the broker's port, and the control port"


@pytest.mark.parametrize(
    "nonsense", [b"GET / HTTP/1.1\r\n\r\n", b'{"do": "rm"}\n', b"[]\n", b'{"do": "down", "a": 1}\n']
)
def test_what_is_no_command_is_refused_and_changes_nothing(
    local_kafka: LocalKafka, nonsense: bytes
) -> None:
    log = KafkaLog(local_kafka.bootstrap)
    log.check()
    (port,) = (one for one in [log._control] if one)

    with socket.create_connection(("127.0.0.1", port), 5) as talk:
        talk.sendall(nonsense)
        assert json.loads(talk.makefile().readline())["error"]

    log.check()
    log.close()


def test_a_partition_keeps_its_last_five_megabytes_and_drops_older_ones(
    local_kafka: LocalKafka,
) -> None:
    """As its description says: this is librdkafka's, and no choice of ours."""
    log = KafkaLog(local_kafka.bootstrap)
    log.ensure_topic(Topic("full", 1))

    for _ in range(14):
        log.append("full", bytes(500_000))

    first, end = log.offsets(Partition("full", 0))
    assert end == 14
    assert 3 <= first <= 5
    log.close()


def test_it_ends_with_the_block_and_what_asks_it_then_is_told() -> None:
    with LocalKafka() as kafka:
        pid = kafka.pid
        assert pid
    assert gone(pid)
    assert kafka.pid is None

    kafka.stop()
    with pytest.raises(LogUnreachable, match="control port"):
        kafka.down()


def test_it_ends_with_the_process_that_started_it_even_when_that_is_killed() -> None:
    code = (
        "from labs.request_queue.local import LocalKafka\n"
        "print(LocalKafka().start().pid, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    assert not gone(pid)

    parent.kill()
    parent.communicate()

    wait_until(lambda: gone(pid), ENDS_WITHIN_S, what="the cluster to end with its parent")


def test_ctrl_c_is_not_for_it_and_sigterm_is() -> None:
    with LocalKafka() as kafka:
        log = KafkaLog(kafka.bootstrap)
        assert kafka.pid
        os.kill(kafka.pid, signal.SIGINT)
        log.check()

        os.kill(kafka.pid, signal.SIGTERM)
        pid = kafka.pid
        wait_until(lambda: gone(pid), ENDS_WITHIN_S, what="the cluster to end")
        log.close()


def test_one_that_does_not_start_says_so() -> None:
    with pytest.raises(BrokerFailed, match="ended before it was ready"):
        local.first_words("")


@pytest.mark.usefixtures("labs_home")
class TestCommand:
    """`labs kafka`, and `labs down`."""

    def test_up_status_and_down(self) -> None:
        assert self.labs("kafka", "status").returncode == 3

        up = self.labs("kafka", "up")
        assert (up.returncode, up.stderr) == (0, "")
        found = self.status()
        assert found["bootstrap"] in up.stdout
        KafkaLog(found["bootstrap"]).check()

        again = self.labs("kafka", "up")
        assert "It runs already." in again.stdout
        assert self.status() == found

        assert self.labs("kafka", "down").stdout == "Stopped.\n"
        assert gone(found["pid"])
        assert self.status() == {"running": False}
        assert "No Kafka of this lab was running." in self.labs("kafka", "down").stdout

    def test_labs_down_ends_it_too(self) -> None:
        self.labs("kafka", "up")
        pid = self.status()["pid"]

        assert "The lab's Kafka is stopped." in self.labs("down").stdout

        assert gone(pid)

    def test_one_that_no_word_is_left_of_is_found_and_ended(self, labs_home: Path) -> None:
        self.labs("kafka", "up")
        pid = self.status()["pid"]
        word = labs_home / "kafka" / "state.json"
        word.write_text("{torn")

        assert self.status() == {"running": False}
        self.labs("kafka", "up")

        assert gone(pid)
        self.labs("kafka", "down")

    def test_a_stranger_who_has_got_its_process_id_is_neither_believed_nor_ended(
        self, labs_home: Path
    ) -> None:
        self.labs("kafka", "up")
        known = self.status()
        self.labs("kafka", "down")
        me = ProcessId.of(os.getpid())
        assert me
        stranger = known | {"pid": me.pid, "started": me.started - 3600}
        del stranger["running"]
        word = labs_home / "kafka" / "state.json"
        word.write_text(json.dumps(stranger))

        assert self.status() == {"running": False}
        assert "No Kafka of this lab was running." in self.labs("kafka", "down").stdout

    def test_help_says_what_it_cannot_do(self) -> None:
        said = self.labs("kafka", "--help").stdout

        for shortcoming in ("Nothing is on disk", "5 MB", "retention", "AdminClient"):
            assert shortcoming in said

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.labs("kafka", "status", "--json").stdout)
        return found

    def labs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "labs", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def test_the_lab_knows_nothing_of_a_kafka_that_was_never_started(labs_home: Path) -> None:
    assert command.kept() is None
    assert not (labs_home / "kafka").exists()
