"""How a worker ends when it is asked to: once, twice, in the middle of long work."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labs.broker.address import Address
from tests.qprocessor.running import SCRIPT, Qprocessor
from tests.support import count, declare, publish, wait_until

BOTH_SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH_SIGNALS
@pytest.mark.parametrize("delay", ["0", "1"], ids=["no work", "work"])
def test_an_idle_worker_sums_up_and_exits_0(
    qprocessor: Qprocessor, number: signal.Signals, delay: str
) -> None:
    worker = qprocessor.consuming("--delay", delay, "--name", "alice")
    worker.send(number)
    assert worker.wait() == 0
    summary = "received 0, done 0, lost 0, acknowledged 0, redelivered 0"
    assert worker.out.endswith(f" [*] alice stopped ({number.name}): {summary}\n")
    assert worker.err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows what a thread blocks")
def test_no_thread_but_the_main_one_hears_that_it_is_to_stop(qprocessor: Qprocessor) -> None:
    main = qprocessor.consuming().process.pid
    both = {signal.SIGINT, signal.SIGTERM}
    for status in Path(f"/proc/{main}/task").glob("*/status"):
        (blocked,) = re.findall(r"^SigBlk:\s*(\w+)", status.read_text(), flags=re.MULTILINE)
        heard = {one for one in both if not int(blocked, 16) >> (one - 1) & 1}
        assert heard == (both if status.parent.name == str(main) else set())


def test_one_that_stood_still_stops_when_it_is_asked_to(qprocessor: Qprocessor) -> None:
    """Just set going again, its main thread is passed over if another one listens."""
    workers = [qprocessor.consuming() for _ in range(5)]
    for worker in workers:
        worker.send(signal.SIGSTOP)
        os.waitid(os.P_PID, worker.process.pid, os.WSTOPPED)
        worker.send(signal.SIGCONT)
        worker.send(signal.SIGTERM)
    assert [worker.wait() for worker in workers] == [0] * 5


@BOTH_SIGNALS
def test_the_message_in_hand_is_finished_and_the_rest_goes_back(
    qprocessor: Qprocessor, vhost: Address, number: signal.Signals
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["0123456789", "next", "last"])
    worker = qprocessor.start("--acknowledge", "--delay", "0.1")
    worker.wait_until_says("Received 0123456789")
    worker.send(number)
    assert worker.wait() == 0
    assert worker.done == ["0123456789"]
    assert "received 1, done 1, lost 0, acknowledged 1" in worker.out
    wait_until(lambda: count(vhost, "hello") == 2, 30)


def test_work_that_lasts_too_long_is_handed_back(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["long"])
    worker = qprocessor.start("--acknowledge", "--delay", "100")
    worker.wait_until_says("Received long")
    assert worker.stop() == 0
    assert "Stopping after this message, or in 4 s" in worker.out
    assert "received 1, done 0, lost 0, acknowledged 0" in worker.out
    wait_until(lambda: count(vhost, "hello") == 1, 30)


def test_the_second_ctrl_c_stops_at_once(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["long"])
    worker = qprocessor.start("--acknowledge", "--delay", "100")
    worker.wait_until_says("Received long")
    worker.send(signal.SIGINT)
    worker.wait_until_says("Stopping")
    worker.send(signal.SIGINT)
    assert worker.wait() == -signal.SIGINT
    assert "stopped" not in worker.out
    wait_until(lambda: count(vhost, "hello") == 1, 30)


def test_it_stops_while_it_waits_for_a_broker(qprocessor: Qprocessor) -> None:
    worker = qprocessor.start("--port", "1", "--reconnect")
    worker.wait_until_says("Trying again", times=3)
    assert worker.stop() == 0


def test_in_json_the_summary_is_the_last_event(qprocessor: Qprocessor) -> None:
    worker = qprocessor.consuming("--json")
    worker.stop()
    assert worker.events()[-1]["event"] == "stopped"
    assert worker.events()[-1]["reason"] == "SIGTERM"


@pytest.mark.parametrize("delay", ["0", "0.00001"], ids=["no work", "work"])
def test_a_reader_that_has_gone_ends_it_without_a_traceback(
    qprocessor: Qprocessor, vhost: Address, delay: str
) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["x" * 900] * 100)  # more than a pipe holds by itself
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), "--url", qprocessor.url, "--acknowledge", "--delay", delay],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141
