"""Workers as processes on the real broker: they share, lose, die, freeze, and are listened to."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from labs.broker.address import Address
from labs.broker.connection import connected
from labs.errors import BadInput, WaitedTooLong, WorkerFailed
from labs.notebook import Lab
from labs.notebook.events import Event
from labs.notebook.workers import flags, names_of
from tests.support import publish

FOR_EVER_S = 280.0  # longer than any test may take: who waits so long in vain has not noticed


def test_keywords_become_flags() -> None:
    options = {
        "acknowledge": True,
        "reconnect": False,
        "lose_every": 3,
        "delay": 0.25,
        "durable": False,
        "queue_type": "quorum",
        "prefetch": None,
    }
    assert flags(options) == [
        *["--acknowledge", "--lose-every", "3", "--delay", "0.25"],
        *["--transient", "--queue-type", "quorum"],
    ]
    assert flags({"durable": True}) == ["--durable"]


def test_workers_are_named_or_counted() -> None:
    assert names_of(()) == ["alice"]
    assert names_of((3,)) == ["alice", "bob", "carol"]
    assert names_of(("x", "y")) == ["x", "y"]
    for wrong in ((0,), (100,), ("x", "x"), ("--queue",)):
        with pytest.raises(BadInput):
            names_of(wrong)


def test_workers_share_the_messages(lab: Lab, vhost: Address) -> None:
    queue = lab.fresh("work")
    with lab.workers(2, queue=queue, delay=0) as workers:
        publish(vhost, queue, [f"m{n}" for n in range(8)])
        workers.wait_until_done(8)
    assert sorted(workers.done) == [f"m{n}" for n in range(8)]
    assert workers.shares == {"alice": 4, "bob": 4}
    assert workers["bob"].done == ["m1", "m3", "m5", "m7"]
    assert workers["alice"].received == workers["alice"].done
    assert lab.timeline(workers)


def test_what_is_lost_without_acknowledgement_is_gone(lab: Lab, vhost: Address) -> None:
    queue = lab.fresh("work")
    with lab.workers(queue=queue, delay=0, lose_every=3) as workers:
        publish(vhost, queue, [f"m{n}" for n in range(9)])
        workers.wait_until_handled(9)
    assert workers.lost == ["m2", "m5", "m8"]
    assert workers.acknowledged == []
    assert lab.count(queue) == 0


def test_what_is_lost_with_acknowledgement_comes_back(lab: Lab, vhost: Address) -> None:
    queue = lab.fresh("work")
    with lab.workers(queue=queue, delay=0, lose_every=3, acknowledge=True) as workers:
        publish(vhost, queue, [f"m{n}" for n in range(9)])
        workers.wait_until_handled(9)
        workers.wait_until_acknowledged(6)
        assert workers.in_hand == 3
    lab.wait_until_ready(queue, 3)
    with lab.workers("bob", queue=queue, delay=0, acknowledge=True) as others:
        others.wait_until_done(3)
    assert others.redelivered == ["m2", "m5", "m8"]


def test_a_worker_killed_in_the_middle_of_its_work_loses_it_to_another(
    lab: Lab, vhost: Address
) -> None:
    queue = lab.fresh("work")
    with lab.workers("alice", queue=queue, delay=60, acknowledge=True) as first:
        publish(vhost, queue, ["x"])
        first["alice"].wait_until_received(1)
        first["alice"].kill()
        assert not first["alice"].is_running
        with lab.workers("bob", queue=queue, delay=0, acknowledge=True) as second:
            second.wait_until_done(1)
    assert first.done == []
    assert second.redelivered == ["x"]
    words = str(lab.timeline(first, second, first["alice"]))
    assert "bob: done 1 (x); of these redelivered 1 (x); 1 acknowledged" in words
    assert "alice (2): cut off 1 (x)" in words
    assert "cut off 1 (x)" in words
    assert "killed at" in words


def test_a_frozen_worker_does_nothing_until_it_thaws(lab: Lab, vhost: Address) -> None:
    queue = lab.fresh("work")
    with lab.workers(queue=queue, delay=0) as workers:
        alice = workers["alice"]
        alice.freeze()
        assert psutil.Process(alice.pid).status() == psutil.STATUS_STOPPED
        publish(vhost, queue, ["x"])
        assert alice.received == []
        alice.thaw()
        alice.wait_until_done(1)
    assert [event.event for event in alice.events[:3]] == [
        Event.STARTED,
        Event.FROZEN,
        Event.THAWED,
    ]
    assert "frozen at" in str(lab.timeline(alice))


def test_a_frozen_worker_can_be_stopped(lab: Lab) -> None:
    with lab.workers(queue=lab.fresh("work"), delay=0) as workers:
        workers["alice"].freeze()
    assert not workers["alice"].is_running


def test_crashes_are_told_and_are_no_failure(lab: Lab, vhost: Address) -> None:
    queue = lab.fresh("work")
    with lab.workers(queue=queue, delay=0.01, acknowledge=True, crash_every=2) as workers:
        publish(vhost, queue, ["one", "two", "three"])
        with pytest.raises(WorkerFailed, match=r"No worker is left \(1 of 3 messages done\)"):
            workers.wait_until_done(3, timeout_s=FOR_EVER_S)
    assert workers["alice"].failure is None
    assert workers.bodies(Event.CRASHING) == ["two"]
    lab.wait_until_ready(queue, 2)


def test_waiting_ends_at_once_when_no_worker_is_left(lab: Lab) -> None:
    with lab.workers(2, queue=lab.fresh("work")) as workers:
        for worker in workers:
            worker.kill()
        with pytest.raises(WorkerFailed, match="No worker is left"):
            workers.wait_until_done(1, timeout_s=FOR_EVER_S)
        with pytest.raises(WorkerFailed, match="alice has ended"):
            workers["alice"].wait_until_received(1, timeout_s=FOR_EVER_S)
        with pytest.raises(WorkerFailed, match="alice has ended already"):
            workers["alice"].freeze()


def test_waiting_in_vain_says_how_far_it_went(lab: Lab, vhost: Address) -> None:
    queue = lab.fresh("work")
    with lab.workers(queue=queue, delay=0) as workers:
        publish(vhost, queue, ["x"])
        workers.wait_until_done(1)
        with pytest.raises(WaitedTooLong, match=r"only 1 of 2 messages are done"):
            workers.wait_until_done(2, timeout_s=0.1)


def test_a_worker_that_cannot_start_says_why(lab: Lab) -> None:
    queue = lab.fresh("work")
    with pytest.raises(WorkerFailed, match="No such option"):
        lab.workers(2, queue=queue, wrong_flag=3)
    with pytest.raises(WorkerFailed, match="Nothing answers"):
        lab.workers(queue=queue, url="amqp://guest:guest@127.0.0.1:1/%2F")
    with pytest.raises(BadInput, match=r"no file"):
        lab.workers(queue=queue, program="nothing.py")


def test_an_unknown_name_is_answered_with_the_known_ones(lab: Lab) -> None:
    with (
        lab.workers(2, queue=lab.fresh("work")) as workers,
        pytest.raises(BadInput, match="zoe") as caught,
    ):
        workers["zoe"]
    assert "alice, bob" in caught.value.remedy


def test_a_changed_copy_of_the_worker_runs_and_what_it_prints_is_shown(
    lab: Lab, vhost: Address, tmp_path: Path
) -> None:
    original = Path(__file__).parents[2] / "qprocessor.py"
    copy = tmp_path / "my worker.py"
    copy.write_text(
        original.read_text().replace("time.sleep(seconds)", "print('my own work', flush=True)")
    )
    queue = lab.fresh("work")
    with lab.workers(queue=queue, delay=0.01, program=copy) as workers:
        publish(vhost, queue, ["x"])
        workers.wait_until_done(1)
    assert "my own work" in str(workers)


def test_stop_in_the_notebook_interrupts_the_cell_and_not_the_workers(lab: Lab) -> None:
    with lab.workers(queue=lab.fresh("work")) as workers:
        pid = workers["alice"].pid
        assert os.getpgid(pid) == pid  # a group of its own: Jupyter interrupts the kernel's


def test_what_a_killed_worker_had_in_hand_is_drawn_as_a_lost_attempt(
    lab: Lab, vhost: Address
) -> None:
    queue = lab.fresh("work")
    with lab.workers("alice", queue=queue, acknowledge=True, delay=FOR_EVER_S) as first:
        publish(vhost, queue, ["x"])
        first.wait_until_received(1)
        first["alice"].kill()
    with lab.workers("bob", queue=queue, acknowledge=True, delay=0) as second:
        second.wait_until_done(1)
    told = lab.attempts_of(first, second).text.splitlines()
    assert told[1] == "x: 1 done, 1 lost."
    assert "by alice" in told[2]
    assert told[2].endswith("lost.")
    assert "by bob" in told[3]
    assert told[3].endswith("done.")


def test_ten_thousand_messages_are_counted_and_drawn(lab: Lab, vhost: Address) -> None:
    queue = lab.fresh("work")
    with lab.watch(queue) as watch, lab.workers(2, queue=queue, delay=0) as workers:
        with connected(vhost) as connection:
            channel = connection.channel()
            for number in range(10_000):
                channel.basic_publish("", queue, str(number).encode())
        workers.wait_until_done(10_000)
    assert sorted(map(int, workers.done)) == list(range(10_000))
    picture = lab.timeline(workers)
    assert picture is not None
    assert len(picture.svg) < 200_000
    assert lab.plot(watch)


def test_a_body_of_ten_megabytes_is_cut_in_the_pane(lab: Lab, vhost: Address) -> None:
    queue = lab.fresh("work")
    with lab.workers(queue=queue, delay=0) as workers:
        publish(vhost, queue, ["x" * 10_000_000])
        workers.wait_until_done(1)
    assert len(workers.done[0]) == 10_000_000
    assert len(repr(workers)) < 2_000
    assert len(str(lab.timeline(workers))) < 2_000


def test_no_password_is_shown_in_lists_of_processes_or_on_the_page(
    lab: Lab, vhost: Address
) -> None:
    with lab.workers(queue=lab.fresh("work")) as workers:
        command = psutil.Process(workers["alice"].pid).cmdline()
    secret = vhost.password
    assert not [word for word in command if f":{secret}@" in word]
    for text in (repr(lab), lab.shown, repr(workers)):
        assert f":{secret}@" not in text


def test_stopped_workers_leave_no_process_and_no_note(lab: Lab, labs_home: Path) -> None:
    workers = lab.workers(3, queue=lab.fresh("work"))
    pids = [worker.pid for worker in workers]
    assert len(list((labs_home / "workers").iterdir())) == 3
    workers.stop()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert not list((labs_home / "workers").iterdir())


def test_pace_makes_all_work_shorter(
    lab: Lab, vhost: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vhost
    monkeypatch.setenv("LABS_PACE", "0.1")
    with Lab("hurried").workers(queue=lab.fresh("work"), delay=5.0) as workers:
        started = workers.events[0]
    assert started.details["delay_s"] == pytest.approx(0.5)
