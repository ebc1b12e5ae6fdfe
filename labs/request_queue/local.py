"""A Kafka for lessons and tests, with nothing to install: librdkafka's own, as a process.

`with LocalKafka() as kafka:` starts it on loopback; `kafka.bootstrap` is its address for
any Kafka client of any process. It ends with the block, or with the process that started
it. It is no Kafka to keep work on:
- nothing is on disk; all is gone when it ends,
- a partition keeps its last 5 MB or 100,000 records and drops older ones; there is no
  retention by time, and a topic's settings are not heeded,
- it knows no AdminClient: no client can make, describe or delete topics (`KafkaLog` makes
  them through a port of its own, `create_topic` here too), and a producer that appends
  to a topic that is not there makes it, with four partitions,
- a rebalance waits until a second before the group's session time-out.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from labs.errors import BadInput, BrokerFailed, LabError
from labs.request_queue.log import LogUnreachable, Topic

CLUSTER_ID = "mockCluster"
"""What librdkafka's own cluster begins its name with."""
CONTROL_TOPIC = "labs.local-kafka.control."
"""What the name of the topic begins with that ends with the control port's number."""
ANSWER_WITHIN_S = 5.0
END_WITHIN_S = 5.0


class LocalKafka:
    """A cluster of `brokers` brokers in a process of its own."""

    def __init__(self, *, brokers: int = 1) -> None:
        self._brokers = brokers
        self._process: subprocess.Popen[str] | None = None
        self._control = 0
        self.bootstrap = ""
        """Its address for a Kafka client: host:port, with commas between; empty until started."""

    def start(self) -> Self:
        """Start it, and return when it answers.

        Raises:
            BrokerFailed: it ended before it was ready.
        """
        self._process = subprocess.Popen(
            command(self._brokers, parent=os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.bootstrap, self._control = first_words(self._process.stdout.readline())
        return self

    def create_topic(self, topic: Topic) -> None:
        """Make a topic.

        Raises:
            BadInput: it is there.
        """
        ask(
            self._control,
            do="create_topic",
            name=topic.name,
            num_partitions=topic.num_partitions,
            replication_factor=topic.replication_factor,
        )

    def down(self) -> None:
        """Cut all connections and refuse new ones. What is in it stays."""
        ask(self._control, do="down")

    def up(self) -> None:
        """Undo `down`."""
        ask(self._control, do="up")

    def fail_next(self, request: int, error: int, times: int = 1) -> None:
        """Answer the next requests of a kind (8: OffsetCommit) with an error (16: no coordinator).

        Both are numbers of Kafka's protocol.
        """
        ask(self._control, do="fail_next", request=request, error=error, times=times)

    def first_member_waits(self, ms: int) -> None:
        """Let a new group's first member wait so long for others, before it is given partitions."""
        ask(self._control, do="first_member_waits", ms=ms)

    @property
    def pid(self) -> int | None:
        """The process's id; None: not started, or stopped."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """End it; what is in it is gone. Twice is no error."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._process = None

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.stop()


def command(brokers: int, *, parent: int | None) -> list[str]:
    """The command of the process: it prints one line (`first_words`) and ends with `parent`."""
    of_parent = [] if parent is None else [str(parent)]
    return [sys.executable, "-m", "labs.request_queue.local_cluster", str(brokers), *of_parent]


def first_words(line: str) -> tuple[str, int]:
    """The address and the control port, from the line that the process prints when it is ready.

    Raises:
        BrokerFailed: there is none.
    """
    try:
        said = json.loads(line)
        return str(said["bootstrap"]), int(said["control"])
    except (ValueError, KeyError, TypeError):
        raise BrokerFailed(
            "librdkafka's own cluster ended before it was ready.",
            remedy="Is confluent-kafka installed from its wheel? `make venv` installs it.",
        ) from None


def control_port(topics: Iterable[str]) -> int | None:
    """The control port, out of the topics' names; None: the cluster is not the kit's."""
    for name in topics:
        if name.startswith(CONTROL_TOPIC):
            return int(name.removeprefix(CONTROL_TOPIC))
    return None


def ask(port: int, **asked: Any) -> None:
    """Give a command to the cluster behind the control port.

    Raises:
        LogUnreachable: nobody is there.
        BadInput: it refuses.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_WITHIN_S) as talk:
            talk.sendall(json.dumps(asked).encode() + b"\n")
            answer = json.loads(talk.makefile().readline())
    except (OSError, ValueError):
        raise LogUnreachable(
            f"The local Kafka does not answer on its control port {port}.",
            remedy="It has ended: start another.",
        ) from None
    if error := answer.get("error"):
        raise refusal(asked, error)


def refusal(asked: dict[str, Any], error: str) -> LabError:
    """What the cluster said no to, in a sentence."""
    return BadInput(
        f"The local Kafka refuses {asked.get('do')}: {error}.",
        remedy="It can make topics (anew each name), delete records, go down and up.",
    )
