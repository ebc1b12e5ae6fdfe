"""The log on Kafka where it differs from any other: silence, secrets, settings, its library."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Message

from labs.broker.ports import free_port
from labs.errors import BadInput
from labs.request_queue.kafka import KafkaLog
from labs.request_queue.kafka_consumer import record_of
from labs.request_queue.kafka_settings import KEPT
from labs.request_queue.local import LocalKafka
from labs.request_queue.log import LogUnreachable, NotAppended, NotCommitted, Topic
from labs.waiting import wait_until
from tests.request_queue.conftest import take

PATIENCE_S = 30.0
"""Far more than any call may take; what hangs takes longer."""
PRODUCE, OUT_OF_ORDER = 0, 45
OFFSET_COMMIT, REBALANCE_IN_PROGRESS = 8, 27


@pytest.fixture
def own_kafka() -> Iterator[LocalKafka]:
    """A cluster that a test may treat badly."""
    with LocalKafka() as kafka:
        kafka.create_topic(Topic("t", 2))
        yield kafka


@contextmanager
def silenced(kafka: LocalKafka) -> Iterator[None]:
    """The cluster's connections stay, and nothing comes from it."""
    assert kafka.pid
    os.kill(kafka.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, kafka.pid, os.WSTOPPED)  # till then it may still answer
    try:
        yield
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


def test_where_nobody_listens_each_call_says_so_within_its_time() -> None:
    log = KafkaLog(f"127.0.0.1:{free_port()}")
    begun = time.monotonic()

    with pytest.raises(LogUnreachable, match="Connection refused") as refused:
        log.check(timeout_s=1)
    assert "labs kafka up" in refused.value.remedy
    with pytest.raises(NotAppended, match="Connection refused"):
        log.append("t", b"v", timeout_s=1)
    with pytest.raises(LogUnreachable, match="Connection refused"):
        log.consumer("g", ["t"])
    log.close()

    assert time.monotonic() - begun < PATIENCE_S


@pytest.mark.slow
def test_a_cluster_that_falls_silent_hangs_nothing_not_even_close(own_kafka: LocalKafka) -> None:
    log = KafkaLog(own_kafka.bootstrap)
    log.append("t", b"v")
    consumer = log.consumer("g", ["t"])
    (record,) = take(consumer, 1)
    begun = time.monotonic()

    with silenced(own_kafka):
        with pytest.raises(NotCommitted, match="no answer"):
            consumer.commit(record)
        with pytest.raises(LogUnreachable, match="Timed out"):
            log.check(timeout_s=0.5)
        with pytest.raises(NotAppended, match="no answer within"):
            log.append("t", b"v", timeout_s=0.5)
        assert consumer.poll(0.1) is None
        consumer.close()
        log.close()

    assert time.monotonic() - begun < PATIENCE_S


def test_a_producer_that_lost_its_records_order_is_replaced_by_a_new_one(
    own_kafka: LocalKafka,
) -> None:
    log = KafkaLog(own_kafka.bootstrap)
    log.append("t", b"before")
    own_kafka.fail_next(PRODUCE, OUT_OF_ORDER)

    with pytest.raises(NotAppended, match="out of order"):
        log.append("t", b"not this one")

    log.append("t", b"after")
    log.close()


def test_a_producer_that_fails_while_nobody_waits_for_it_is_replaced_too(
    own_kafka: LocalKafka,
) -> None:
    log = KafkaLog(own_kafka.bootstrap)
    log.append("t", b"before")
    own_kafka.fail_next(PRODUCE, OUT_OF_ORDER)
    with pytest.raises(NotAppended, match="no answer within 0 s"):
        log.append("t", b"given up at once", timeout_s=0)

    def goes_on() -> bool:
        try:
            return bool(log.append("t", b"after"))
        except NotAppended:
            return False

    wait_until(goes_on, PATIENCE_S, what="an append to be acknowledged")
    log.close()


def test_a_commit_that_a_rebalance_refuses_is_made_after_the_next_poll(
    own_kafka: LocalKafka,
) -> None:
    log = KafkaLog(own_kafka.bootstrap)
    log.append("t", b"v")
    consumer = log.consumer("g", ["t"])
    (record,) = take(consumer, 1)
    own_kafka.fail_next(OFFSET_COMMIT, REBALANCE_IN_PROGRESS)

    with pytest.raises(NotCommitted, match="rebalance in progress"):
        consumer.commit(record)

    assert record.partition in consumer.assignment()
    deadline = time.monotonic() + PATIENCE_S
    while not log.committed("g", "t"):
        assert time.monotonic() < deadline, "it was never committed"
        assert consumer.poll(0.1) in (None, record)
        try:
            consumer.commit(record)
        except NotCommitted:
            continue
    consumer.close()
    log.close()


@pytest.mark.parametrize("name", KEPT)
def test_a_setting_that_a_promise_hangs_on_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadInput, match=f"'{name}' is not to be chosen") as refused:
        KafkaLog("127.0.0.1:1", {name: "0"})

    assert KEPT[name] in refused.value.remedy


def test_a_setting_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r'"sasl\.pasword"'):
        KafkaLog("127.0.0.1:1", {"sasl.pasword": "hush"})


def test_settings_of_tls_and_sasl_are_passed_on_and_their_secrets_never_shown(
    own_kafka: LocalKafka, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "ann",
        "sasl.password": "hush-hush",
    }
    log = KafkaLog(own_kafka.bootstrap, secrets)

    with pytest.raises(LogUnreachable) as refused:  # this cluster knows no passwords
        log.check(timeout_s=1)
    with pytest.raises(BadInput) as mistaken:
        KafkaLog("127.0.0.1:1", secrets | {"sasl.mechanism": "hush-hush"})
    log.close()

    shown = f"{refused.value} {refused.value.remedy} {mistaken.value} {log!r}"
    written = "".join(capfd.readouterr()) + caplog.text
    assert "hush" not in shown + written


def test_nothing_of_the_librarys_own_log_is_printed(own_kafka: LocalKafka) -> None:
    code = (
        "import sys; from labs.request_queue.kafka import KafkaLog\n"
        "log = KafkaLog(sys.argv[1]); log.append('t', b'v')\n"
        "consumer = log.consumer('g', ['t']); consumer.poll(1)\n"
        "print('ready', flush=True); input()\n"
        "consumer.poll(1)\n"
        "try: log.append('t', b'v', timeout_s=2)\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code, own_kafka.bootstrap],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout
    assert program.stdout.readline() == "ready\n"
    own_kafka.down()

    said, complained = program.communicate("go on\n", timeout=60)

    assert (program.returncode, said, complained) == (0, "NotAppended\n", "")


def test_a_replica_that_is_killed_loses_nothing_another_takes_over(own_kafka: LocalKafka) -> None:
    log = KafkaLog(own_kafka.bootstrap)
    for value in (b"done", b"in hand"):
        log.append("t", value, key=b"k")
    code = (
        "import sys; from labs.request_queue.kafka import KafkaLog\n"
        "consumer = KafkaLog(sys.argv[1]).consumer('g', ['t'])\n"
        "taken = []\n"
        "while len(taken) < 2:\n"
        "    if record := consumer.poll(0.1): taken.append(record)\n"
        "consumer.commit(taken[0])\n"
        "print('in hand', flush=True); input()\n"
    )
    replica = subprocess.Popen(
        [sys.executable, "-c", code, own_kafka.bootstrap],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert replica.stdout
    assert replica.stdout.readline() == "in hand\n"

    replica.kill()
    replica.communicate()

    consumer = log.consumer("g", ["t"])
    assert [record.value for record in take(consumer, 1)] == [b"in hand"]
    consumer.close()
    log.close()


def test_headers_that_the_client_cannot_read_are_left_out_and_the_record_is_whole() -> None:
    class NotUtf8(Message):
        """As it is when the name of a header is not UTF-8."""

        def headers(self) -> list[Any] | None:
            raise SystemError("<method 'headers'> returned a result with an exception set")

    record = record_of(NotUtf8(topic="t", partition=0, offset=3, key=b"k", value=b"v"))

    assert (record.key, record.value, record.headers) == (b"k", b"v", {})
