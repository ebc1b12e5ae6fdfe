"""The process behind `LocalKafka`: librdkafka's own cluster, and a port to command it.

librdkafka, which confluent-kafka brings along, can be the broker too: its mock cluster
speaks the real protocol on loopback to any client of any process, and keeps everything
in memory. It can make no topic over that protocol, so this process also listens on a
control port (one JSON object in, one out). The port's number is in the
name of a topic, so that whoever knows the cluster's address finds it.

It prints one line of JSON when it is ready, and ends on SIGTERM, or with its parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import cimpl

from labs.request_queue.local import CONTROL_TOPIC

LOOK_FOR_PARENT_EVERY_S = 0.3
PRODUCER, CONFIGURED = 0, 0
NO_LOGS = {"log_level": "0", "bootstrap.servers": "nobody"}
ALL_BROKERS = -1
FIRST_MEMBER_WAITS_MS = 100
LONGEST_LINE = 10_000


class Cluster:
    """librdkafka's mock cluster, by ctypes on the library that confluent-kafka has loaded."""

    def __init__(self, brokers: int) -> None:
        self._lib = _library()
        said = ctypes.create_string_buffer(512)
        settings = self._lib.rd_kafka_conf_new()
        for name, value in NO_LOGS.items():
            set_ = self._lib.rd_kafka_conf_set(settings, name.encode(), value.encode(), said, 512)
            assert set_ == CONFIGURED, said.value
        self._client = self._lib.rd_kafka_new(PRODUCER, settings, said, 512)
        assert self._client, said.value
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._client, brokers)
        assert self._cluster, "librdkafka made no cluster"
        self.first_member_waits(FIRST_MEMBER_WAITS_MS)

    @property
    def bootstrap(self) -> str:
        """The brokers' addresses, host:port, with commas between."""
        found: bytes = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return found.decode()

    def first_member_waits(self, ms: int) -> None:
        """How long a group's first member waits for others; who comes later joins by a rebalance,
        which here lasts as long as the members' session timeout."""
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, ms)

    def create_topic(self, name: str, num_partitions: int, replication_factor: int) -> None:
        """Make a topic.

        Raises:
            ValueError: librdkafka refuses it, as when it is there.
        """
        self._check(
            self._lib.rd_kafka_mock_topic_create(
                self._cluster, name.encode(), num_partitions, replication_factor
            )
        )

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete the records below the offset."""
        self._check(
            self._lib.rd_kafka_mock_partition_delete_records(
                self._cluster, topic.encode(), partition, offset
            )
        )

    def fail_next(self, request: int, error: int, times: int) -> None:
        """Answer the next so many requests of a kind with an error, both as Kafka numbers them."""
        errors = (ctypes.c_int * times)(*[error] * times)
        self._lib.rd_kafka_mock_push_request_errors_array(self._cluster, request, times, errors)

    def down(self) -> None:
        """Cut all connections and refuse new ones. What is in the cluster stays."""
        self._check(self._lib.rd_kafka_mock_broker_set_down(self._cluster, ALL_BROKERS))

    def up(self) -> None:
        """Undo `down`."""
        self._check(self._lib.rd_kafka_mock_broker_set_up(self._cluster, ALL_BROKERS))

    def _check(self, code: int) -> None:
        if code:
            words: bytes = self._lib.rd_kafka_err2str(code)
            raise ValueError(words.decode())


def _library() -> Any:
    """librdkafka: a library finds what it is itself linked to, so the extension's own will do."""
    library = ctypes.CDLL(cimpl.__file__)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_err2str": (text, [number]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_partition_delete_records": (
            number,
            [pointer, text, ctypes.c_int32, ctypes.c_int64],
        ),
        "rd_kafka_mock_push_request_errors_array": (
            None,
            [pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)],
        ),
        "rd_kafka_mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Control(socketserver.ThreadingTCPServer):
    """The control port: `{"do": "create_topic", …}` in, `{}` or `{"error": …}` out."""

    daemon_threads = True

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(("127.0.0.1", 0), ControlTalk)
        self.commands: Mapping[str, Callable[..., None]] = {
            "create_topic": cluster.create_topic,
            "delete_before": cluster.delete_before,
            "fail_next": cluster.fail_next,
            "first_member_waits": cluster.first_member_waits,
            "down": cluster.down,
            "up": cluster.up,
        }


class ControlTalk(socketserver.StreamRequestHandler):
    """One connection to the control port: one command, one answer."""

    server: Control

    def handle(self) -> None:
        """Obey one line."""
        try:
            asked = json.loads(self.rfile.readline(LONGEST_LINE))
            self.server.commands[asked.pop("do")](**asked)
            answer = {}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            answer = {"error": f"{error}"}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


def main(brokers: int, parent: int | None) -> None:
    """Be the cluster, until SIGTERM, or until `parent` is no longer this process's parent."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    # Ctrl-C is for whoever started it, and reaches all of a terminal's processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cluster = Cluster(brokers)
    with Control(cluster) as control:
        threading.Thread(target=control.serve_forever, daemon=True).start()
        port = control.server_address[1]
        cluster.create_topic(f"{CONTROL_TOPIC}{port}", 1, 1)
        print(json.dumps({"bootstrap": cluster.bootstrap, "control": port}), flush=True)
        while not ended.wait(LOOK_FOR_PARENT_EVERY_S):
            if parent is not None and os.getppid() != parent:
                break
    os._exit(0)  # everything is in memory: there is nothing to put away


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
