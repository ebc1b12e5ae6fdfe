"""Lanes: how many of a type run at once, what waits, and what is taken out of a slow one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from queue import SimpleQueue

from hypothesis import given, settings
from hypothesis import strategies as st

from labs.job_queue.bus import Delivery, Message
from labs.job_queue.lanes import LAST_FEW, Lanes, Taken
from labs.waiting import wait_until


def taken(lane: str, *, may_move: bool = True) -> Taken:
    return Taken(Delivery("q", Message(b""), False, 0, None), lane, {}, may_move=may_move)


def test_no_more_of_a_type_are_under_way_than_its_share_and_the_others_follow_in_order() -> None:
    lanes = Lanes(lambda _: 2)
    jobs = [taken("a") for _ in range(4)]
    for job in jobs:
        lanes.submit(job)

    first, second = lanes.next(), lanes.next()

    assert [first, second] == jobs[:2]
    assert lanes.after(jobs[0]) is jobs[2]
    assert lanes.after(jobs[2]) is jobs[3]


def test_another_type_comes_before_a_follower() -> None:
    lanes = Lanes(lambda _: 1)
    one, two, other = taken("a"), taken("a"), taken("b")
    for job in (one, two, other):
        lanes.submit(job)

    assert lanes.next() is one
    assert lanes.after(one) is other
    assert lanes.after(other) is two


def test_what_waits_in_a_quick_lane_stays() -> None:
    lanes = Lanes(lambda _: 1, slow_after_s=1000)
    for job in (taken("a"), taken("a")):
        lanes.submit(job)

    out, look_again_s = lanes.surplus()

    assert out == []
    assert look_again_s is not None
    assert 0 < look_again_s <= 1000


def test_what_waits_behind_slow_jobs_is_taken_out_unless_it_is_in_the_slow_queue_already() -> None:
    lanes = Lanes(lambda _: 1, slow_after_s=0.0)
    running, moves, stays = taken("a"), taken("a"), taken("a", may_move=False)
    for job in (running, moves, stays):
        lanes.submit(job)

    assert lanes.surplus() == ([moves], None)
    assert lanes.surplus() == ([], None)
    assert lanes.next() is running
    assert lanes.after(running) is stays


def test_one_slow_job_does_not_make_a_type_slow_but_a_few_in_a_row_do() -> None:
    lanes = Lanes(lambda _: 1, slow_after_s=1000)
    lanes.submit(taken("a"))
    running = lanes.next()
    for ended in range(1, LAST_FEW + 1):
        lanes.submit(taken("a"))
        assert lanes.surplus()[0] == []
        assert running is not None
        running.started_s = -1e9  # by the monotonic clock: long ago
        running = lanes.after(running)
        assert running is not None, ended
        running.started_s = time.monotonic()
    waits = taken("a")
    lanes.submit(waits)

    assert lanes.surplus() == ([waits], None)


def test_closing_lets_the_threads_end_and_gives_back_what_has_not_begun() -> None:
    lanes = Lanes(lambda _: 1)
    running, ready, waits = taken("a"), taken("b"), taken("a")
    for job in (running, ready, waits):
        lanes.submit(job)
    assert lanes.next() is running

    left = lanes.close(1)

    assert left == [waits, ready]
    assert lanes.after(running) is None
    assert not lanes.submit(taken("a"))


def test_a_job_that_follows_while_the_lanes_are_closed_is_given_back() -> None:
    lanes = Lanes(lambda _: 1)
    running, follows, other = taken("a"), taken("a"), taken("b")
    for job in (running, follows, other):
        lanes.submit(job)
    assert lanes.next() is running
    left: list[Taken] = []
    closing = threading.Thread(target=lambda: left.extend(lanes.close(1)))

    class ClosesNow(SimpleQueue[Taken | None]):
        def empty(self) -> bool:  # asked in the very moment
            closing.start()
            closing.join(0.2)
            return super().empty()

    lanes._ready = ClosesNow()
    lanes._ready.put(other)
    began = lanes.after(running)
    closing.join()

    assert {id(job) for job in (began, *left) if job} == {id(follows), id(other)}


def test_who_waits_for_a_crowd_is_woken_by_the_end() -> None:
    lanes = Lanes(lambda _: 1)
    waiter = threading.Thread(target=lanes.wait_until_crowded, daemon=True)
    waiter.start()

    lanes.close(0)

    wait_until(lambda: not waiter.is_alive(), 10)


@given(
    st.lists(st.sampled_from(["a", "b", "surplus"]), max_size=30),
    st.integers(1, 3),
    st.integers(1, 4),
)
@settings(max_examples=50, deadline=None)
def test_no_job_is_lost_or_run_twice_and_no_share_exceeded(
    steps: list[str], share: int, threads: int
) -> None:
    lanes = Lanes(lambda _: share, slow_after_s=0.0)
    ran: list[Taken] = []
    inside: Counter[str] = Counter()
    lock = threading.Lock()

    def work() -> None:
        job = lanes.next()
        while job is not None:
            with lock:
                inside[job.lane] += 1
                assert inside[job.lane] <= share
                ran.append(job)
            with lock:
                inside[job.lane] -= 1
            job = lanes.after(job)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    submitted: list[Taken] = []
    out: list[Taken] = []
    for step in steps:
        if step == "surplus":
            out += lanes.surplus()[0]
        else:
            submitted.append(taken(step))
            lanes.submit(submitted[-1])
    left = lanes.close(threads)
    for worker in workers:
        worker.join(10)

    assert sorted(map(id, submitted)) == sorted(map(id, ran + out + left))
