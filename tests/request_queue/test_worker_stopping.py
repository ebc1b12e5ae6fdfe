"""SIGTERM and Ctrl-C: a replica finishes what it has, or gives up, within its limit."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from labs.stopping import Stop, signals_stop

ROOT = Path(__file__).parents[2]
PROGRAM = """
import signal, sys, time
from tests.request_queue.replica import Replica

work_s, grace_s, own = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "own"
if own:
    signal.signal(signal.SIGTERM, lambda *_: print("the program's own", flush=True))

def handler(request):
    print("working", flush=True)
    time.sleep(work_s)
    return True

replica = Replica(handler, grace_s=grace_s)
replica.queues("a", n=1)
replica.queues("a", n=2)
replica.queue.run()
print(" ".join(event.what for event in replica.told), list(replica.committed.values()), flush=True)
"""


def program(work_s: float, grace_s: float, own: str = "") -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(work_s), str(grace_s), own],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "working\n"
    return started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_work_in_hand_is_finished_and_committed_and_no_more_is_taken(number: int) -> None:
    started = program(work_s=1.0, grace_s=30)
    started.send_signal(number)
    out, errors = started.communicate(timeout=30)
    assert (started.returncode, errors) == (0, "")
    assert out == "taken done committed [1]\n"


def test_work_that_takes_too_long_is_given_up_within_the_limit() -> None:
    started = program(work_s=600, grace_s=0.3)
    started.terminate()
    out, errors = started.communicate(timeout=30)
    assert (started.returncode, errors) == (0, "")
    assert out == "taken lost []\n"


def test_a_second_signal_does_what_it_always_does() -> None:
    started = program(work_s=600, grace_s=600)
    started.terminate()
    deadline = time.monotonic() + 30
    while started.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
        started.terminate()
    started.communicate(timeout=30)
    assert started.returncode == -signal.SIGTERM


def test_the_programs_own_handler_is_called_too() -> None:
    started = program(work_s=0.5, grace_s=30, own="own")
    started.terminate()
    out, _ = started.communicate(timeout=30)
    assert out == "the program's own\ntaken done committed [1]\n"


def test_handlers_are_put_back_when_the_block_ends() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with signals_stop(lambda: None):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_outside_the_main_thread_no_handler_is_set() -> None:
    seen: list[Any] = []

    def elsewhere() -> None:
        with signals_stop(lambda: None):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_a_wish_to_stop_ends_the_waiting() -> None:
    stop = Stop()
    assert not stop.wait(0.01)
    threading.Timer(0.1, stop.want).start()
    assert stop.wait(30)
