"""What a worker does with its messages: the flags that say how to consume and how to work."""

from __future__ import annotations

import base64
import os
import signal

import pytest

from labs.broker import connection
from labs.broker.address import Address
from tests.qprocessor.running import Qprocessor
from tests.support import count, declare, publish, wait_until

NINE = [f"task {number}" for number in range(1, 10)]
QUICK = ("--delay", "0.001")
BOTH_LANES = pytest.mark.parametrize("delay", ["0", "0.001"], ids=["no work", "work"])


@BOTH_LANES
def test_every_message_is_received_and_done_in_order(
    qprocessor: Qprocessor, vhost: Address, delay: str
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", NINE)
    worker = qprocessor.run("--delay", delay, "--max-messages", "9")
    assert worker.process.returncode == 0
    assert worker.lines(" [x] Received ") == NINE
    assert worker.done == NINE
    assert count(vhost, "hello") == 0


@BOTH_LANES
def test_lost_messages_are_gone_without_acknowledgement(
    qprocessor: Qprocessor, vhost: Address, delay: str
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", NINE)
    worker = qprocessor.run("--lose-every", "3", "--delay", delay, "--max-messages", "9")
    assert worker.lines(" [!] Lost ") == ["task 3", "task 6", "task 9"]
    assert len(worker.done) == 6
    assert count(vhost, "hello") == 0
    assert "received 9, done 6, lost 3, acknowledged 0, redelivered 0" in worker.out


@BOTH_LANES
@pytest.mark.parametrize("prefetch", ["0", "100"])
def test_lost_messages_come_back_with_acknowledgement(
    qprocessor: Qprocessor, vhost: Address, delay: str, prefetch: str
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", NINE)
    flags = ("--acknowledge", "--prefetch", prefetch, "--delay", delay)
    first = qprocessor.run("--lose-every", "3", *flags, "--max-messages", "9")
    assert "done 6, lost 3, acknowledged 6" in first.out
    wait_until(lambda: count(vhost, "hello") == 3, 30)
    second = qprocessor.run(*flags, "--max-messages", "3")
    assert second.done == ["task 3", "task 6", "task 9"]
    assert second.lines(" [x] Received ")[0] == "task 3 (redelivered)"
    assert "redelivered 3" in second.out
    assert count(vhost, "hello") == 0


def test_a_worker_that_crashes_hands_its_message_to_the_next(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["one", "two", "three"])
    crashed = qprocessor.run("--crash-every", "2", "--acknowledge", *QUICK)
    assert crashed.process.returncode == 137
    assert crashed.done == ["one"]
    assert crashed.out.endswith(" [!] Crashing in the middle of two\n")
    wait_until(lambda: count(vhost, "hello") == 2, 30)
    other = qprocessor.run("--acknowledge", *QUICK, "--max-messages", "2")
    assert other.lines(" [x] Received ")[0] == "two (redelivered)"
    assert other.done == ["two", "three"]


def test_a_crash_without_acknowledgement_loses_all_that_was_sent_here(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["one", "two", "three"])
    qprocessor.run("--crash-every", "2", *QUICK)
    assert count(vhost, "hello") == 0


def test_with_prefetch_1_only_one_message_is_taken_from_the_queue(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    declare(vhost, "hello")
    worker = qprocessor.consuming("--acknowledge", "--prefetch", "1", "--lose-every", "1")
    publish(vhost, "hello", ["one", "two", "three"])
    worker.wait_until_says("Lost one")
    assert count(vhost, "hello") == 2


def test_without_a_limit_all_messages_are_taken_at_once(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", NINE)
    worker = qprocessor.consuming("--acknowledge", "--delay", "100")
    wait_until(lambda: count(vhost, "hello") == 0, 30)
    assert worker.done == []


def test_the_work_takes_its_time(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["äöü"])
    worker = qprocessor.run("--delay", "0.1", "--max-messages", "1", "--json")
    assert worker.events("done")[0]["work_s"] >= 0.3
    received, done = worker.events("received")[0], worker.events("done")[0]
    assert done["time"] - received["time"] >= 0.29


def test_done_is_said_before_the_message_is_acknowledged(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", NINE)
    worker = qprocessor.run("--acknowledge", "--json", *QUICK, "--max-messages", "9")
    order = [(event["event"], event["number"]) for event in worker.events() if "number" in event]
    for number in range(1, 10):
        assert order.index(("done", number)) < order.index(("acknowledged", number))


def test_a_queue_that_is_missing_is_declared_as_the_tutorials_do(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    qprocessor.consuming("--queue", "fresh")
    declare(vhost, "fresh", durable=False)  # were it otherwise, the broker would refuse


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        (["--durable"], None),
        (["--durable", "--queue-type", "classic"], {"x-queue-type": "classic"}),
        (["--queue-type", "quorum"], {"x-queue-type": "quorum"}),
    ],
)
def test_a_queue_is_declared_as_the_flags_say(
    qprocessor: Qprocessor, vhost: Address, flags: list[str], arguments: dict[str, str] | None
) -> None:
    qprocessor.consuming("--queue", "fresh", *flags)
    declare(vhost, "fresh", durable=True, arguments=arguments)


def test_a_queue_that_exists_is_used_whatever_its_properties(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    declare(vhost, "odd", durable=True, arguments={"x-max-length": 5, "x-message-ttl": 60000})
    publish(vhost, "odd", ["one"])
    worker = qprocessor.run("--queue", "odd", "--transient", *QUICK, "--max-messages", "1")
    assert worker.done == ["one"]


@BOTH_LANES
def test_it_stops_after_so_many_messages_and_leaves_the_rest(
    qprocessor: Qprocessor, vhost: Address, delay: str
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", NINE)
    worker = qprocessor.run("--acknowledge", "--max-messages", "4", "--delay", delay)
    assert worker.process.returncode == 0
    assert "stopped (max-messages)" in worker.out
    wait_until(lambda: count(vhost, "hello") == 5, 30)


@BOTH_LANES
def test_it_stops_when_nothing_comes_any_more(
    qprocessor: Qprocessor, vhost: Address, delay: str
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", NINE)
    worker = qprocessor.run("--idle-timeout", "0.2", "--delay", delay)
    assert worker.process.returncode == 0
    assert len(worker.done) == 9
    assert "stopped (idle-timeout)" in worker.out


def test_json_tells_all_of_a_message(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["one", "two", "three"])
    flags = ("--json", "--name", "alice", "--acknowledge", "--prefetch", "7", *QUICK)
    worker = qprocessor.run(*flags, "--lose-every", "2", "--max-messages", "3")
    assert all(event["worker"] == "alice" for event in worker.events())
    assert all(event["pid"] == worker.process.pid for event in worker.events())
    events = [
        {key: value for key, value in event.items() if key not in ("time", "worker", "pid")}
        for event in worker.events()
        if event["event"] != "acknowledged"
    ]
    assert events[0] == {
        "event": "started",
        "queue": "hello",
        "acknowledge": True,
        "prefetch": 7,
        "delay_s": 0.001,
    }
    one = {"number": 1, "delivery_tag": 1, "redelivered": False, "body": "one"}
    assert events[1] == {"event": "received", "message_id": None} | one
    assert events[2].pop("work_s") >= 0.003
    assert events[2] == {"event": "done"} | one
    assert events[4] == {
        "event": "lost", "number": 2, "delivery_tag": 2, "redelivered": False, "body": "two",
    }  # fmt: skip
    assert events[-1] == {
        "event": "stopped",
        "reason": "max-messages",
        "received": 3,
        "done": 2,
        "lost": 1,
        "acknowledged": 2,
        "redelivered": 0,
    }
    acknowledged = worker.events("acknowledged")
    assert [(event["number"], event["body"]) for event in acknowledged] == [
        (1, "one"),
        (3, "three"),
    ]


def test_quiet_says_nothing_of_single_messages(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", NINE)
    worker = qprocessor.run("--quiet", "--delay", "0", "--max-messages", "9", "--name", "bob")
    assert worker.out == (
        " [*] bob waits for messages in 'hello'. To stop, press Ctrl-C\n"
        " [*] bob stopped (max-messages): "
        "received 9, done 9, lost 0, acknowledged 0, redelivered 0\n"
    )


@BOTH_LANES
def test_any_bytes_are_a_legal_body_and_a_line_stays_a_line(
    qprocessor: Qprocessor, vhost: Address, delay: str
) -> None:
    bodies = [
        b"\xff\xfe\x80 \xc3\x28",  # valid in no encoding of Unicode
        b"two\nlines\r\n\x1b[31mred\x00",
        "Grüße, 你好 👩‍🔬\u00a0!\ttab \\ end".encode(),
        "line\u2028separator".encode(),
        b"",
    ]
    declare(vhost, "hello")
    publish(vhost, "hello", bodies)
    worker = qprocessor.run("--delay", delay, "--max-messages", "5")
    assert worker.process.returncode == 0
    assert worker.done == [
        r"\xff\xfe\x80 \xc3(",
        r"two\nlines\r\n\x1b[31mred\x00",
        "Grüße, 你好 👩‍🔬\u00a0!\ttab \\ end",
        r"line\u2028separator",
        "",
    ]


def test_json_carries_broken_bytes_whole(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", [b"\xff\xfea", b"fine"])
    worker = qprocessor.run("--json", *QUICK, "--max-messages", "2")
    broken, fine = worker.events("received")
    assert broken["body"] == r"\xff\xfea"
    assert base64.b64decode(broken["body_base64"]) == b"\xff\xfea"
    assert "body_base64" not in fine


def test_a_screen_of_another_encoding_is_no_reason_to_fail(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["你好"])
    worker = qprocessor.run(
        "--max-messages", "1", *QUICK, environment={"PYTHONIOENCODING": "latin-1"}
    )
    assert worker.process.returncode == 0, worker.err


@pytest.mark.parametrize("flags", [[], ["--acknowledge"], ["--acknowledge", "--prefetch", "50"]])
@BOTH_LANES
def test_ten_thousand_waiting_messages_are_all_done(
    qprocessor: Qprocessor, vhost: Address, delay: str, flags: list[str]
) -> None:
    with connection.connected(vhost) as broker:
        channel = broker.channel()
        channel.queue_declare("hello", durable=True)
        for number in range(10_000):
            channel.basic_publish("", "hello", str(number).encode())
    wait_until(lambda: count(vhost, "hello") == 10_000, 30)
    little = "0.000001" if delay != "0" else "0"
    worker = qprocessor.run(*flags, "--delay", little, "--quiet", "--max-messages", "10000")
    assert "received 10000, done 10000, lost 0" in worker.out
    assert count(vhost, "hello") == 0


def test_a_body_of_10_megabytes_is_done_and_shown_in_short(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", [b"x" * 10_000_000, b"next"])
    worker = qprocessor.run("--acknowledge", "--delay", "0", "--max-messages", "2")
    large, after = worker.done
    assert large == "x" * 1000 + "… (10,000,000 bytes)"
    assert after == "next"
    assert count(vhost, "hello") == 0


def test_two_workers_share_a_queue(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "hello")
    workers = [qprocessor.consuming("--acknowledge", "--prefetch", "1", *QUICK) for _ in range(2)]
    publish(vhost, "hello", NINE)
    wait_until(lambda: sum(len(worker.done) for worker in workers) == 9, 30)
    assert sorted(workers[0].done + workers[1].done) == NINE


@pytest.mark.skipif(os.name == "nt", reason="a worker is frozen by POSIX signals here")
def test_a_killed_workers_message_goes_to_the_other(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "hello")
    victim = qprocessor.consuming("--acknowledge", "--delay", "100")
    publish(vhost, "hello", ["precious"])
    victim.wait_until_says("Received precious")
    victim.send(signal.SIGKILL)
    other = qprocessor.run("--acknowledge", *QUICK, "--max-messages", "1")
    assert other.done == ["precious"]
    assert "redelivered 1" in other.out
