"""Watching a queue: what is ready is exact, what is unacknowledged says by whom it is told."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import replace

import pytest

from labs.broker.address import Address
from labs.broker.connection import connected
from labs.broker.management import Management
from labs.notebook import Lab
from labs.notebook.watching import FROM_MANAGEMENT, FROM_WORKERS, Watch, management_tells
from tests.support import publish, wait_until


def test_ready_messages_and_consumers_are_seen(lab: Lab, vhost: Address) -> None:
    queue = lab.fresh("work")
    with lab.watch(queue) as watch:
        with connected(vhost) as connection:
            connection.channel().queue_declare(queue, durable=True)
        publish(vhost, queue, ["a", "b", "c"])
        wait_until(lambda: watch.samples[-1].ready == 3, 10)
        with lab.workers(2, queue=queue, delay=0) as workers:
            wait_until(lambda: watch.samples[-1].consumers == 2, 10)
            workers.wait_until_done(3)
    first, last = watch.samples[0], watch.samples[-1]
    assert not first.exists
    assert (last.ready, last.consumers, last.exists) == (0, 0, True)
    times = [sample.at_s for sample in watch.samples]
    assert times == sorted(times)


def test_without_the_management_api_workers_tell_what_they_hold(lab: Lab, vhost: Address) -> None:
    queue = lab.fresh("work")
    with (
        lab.watch(queue) as watch,
        lab.workers(queue=queue, delay=0, acknowledge=True, lose_every=1) as workers,
    ):
        publish(vhost, queue, ["a", "b"])
        workers.wait_until_handled(2)
        wait_until(lambda: watch.samples[-1].unacknowledged == 2, 10)
    assert watch.source == FROM_WORKERS
    plot = lab.plot(watch)
    assert plot is not None
    assert "in the workers' own words" in plot.svg
    assert watch.samples[-1].unacknowledged == 0


def test_the_management_api_tells_what_is_unacknowledged(broker: Address, vhost: Address) -> None:
    with Management(broker) as management:
        management.set_permissions(broker.username, vhost.vhost)
    seen_by = broker.in_vhost(vhost.vhost)
    assert management_tells(seen_by)
    with connected(vhost) as connection:
        channel = connection.channel()
        channel.queue_declare("work", durable=True)
        channel.basic_publish("", "work", b"x")
        with Watch("work", seen_by, in_hand=lambda: 99, management=True) as watch:
            wait_until(lambda: watch.samples[-1].ready == 1, 10)
            assert channel.basic_get("work", auto_ack=False)[0]
            # Statistics are some seconds old by RabbitMQ's default.
            wait_until(lambda: watch.samples[-1].unacknowledged == 1, 30)
    assert watch.source == FROM_MANAGEMENT


def test_who_may_not_ask_the_management_api_is_not_refused_by_surprise(vhost: Address) -> None:
    assert not management_tells(vhost)


def test_a_queue_that_vanishes_and_comes_back_is_no_error(lab: Lab, vhost: Address) -> None:
    queue = lab.fresh("work")
    with connected(vhost) as connection, lab.watch(queue) as watch:
        channel = connection.channel()
        for _ in range(2):
            channel.queue_declare(queue, durable=True)
            wait_until(lambda: watch.samples[-1].exists, 10)
            channel.queue_delete(queue)
            wait_until(lambda: not watch.samples[-1].exists, 10)
    assert "At the end there is no such queue" in str(lab.plot(watch))


def test_a_connection_cut_leaves_a_gap_and_no_error(broker: Address, vhost: Address) -> None:
    with Watch("work", vhost, in_hand=lambda: 0, management=False) as watch:
        seen = len(watch.samples)
        with Management(broker) as management:
            management.close_connections_of(vhost.username)
        wait_until(lambda: len(watch.samples) > seen + 5, 30)


def test_the_last_look_is_taken_though_the_broker_was_away_when_the_block_ended(
    vhost: Address,
) -> None:
    """An attempt that began while the broker was away fails after the block's end, and is none."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(20)
        here = replace(vhost, host="127.0.0.1", port=door.getsockname()[1])
        watch = Watch("work", here, in_hand=lambda: 0, management=False)
        starting = threading.Thread(target=watch.start)
        starting.start()
        too_early, _ = door.accept()  # as a broker that is starting: a port, and nobody behind it
        stopping = threading.Thread(target=watch.stop)
        stopping.start()
        wait_until(watch._stopping.is_set, 10)
        too_early.close()
        program, _ = door.accept()
        with socket.create_connection((vhost.host, vhost.port)) as broker_side, program:
            passing = [
                threading.Thread(target=pass_on, args=ends)
                for ends in ((program, broker_side), (broker_side, program))
            ]
            for thread in passing:
                thread.start()
            for thread in (starting, stopping, *passing):
                thread.join(20)
    assert len(watch.samples) == 1


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_broker_that_is_not_there_leaves_no_samples_and_no_error(
    recwarn: pytest.WarningsRecorder,
) -> None:
    nowhere = Address(host="127.0.0.1", port=1)
    with Watch("work", nowhere, in_hand=lambda: 0, management=False) as watch:
        assert watch.samples == ()
    assert not [warning for warning in recwarn if "thread" in str(warning.message).lower()]
