"""What a worker lives through: a broker that dies or blocks, a lost connection, long work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labs.broker import connection
from labs.broker.address import Address
from labs.broker.node import PrivateNode
from tests.qprocessor.running import Qprocessor
from tests.qprocessor.test_failures import close_its_connection, failed
from tests.support import count, declare, publish

QUICK = ("--delay", "0.001")


def test_a_broker_killed_under_it_ends_it_with_a_sentence(
    own_node: PrivateNode, own_qprocessor: Qprocessor
) -> None:
    worker = own_qprocessor.consuming()
    own_node.kill()
    failed(worker, "connection_lost")


@pytest.fixture
def early_qprocessor(own_node: PrivateNode, tmp_path: Path) -> Iterator[Qprocessor]:
    """qprocessor.py on the broker of one's own, which is not up: the test before has killed it."""
    own_node.kill()
    assert own_node.address
    starter = Qprocessor(tmp_path, own_node.address.url)
    yield starter
    starter.end_all()


def test_with_reconnect_it_waits_for_a_broker_that_is_not_up_yet(
    own_node: PrivateNode, early_qprocessor: Qprocessor
) -> None:
    worker = early_qprocessor.start("--reconnect")
    worker.wait_until_says("Trying again")
    own_node.start()
    worker.wait_until_consuming()


def test_with_reconnect_it_comes_back_to_a_broker_that_was_killed(
    own_node: PrivateNode, own_qprocessor: Qprocessor, own_address: Address
) -> None:
    declare(own_address, "work", durable=True)
    flags = ("--queue", "work", "--acknowledge", "--prefetch", "1", "--reconnect")
    worker = own_qprocessor.consuming(*flags, "--delay", "0.1", "--json")
    publish(own_address, "work", ["in the middle of it"], persistent=True)
    worker.wait_until_says('"received"')
    own_node.kill()
    worker.wait_until_says('"done"')  # the work goes on; its acknowledgement has nowhere to go
    worker.wait_until_says('"reconnecting"', times=3)
    own_node.start()
    worker.wait_until_consuming(times=2)
    worker.wait_until_says('"acknowledged"')
    publish(own_address, "work", ["after"], persistent=True)
    worker.wait_until_says('"acknowledged"', times=2)
    worker.stop()
    told = [(event["body"], event["redelivered"]) for event in worker.events("done")]
    assert told == [("in the middle of it", False), ("in the middle of it", True), ("after", False)]
    assert count(own_address, "work") == 0
    first, second, third, *_ = [event["pause_s"] for event in worker.events("reconnecting")]
    assert first < second < third
    assert worker.events("disconnected")[0]["reason"]


def test_with_reconnect_it_makes_a_transient_queue_again(
    own_node: PrivateNode, own_qprocessor: Qprocessor, own_address: Address
) -> None:
    worker = own_qprocessor.consuming("--queue", "passing", "--reconnect", *QUICK)
    own_node.restart()
    worker.wait_until_consuming(times=2)
    publish(own_address, "passing", ["again"])
    worker.wait_until_says("Done again")


def test_a_wrong_password_is_no_reason_to_try_again(qprocessor: Qprocessor) -> None:
    failed(qprocessor.run("--reconnect", "--password", "wrong"), "wrong_password")


@pytest.mark.parametrize("delay", ["0", "0.001"], ids=["no work", "work"])
def test_with_reconnect_it_goes_on_when_the_broker_closes_its_connection(
    qprocessor: Qprocessor, broker: Address, vhost: Address, delay: str
) -> None:
    flags = ("--acknowledge", "--reconnect", "--delay", delay)
    worker = qprocessor.consuming(*flags)
    publish(vhost, "hello", ["one", "two"])
    worker.wait_until_says("Done two")
    close_its_connection(broker, vhost)
    worker.wait_until_consuming(times=2)
    publish(vhost, "hello", ["three", "four"])
    worker.wait_until_says("Done four")
    assert worker.stop() == 0
    assert worker.done == ["one", "two", "three", "four"]
    assert "acknowledged 4, redelivered 0" in worker.out
    assert count(vhost, "hello") == 0


def test_after_a_lost_connection_what_waited_inside_is_not_worked_on_twice(
    qprocessor: Qprocessor, broker: Address, vhost: Address
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["0123456789", "second", "third"])
    flags = ("--acknowledge", "--reconnect", "--delay", "0.05")
    worker = qprocessor.start(*flags)
    worker.wait_until_says("Received 0123456789")
    close_its_connection(broker, vhost)
    worker.wait_until_consuming(times=2)
    worker.wait_until_says("Done third")
    assert worker.stop() == 0
    assert worker.done.count("second") == 1
    assert worker.done.count("third") == 1
    assert count(vhost, "hello") == 0


def test_long_work_outlives_its_heartbeats(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["x" * 60])
    flags = ("--acknowledge", "--heartbeat", "1", "--delay", "0.1", "--max-messages", "1")
    worker = qprocessor.run(*flags)  # six times the heartbeat
    assert worker.process.returncode == 0
    assert worker.done == ["x" * 60]
    assert "acknowledged 1, redelivered 0" in worker.out
    assert count(vhost, "hello") == 0


def test_long_work_in_a_row_outlives_its_heartbeats(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", [f"{number}" for number in range(10)] * 5)
    flags = ("--acknowledge", "--heartbeat", "1", "--delay", "0.1", "--max-messages", "50")
    worker = qprocessor.run(*flags)
    assert worker.process.returncode == 0
    assert "acknowledged 50, redelivered 0" in worker.out


def test_a_full_disk_blocks_publishers_and_harms_no_worker(
    own_node: PrivateNode, own_qprocessor: Qprocessor, own_address: Address
) -> None:
    declare(own_address, "full")
    publish(own_address, "full", [f"task {number}" for number in range(9)])
    own_node.control("set_disk_free_limit", "mem_relative", "10000")
    blocked: list[object] = []
    try:
        with connection.connected(own_address) as publisher:
            publisher.add_on_connection_blocked_callback(lambda *_: blocked.append(_))
            publisher.channel().basic_publish("", "full", b"held up")
            while not blocked:
                publisher.process_data_events(time_limit=30)
            flags = ("--queue", "full", "--acknowledge", "--heartbeat", "1", *QUICK)
            worker = own_qprocessor.consuming(*flags)
            worker.wait_until_says("Done task 8")
            assert len(worker.done) == 9
            own_node.control("set_disk_free_limit", "1MB")
            worker.wait_until_says("Done held up")
            assert worker.stop() == 0
            assert "received 10, done 10, lost 0, acknowledged 10" in worker.out
    finally:
        own_node.control("set_disk_free_limit", "1MB")
