"""The bus on RabbitMQ when something goes wrong: cut, refused, silent, restarted, short of memory.

Most of it is done by a proxy before the tests' broker; what ends or starves a broker is
done to a node of this module's own.
"""

from __future__ import annotations

import logging
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pika
import pytest

from labs.broker import ports
from labs.broker.address import Address
from labs.broker.binaries import Binaries
from labs.broker.management import Management
from labs.broker.node import PrivateNode
from labs.errors import BadInput
from labs.job_queue import rabbitmq, rabbitmq_consuming, rabbitmq_turn
from labs.job_queue.bus import (
    LONGEST_DELAY_S,
    BusUnreachable,
    Delivery,
    Message,
    NotConfirmed,
    QueueSpec,
)
from labs.job_queue.rabbitmq import RabbitBus
from labs.job_queue.rabbitmq_connection import Poller
from labs.job_queue.rabbitmq_queues import (
    DECLARE_AGAIN_S,
    arguments_of,
    delay_arguments,
    whole_ms,
)
from labs.journal import Event
from labs.proxy.faults import (
    BROKER,
    CLIENT,
    ConfirmTogether,
    Cut,
    DropConfirm,
    Moment,
    RefusePublish,
    Stall,
)
from labs.waiting import wait_until
from tests.job_queue.conftest import RabbitGround
from tests.job_queue.test_bus import (
    SOON_S,
    WORK,
    Inbox,
    dead_letters_wait,
    delayed_ones_wait,
    messages,
    wait_for_count,
)


def heard(rabbit: RabbitGround, name: str, side: str) -> Sequence[Event]:
    """All methods (or heartbeats) of this name that this side said."""
    return [e for e in rabbit.journal.events if (e.kind, e.name, e.side) == ("frame", name, side)]


# --- publishing ----------------------------------------------------------------------------


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_batch_cut_in_the_middle_is_not_confirmed_and_can_be_published_again(
    rabbit: RabbitGround, before: bool
) -> None:
    bus = rabbit.connect()
    bus.declare(WORK)
    rabbit.proxy.add(Cut(Moment("basic.publish", CLIENT, nth=50), before=before))

    with pytest.raises(NotConfirmed, match="lost before the broker had confirmed") as cut:
        bus.publish("work", messages(100))
    bus.publish("work", messages(100))

    assert "duplicate" in cut.value.remedy
    inbox = Inbox()
    bus.consume("work", inbox, prefetch=1000)
    wait_until(lambda: inbox.bodies[-1:] == [b"99"], SOON_S)
    assert set(inbox.bodies) == {m.body for m in messages(100)}


def test_what_a_user_may_not_publish_is_told_in_words(broker: Address, vhost: Address) -> None:
    bus = RabbitBus(vhost.url)
    bus.declare(WORK)
    with Management(broker) as management:
        management.set_permissions(vhost.username, vhost.vhost, write="")

    with pytest.raises(NotConfirmed, match="may not use the exchange") as refused:
        bus.publish("work", messages(1))

    assert "permissions" in refused.value.remedy
    bus.close()


def test_properties_that_cannot_be_read_are_left_out_and_the_others_go_on(vhost: Address) -> None:
    """Else the message would cost the connection, come again, and cost the next."""
    bus, inbox = RabbitBus(vhost.url), Inbox()
    bus.declare(WORK)
    with pika.BlockingConnection(pika.URLParameters(vhost.url)) as stranger:
        odd = pika.BasicProperties()
        year_9999_is_over = struct.pack(">I", 11) + b"\x01aT" + b"\x7f" * 8
        odd.encode = lambda: [struct.pack(">H", odd.FLAG_HEADERS), year_9999_is_over]  # type: ignore[method-assign]
        stranger.channel().basic_publish("", "work", b"odd", odd)
    bus.consume("work", inbox, prefetch=2)
    bus.publish("work", messages(1))

    wait_until(lambda: len(inbox.bodies) == 2, SOON_S)

    assert inbox.bodies == [b"odd", b"0"]
    bus.close()


def test_a_message_that_the_broker_refuses_is_not_confirmed(rabbit: RabbitGround) -> None:
    bus = rabbit.connect()
    bus.declare(WORK)
    rabbit.proxy.add(RefusePublish(nth=3))

    with pytest.raises(NotConfirmed, match="refused a message for 'work'"):
        bus.publish("work", messages(5))

    bus.publish("work", messages(1))
    wait_for_count(bus, "work", 5)  # the fault took the third away


def test_a_broker_that_says_nothing_has_not_confirmed(rabbit: RabbitGround) -> None:
    bus = rabbit.connect(confirm_timeout_s=2.0)
    bus.declare(WORK)
    rabbit.proxy.add(DropConfirm(nth=1))

    with pytest.raises(NotConfirmed, match="confirmed nothing for 2 s"):
        bus.publish("work", messages(1))

    bus.publish("work", messages(2))
    wait_for_count(bus, "work", 3)


def test_confirms_that_stand_for_many_are_understood(rabbit: RabbitGround) -> None:
    rabbit.proxy.add(ConfirmTogether(n=40))
    bus = rabbit.connect()
    bus.declare(WORK)

    bus.publish("work", messages(100))

    assert bus.count("work") == 100
    assert any(e.data["multiple"] for e in heard(rabbit, "basic.ack", BROKER))


def test_a_batch_is_on_its_way_before_its_first_confirm(rabbit: RabbitGround) -> None:
    bus = rabbit.connect()
    bus.declare(WORK)
    until_released = Stall(Moment("confirm.select-ok", BROKER), side=BROKER)
    rabbit.proxy.add(until_released)
    publishing = threading.Thread(target=bus.publish, args=("work", messages(300)))
    publishing.start()
    wait_until(lambda: bus.count("work") == 300, SOON_S)
    assert publishing.is_alive()

    rabbit.proxy.release(until_released)

    publishing.join(SOON_S)
    assert not publishing.is_alive()


def test_so_many_and_no_more_are_on_their_way_without_a_confirm(rabbit: RabbitGround) -> None:
    bus = rabbit.connect()
    bus.declare(WORK)
    bus.publish("work", messages(1))
    until_released = Stall(Moment("basic.ack", BROKER), side=BROKER)
    rabbit.proxy.add(until_released)
    publishing = threading.Thread(target=bus.publish, args=("work", messages(2000)))
    publishing.start()

    wait_until(lambda: bus.count("work") > 400, SOON_S)
    before = [bus.count("work") for _ in range(5)][-1]
    rabbit.proxy.release(until_released)
    publishing.join(SOON_S)

    assert before < 1100, "the window is 500, and what one confirm frees"
    assert bus.count("work") == 2001


def test_nobody_there_is_told_apart_from_not_confirmed() -> None:
    nobody = RabbitBus(f"amqp://127.0.0.1:{ports.free_port()}/", patience_s=0.2)

    with pytest.raises(BusUnreachable, match="refused"):
        nobody.publish("work", messages(1))
    with pytest.raises(BusUnreachable, match="refused"):
        nobody.check()

    nobody.close()


def test_of_several_addresses_the_first_that_answers_is_taken(vhost: Address) -> None:
    dead = replace(vhost, port=ports.free_port())
    bus = RabbitBus([dead.url, vhost.url])

    bus.check()
    bus.declare(WORK)
    bus.publish("work", messages(1))

    assert bus.count("work") == 1
    bus.close()


# --- delays, and what queues are made with -------------------------------------------------


@pytest.mark.parametrize(
    ("delay_s", "ms"),
    [(0.0, 0), (0.0001, 1), (0.011, 11), (1.1, 1100), (1.101, 1200), (60, 60_000), (61.5, 62_000)],
)
def test_a_delay_is_rounded_up_to_two_digits(delay_s: float, ms: int) -> None:
    assert whole_ms(delay_s) == ms


@pytest.mark.parametrize("ms", [1, 500, 990_000, int(LONGEST_DELAY_S * 1000)])
def test_a_delay_is_never_shorter_by_a_clock_that_is_one_percent_fast(ms: int) -> None:
    arguments = delay_arguments("work", ms)
    ttl_ms, life_ms = arguments["x-message-ttl"], arguments["x-expires"]

    assert isinstance(ttl_ms, int)
    assert isinstance(life_ms, int)
    assert (ttl_ms - 1) / 1.01 >= ms
    assert life_ms < 2**32, "more, the broker refuses"


def test_like_delays_share_a_queue_that_is_made_anew_now_and_then(
    rabbit: RabbitGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = rabbit.connect()
    bus.declare(WORK)

    def made() -> int:
        names = [str(e.data["queue"]) for e in heard(rabbit, "queue.declare", CLIENT)]
        return names.count("work.delay.1200")

    for delay_s in (1.101, 1.15, 1.2):
        bus.publish("work", messages(1), delay_s=delay_s)
    assert made() == 1
    monkeypatch.setattr(rabbitmq, "DECLARE_AGAIN_S", 0.0)
    another = rabbit.connect()
    another.declare(WORK)
    for _ in range(2):
        another.publish("work", messages(1), delay_s=1.2)

    assert made() == 3
    life_ms = delay_arguments("work", 1200)["x-expires"]
    assert isinstance(life_ms, int)
    assert life_ms > 1200 + DECLARE_AGAIN_S * 1000


def test_a_queue_never_drops_anything_by_itself() -> None:
    quorum = arguments_of(QueueSpec("failed"))
    classic = arguments_of(QueueSpec("failed", {"x-queue-type": "classic"}))
    limited = arguments_of(QueueSpec("work", dead_letters_to="failed", max_losses=20))

    assert quorum == {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000}
    assert classic == {"x-queue-type": "classic"}
    assert limited["x-dead-letter-strategy"] == "at-least-once"
    assert limited["x-overflow"] == "reject-publish"


def test_configuration_is_passed_on_as_it_is_and_what_the_broker_refuses_is_told(
    rabbit: RabbitGround,
) -> None:
    bus = rabbit.connect()
    bus.declare(QueueSpec("classic", {"x-queue-type": "classic", "x-max-priority": 3}))
    with pytest.raises(BadInput, match="x-message-ttl"):
        bus.declare(QueueSpec("work", {"x-message-ttl": -1}))

    bus.publish("classic", messages(1))

    assert bus.count("classic") == 1


# --- in whose thread -----------------------------------------------------------------------


class Interrupted(BaseException):
    """What a signal's handler raises here."""


def test_a_publish_that_a_signal_interrupts_anywhere_harms_no_other(rabbit: RabbitGround) -> None:
    bus = rabbit.connect(confirm_timeout_s=2.0)
    bus.declare(WORK)
    bus.publish("work", messages(1))
    confirmed, interrupted, busy = [b"0"], 0, threading.Event()
    main, is_enough = threading.main_thread(), threading.Event()

    def interrupt(*_: object) -> None:
        if busy.is_set():
            busy.clear()
            raise Interrupted

    def send_signals() -> None:
        while not is_enough.wait(random.uniform(0, 0.003)):
            signal.pthread_kill(main.ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    sender = threading.Thread(target=send_signals)
    sender.start()
    for number in range(1, 200):
        (message,) = messages(1, first=number)
        try:
            busy.set()
            bus.publish("work", [message])
            busy.clear()
            confirmed.append(message.body)
        except Interrupted:
            interrupted += 1
        except (NotConfirmed, BusUnreachable):  # of the connection that an interruption ended
            busy.clear()
    is_enough.set()
    sender.join()
    signal.signal(signal.SIGUSR1, before)

    assert interrupted
    wait_until(lambda: published(bus, b"the last"), SOON_S)
    inbox = Inbox()
    bus.consume("work", inbox, prefetch=1000)
    wait_until(lambda: {*confirmed, b"the last"} <= set(inbox.bodies), SOON_S)


def published(bus: RabbitBus, body: bytes) -> bool:
    try:
        bus.publish("work", [Message(body)])
    except (NotConfirmed, BusUnreachable):
        return False
    return True


def test_a_signals_handler_may_publish_while_a_publish_waits(rabbit: RabbitGround) -> None:
    bus = rabbit.connect()
    bus.declare(WORK)
    bus.publish("work", messages(1))
    until_released = Stall(Moment("basic.ack", BROKER), side=BROKER)
    rabbit.proxy.add(until_released)

    def handler(*_: object) -> None:
        rabbit.proxy.release(until_released)
        bus.publish("work", messages(1, first=2))

    def send_signal() -> None:
        wait_until(lambda: heard(rabbit, "basic.publish", CLIENT)[1:], SOON_S)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    sender = threading.Thread(target=send_signal)
    sender.start()
    bus.publish("work", messages(1, first=1))
    sender.join()
    signal.signal(signal.SIGUSR1, before)

    assert bus.count("work") == 3


def test_a_confirm_that_takes_long_is_heard_by_the_bus_itself(
    rabbit: RabbitGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_turn, "LEAD_S", 0.0)
    bus = rabbit.connect()
    bus.declare(WORK)

    for number in range(5):
        bus.publish("work", messages(1, first=number))

    assert bus.count("work") == 5


# --- consuming -----------------------------------------------------------------------------


class Meanwhile:
    """An epoll beside which somebody else does something just before its sleeper goes on."""

    def __init__(self, real: Any, deed: Callable[[], None]) -> None:
        self.real, self.deed = real, deed

    def poll(self, longest_s: float) -> list[tuple[int, int]]:
        """Sleep, and have it done."""
        events: list[tuple[int, int]] = self.real.poll(longest_s)
        self.deed()
        return events

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def test_a_loop_takes_nothing_that_another_began_to_wait_for_as_it_woke() -> None:
    ours, broker = socket.socketpair()
    with ours, broker:
        heard: list[int] = []
        poller = Poller(lambda: 5.0, lambda: None)
        poller.lock = threading.Lock()
        poller.activate_poller()
        poller.add_handler(ours.fileno(), lambda _, events: heard.append(events), select.EPOLLIN)
        asleep = poller._poll
        poller._poll = Meanwhile(asleep, lambda: poller.ignore(ours.fileno()))
        broker.send(b"a confirm")

        with poller.lock:
            poller.poll()
            assert heard == []

            poller._poll = asleep
            poller.heed(ours.fileno())
            poller.poll()
            assert heard == [select.EPOLLIN]
        poller.deactivate_poller()


def test_consuming_goes_on_when_a_queue_is_deleted_and_at_once_made_anew(
    rabbit: RabbitGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ 3.10 tells the consumers nothing of it, and knows none of them any more."""
    monkeypatch.setattr(rabbitmq_consuming, "LOOK_S", 0.1)
    bus, other, inbox = rabbit.connect(), rabbit.connect(), Inbox()
    bus.declare(WORK)
    bus.consume("work", inbox, prefetch=10)
    bus.publish("work", messages(1))
    bus.ack(inbox.wait_for(1)[0])
    other.check()

    other.delete("work")
    other.declare(WORK)

    def comes() -> bool:
        other.publish("work", messages(1, first=1))  # the first may vanish with the old queue
        return b"1" in inbox.bodies

    wait_until(comes, SOON_S)


def test_the_broker_shows_the_name_that_was_given(rabbit: RabbitGround) -> None:
    bus = rabbit.connect(name="my_group")
    bus.declare(WORK)
    bus.consume("work", Inbox(), prefetch=1)
    wait_until(lambda: heard(rabbit, "basic.consume-ok", BROKER), SOON_S)

    (consuming,) = heard(rabbit, "basic.consume", CLIENT)
    assert str(consuming.data["consumer_tag"]).startswith("my_group-")


def test_what_the_broker_has_of_acks_survives_a_cut(rabbit: RabbitGround) -> None:
    bus, inbox = rabbit.connect(), Inbox()
    bus.declare(WORK)
    bus.publish("work", messages(50))
    bus.consume("work", inbox, prefetch=50)
    for delivery in inbox.wait_for(50):
        bus.ack(delivery)

    assert bus.flush(SOON_S)
    rabbit.cut()

    rabbit.connect().publish("work", [Message(b"the next")])
    assert inbox.wait_for(51)[50].message.body == b"the next"


def test_acks_that_nobody_hears_are_not_flushed(rabbit: RabbitGround) -> None:
    bus, inbox = rabbit.connect(), Inbox()
    bus.declare(WORK)
    bus.publish("work", messages(1))
    bus.consume("work", inbox, prefetch=1)
    (delivery,) = inbox.wait_for(1)

    rabbit.proxy.cut("bus", how="silent")
    bus.ack(delivery)

    assert not bus.flush(0.2)


def test_heartbeats_go_on_while_a_program_is_busy(rabbit: RabbitGround) -> None:
    bus, inbox = rabbit.connect(heartbeat_s=2), Inbox()
    bus.declare(WORK)
    bus.publish("work", messages(1))
    bus.consume("work", inbox, prefetch=1)
    (delivery,) = inbox.wait_for(1)

    while len(heard(rabbit, "heartbeat", CLIENT)) < 6:  # two connections, one in a second
        sum(range(10_000))  # busy, and never asleep

    assert bus.holds(delivery)
    bus.ack(delivery)
    assert bus.flush(SOON_S)
    assert len(rabbit.proxy.connections()) == 2


@pytest.mark.slow
def test_a_broker_that_falls_silent_is_given_up_and_another_connection_made(
    rabbit: RabbitGround,
) -> None:
    bus, inbox = rabbit.connect(heartbeat_s=1), Inbox()
    bus.declare(WORK)
    bus.publish("work", messages(1))
    bus.consume("work", inbox, prefetch=1)
    inbox.wait_for(1)

    rabbit.proxy.cut("bus", how="silent")

    again = inbox.wait_for(2)[1]
    assert again.redelivered
    bus.ack(again)
    assert bus.flush(SOON_S)


def test_it_tries_to_come_back_until_it_can(rabbit: RabbitGround) -> None:
    bus, inbox = rabbit.connect(), Inbox()
    bus.declare(WORK)
    bus.consume("work", inbox, prefetch=1)
    bus.publish("work", messages(1))
    bus.ack(inbox.wait_for(1)[0])
    assert bus.flush(SOON_S)
    # Every connection is cut as soon as it begins to talk.
    faults = [Cut(Moment("connection.start", BROKER, nth=n)) for n in range(1, 9)]
    for fault in faults:
        rabbit.proxy.add(fault)
    rabbit.cut()

    wait_until(lambda: len(rabbit.proxy.connections()) >= 10, SOON_S)
    bus.publish("work", messages(1))

    inbox.wait_for(2)


# --- secrets, threads, the end -------------------------------------------------------------


def test_no_password_is_in_what_is_said(vhost: Address, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cr3t pass/word"
    wrong = replace(vhost, password=secret)
    nobody = replace(wrong, port=ports.free_port())
    said = []
    for address in (wrong, nobody):
        bus = RabbitBus(address.url, patience_s=0.3)
        for use in (bus.check, lambda bus=bus: bus.publish("work", messages(1))):
            with pytest.raises(BusUnreachable) as error:
                use()
            said += [repr(error.value), error.value.remedy, repr(bus)]
        bus.close()
    with pytest.raises(BadInput) as misspelt:
        RabbitBus(f"amqp:/{secret}")
    said += [str(misspelt.value), caplog.text, *(t.name for t in threading.enumerate())]

    assert "***" in "".join(said)
    for form in (secret, "s3cr3t", "pass%2Fword"):
        assert form not in "".join(said)


FORKS = """
import os, sys
from labs.job_queue import JobQueue
from labs.waiting import wait_until

def forks(job):
    if child := os.fork():
        os.waitpid(child, 0)
        return True
    if job["job_id"] == "raises":
        sys.exit("a child")
    return job["job_id"] == "true"

seen = []
with JobQueue.connect(sys.argv[1], "forks", observer=seen.append) as jobs:
    jobs.register_job_handler("forks", forks)
    jobs.queue_jobs([{"job_type": "forks", "job_id": how} for how in ("raises", "false", "true")])
    if os.fork() == 0:
        try:
            jobs.queue_job({"job_type": "forks"})
        except Exception as error:
            print(type(error).__name__, "forked from" in str(error), flush=True)
        os._exit(0)
    os.wait()
    jobs.start()
    wait_until(lambda: len(seen) >= 3, 30)
    print([attempt.outcome.name for attempt in seen], jobs.counts(), flush=True)
"""


def test_a_forked_child_is_no_second_worker_and_does_not_use_its_parents_connection(
    vhost: Address,
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FORKS, vhost.url],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )

    assert ran.stdout.splitlines() == [
        "BusUnreachable True",
        "['DONE', 'DONE', 'DONE'] Counts(ready=0, slow=0, failed=0)",
    ]


@pytest.mark.parametrize("goodbye", ["bus.close()", "pass"], ids=["closed", "just ended"])
def test_no_thread_keeps_a_process_from_ending(rabbit: RabbitGround, goodbye: str) -> None:
    program = f"""
from labs.job_queue.bus import Message, QueueSpec
from labs.job_queue.rabbitmq import RabbitBus
bus = RabbitBus({rabbit.address.url!r})
bus.declare(QueueSpec("work"))
bus.consume("work", lambda delivery: None, prefetch=1)
bus.publish("work", [Message(b"1")])
{goodbye}
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_closing_does_not_wait_for_a_broker_that_is_silent(rabbit: RabbitGround) -> None:
    bus = rabbit.connect()
    bus.declare(WORK)
    bus.publish("work", messages(1))
    threads = {t for t in threading.enumerate() if t.name.startswith("link ")}
    assert threads
    rabbit.proxy.cut("bus", how="silent")
    rabbit.proxy.shut("bus")

    bus.close()

    assert not any(thread.is_alive() for thread in threads)


def test_closing_ends_what_others_wait_for(rabbit: RabbitGround) -> None:
    bus = rabbit.connect()
    bus.declare(WORK)
    bus.publish("work", messages(1))
    rabbit.proxy.add(DropConfirm(nth=1))
    errors: list[BaseException] = []

    def publish() -> None:
        try:
            bus.publish("work", messages(1))
        except (NotConfirmed, BusUnreachable) as error:
            errors.append(error)

    publishing = threading.Thread(target=publish)
    publishing.start()
    wait_until(lambda: bus.count("work") == 2, SOON_S)

    bus.close()

    publishing.join(SOON_S)
    assert [type(error) for error in errors] == [NotConfirmed]


# --- a broker in trouble -------------------------------------------------------------------

IMPATIENT = """
{consumer_timeout, 1500}, {channel_tick_interval, 300}, {quorum_tick_interval, 300},
{dead_letter_worker_publisher_confirm_timeout, 500}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", "key.pem", "-out", "certificate.pem", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    return folder


@pytest.fixture(scope="module")
def node(
    authority: Path, binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateNode]:
    """A node that may be ended: impatient, with TLS on one more port."""
    home = tmp_path_factory.mktemp("broker") / "node"
    advanced = home / "etc" / "advanced.config"
    advanced.parent.mkdir(parents=True)
    advanced.write_text(f"[{{rabbit, [{IMPATIENT}]}}].\n")
    port = ports.free_port()
    tls = [
        f"listeners.ssl.1 = 127.0.0.1:{port}",
        f"ssl_options.certfile = {authority}/certificate.pem",
        f"ssl_options.keyfile = {authority}/key.pem",
    ]
    node = PrivateNode(
        home,
        binaries=binaries,
        amqp_port=ports.free_port(),  # the same after a restart
        extra_config="\n".join(tls),
        management=False,
    )
    node.tls_port = port  # type: ignore[attr-defined]
    node.start()
    yield node
    node.wipe()


@pytest.fixture
def own(node: PrivateNode) -> Iterator[RabbitGround]:
    """The node's only virtual host, empty."""
    assert node.address is not None
    ground = RabbitGround(node.address)
    yield ground
    for bus in ground.buses:
        bus.close()  # else they make anew what is deleted
    last = ground.connect(patience_s=SOON_S)
    for queue in ("work", "work.delay.200", "made-later", "clock", "clock.delay.400"):
        last.delete(queue)
    ground.close()


class Producer(threading.Thread):
    """Publishes numbers one by one, each again until it is confirmed."""

    def __init__(self, bus: RabbitBus) -> None:
        super().__init__(name="producer")
        self.bus = bus
        self.confirmed: list[bytes] = []
        self.is_enough = threading.Event()

    def run(self) -> None:
        while not self.is_enough.is_set():
            (message,) = messages(1, first=len(self.confirmed))
            with suppress(NotConfirmed, BusUnreachable):
                self.bus.publish("work", [message])
                self.confirmed.append(message.body)


class Worker(Inbox):
    """Acknowledges what it is given."""

    def __init__(self, bus: RabbitBus) -> None:
        super().__init__()
        self.bus = bus

    def __call__(self, delivery: Delivery) -> None:
        super().__call__(delivery)
        self.bus.ack(delivery)


def produce_and_consume_through(own: RabbitGround, trouble: str, node: PrivateNode) -> None:
    """Publish and consume before, during and after the trouble: nothing confirmed is lost."""
    producing, consuming = own.connect(patience_s=1.0, confirm_timeout_s=2.0), own.connect()
    producing.declare(WORK)
    producer, worker = Producer(producing), Worker(consuming)
    consuming.consume("work", worker, prefetch=20)
    producer.start()
    wait_until(lambda: len(producer.confirmed) >= 50, SOON_S)

    if trouble == "kill":
        # RabbitMQ 3.10 leaves a queue without a leader whose node is killed too soon after it was
        # made: what Ra knows of its servers is written down with some seconds' delay.
        made_s = time.monotonic()
        wait_until(lambda: time.monotonic() - made_s > 6, SOON_S)
        node.kill()
        node.start()
    else:
        node.restart_inside()

    before = len(producer.confirmed)
    wait_until(lambda: len(producer.confirmed) >= before + 50, 2 * SOON_S)
    producer.is_enough.set()
    producer.join()
    wait_until(lambda: set(producer.confirmed) <= set(worker.bodies), SOON_S)
    assert consuming.flush(SOON_S)


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["restart", "kill"])
def test_nothing_confirmed_is_lost_when_the_broker_ends_and_comes_back(
    own: RabbitGround, node: PrivateNode, trouble: str
) -> None:
    produce_and_consume_through(own, trouble, node)


@pytest.mark.slow
def test_a_bus_may_be_there_before_its_broker(own: RabbitGround, node: PrivateNode) -> None:
    node.kill()
    bus, inbox = own.connect(patience_s=0.2), Inbox()
    bus.consume("work", inbox, prefetch=1)
    with pytest.raises(BusUnreachable):
        bus.declare(WORK)

    node.start()

    later = own.connect(patience_s=SOON_S)
    later.declare(WORK)
    later.publish("work", messages(1))
    inbox.wait_for(1)


@pytest.mark.slow
def test_a_broker_short_of_memory_is_told_and_still_hears_acks(
    own: RabbitGround, node: PrivateNode
) -> None:
    bus, inbox = own.connect(confirm_timeout_s=1.0), Inbox()
    bus.declare(WORK)
    bus.publish("work", messages(1))
    bus.consume("work", inbox, prefetch=1)
    (delivery,) = inbox.wait_for(1)
    node.control("set_vm_memory_high_watermark", "absolute", "10MiB")
    try:
        with pytest.raises(NotConfirmed, match=r"confirmed nothing|takes no messages"):
            bus.publish("work", [Message(b"told of the alarm by this one")])
        with pytest.raises(BusUnreachable, match="takes no messages at present: low on memory"):
            bus.publish("work", [Message(b"never sent")])
        bus.ack(delivery)
        wait_until(lambda: bus.flush(1.0), SOON_S)
    finally:
        node.control("set_vm_memory_high_watermark", "0.4")

    own.connect().consume("work", (worker := Worker(bus)), prefetch=1)
    bus.publish("work", messages(1, first=1))
    wait_until(lambda: b"1" in worker.bodies + inbox.bodies, SOON_S)
    assert b"never sent" not in worker.bodies + inbox.bodies


@pytest.mark.slow
def test_a_channel_that_the_broker_closes_is_opened_again(own: RabbitGround) -> None:
    bus, inbox = own.connect(), Inbox()
    bus.declare(WORK)
    bus.publish("work", messages(1))
    bus.consume("work", inbox, prefetch=1)
    (first,) = inbox.wait_for(1)

    again = inbox.wait_for(2)[1]  # the time for an acknowledgement is over

    assert again.redelivered
    bus.ack(first)  # void
    bus.ack(again)
    assert bus.flush(SOON_S)
    assert bus.count("work") == 0


def test_dead_letters_wait_for_a_queue_that_is_made_later(own: RabbitGround) -> None:
    dead_letters_wait(own)


def test_a_delayed_message_waits_for_a_queue_that_is_gone_by_then(own: RabbitGround) -> None:
    delayed_ones_wait(own)


def test_it_speaks_tls_and_trusts_whom_the_machine_trusts(
    own: RabbitGround, node: PrivateNode, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert node.address is not None
    port: int = node.tls_port  # type: ignore[attr-defined]
    secure = replace(node.address, host="localhost", port=port, tls=True)
    stranger = RabbitBus(secure.url)
    with pytest.raises(BusUnreachable):
        stranger.check()
    stranger.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "certificate.pem"))

    bus, inbox = RabbitBus(secure.url), Inbox()
    bus.declare(WORK)
    bus.publish("work", [*messages(1), Message(b"x" * 300_000)])
    bus.consume("work", inbox, prefetch=2)
    inbox.wait_for(2)

    bus.close()
    assert own.connect().count("work") == 2
