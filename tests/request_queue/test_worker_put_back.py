"""False: the request goes behind what waits, with a pause that grows, and makes no hot loop."""

from __future__ import annotations

import time
from typing import Any

import pytest

from labs.request_queue import MemoryLog, What
from labs.request_queue.log import Partition, Record
from labs.request_queue.waiting import ATTEMPTS, BURST_S, LOOK_S, MOVE_S, NOT_BEFORE, Lane, Waiting
from labs.request_queue.waiting import pause_s as pause_after
from tests.request_queue.replica import TOPIC, Clock, Replica, records


def not_yet(_: dict[str, Any]) -> bool:
    return False


def test_it_is_put_back_whole_behind_what_waits_and_the_original_is_committed() -> None:
    replica = Replica(not_yet)
    place = replica.queues("a", n=1)
    replica.queues("a", n=2)
    assert replica.processes() is What.PUT_BACK
    original, waits, again = records(replica.log, TOPIC)
    assert again.offset > waits.offset
    assert (again.key, again.value) == (original.key, original.value)
    assert replica.committed == {place.partition.number: 1}
    assert (replica.responses, replica.failed) == ([], [])


def test_the_pause_grows_from_the_first_to_the_longest_and_attempts_are_counted() -> None:
    clock = Clock()
    replica = Replica(not_yet, clock=clock)
    replica.queues("a")
    pauses = []
    for _ in range(9):
        assert replica.processes() is What.PUT_BACK
        last = records(replica.log, TOPIC)[-1]
        due_s = int(last.headers[NOT_BEFORE]) / 1000
        pauses.append(due_s - clock.now_s)
        clock.now_s = due_s
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert records(replica.log, TOPIC)[-1].headers[ATTEMPTS] == b"9"
    assert [event.attempts for event in replica.saw(What.TAKEN)] == list(range(9))


def test_a_pause_never_overflows() -> None:
    assert pause_after(10**9, 1.0, 60.0) == 60.0


def test_it_is_not_tried_before_its_time() -> None:
    clock = Clock()
    replica = Replica(not_yet, clock=clock)
    replica.queues("a")
    replica.processes()
    for _ in range(5):
        assert replica.queue.process_request(0.1) is None
    assert len(replica.saw(What.TAKEN)) == 1
    clock.now_s += 1
    assert replica.processes() is What.PUT_BACK


def test_what_waits_alone_makes_no_record_and_no_commit() -> None:
    """The hot loop that others have: here nothing is appended while the pause lasts."""

    class Watched(MemoryLog):
        looks = 0

        def offsets(self, partition: Partition) -> tuple[int, int]:
            self.looks += 1
            return super().offsets(partition)

    log = Watched()
    replica = Replica(not_yet, log, clock=Clock())
    replica.queues("a")
    replica.processes()
    told, stand = len(replica.told), len(records(log, TOPIC))
    for _ in range(300):
        replica.queue.process_request(0)
    assert len(replica.told) == told
    assert len(records(log, TOPIC)) == stand
    assert 1 <= log.looks < 100, "the partition is held, and only now and then looked at"


def test_what_is_queued_behind_it_is_done_at_once() -> None:
    replica = Replica(lambda request: request["n"] == 2, clock=Clock())
    replica.queues("a", n=1)
    assert replica.processes() is What.PUT_BACK
    assert replica.queue.process_request(0.05) is None, "the partition is held"
    replica.queues("a", n=2)
    assert replica.processes() is What.DONE
    assert len(replica.saw(What.MOVED)) == 1


def test_many_that_wait_pass_each_other_once_and_then_rest() -> None:
    clock = Clock()
    replica = Replica(not_yet, clock=clock)
    for n in range(30):
        replica.queues("a", n=n)
    for _ in range(30):
        replica.processes()
    for _ in range(100):
        replica.queue.process_request(0.002)
    assert len(records(replica.log, TOPIC)) == 60, "all are known to wait: none is moved"
    replica.queues("a", n=30)
    replica.processes()
    assert len(records(replica.log, TOPIC)) == 60 + 1 + 30 + 1, "each was moved once"


def test_however_many_wait_moves_are_no_hot_loop() -> None:
    clock = Clock()
    replica = Replica(not_yet, clock=clock, first_pause_s=60)
    for n in range(150):
        replica.queues("a", n=n)
    for _ in range(150):
        replica.processes()
    replica.queues("a", n=150)
    for _ in range(150):
        replica.queue.process_request(0.001)
    assert len(replica.saw(What.MOVED)) <= BURST_S / MOVE_S + 2, "so many at once, then slowly"
    clock.now_s += 2
    assert replica.processes() is What.PUT_BACK, "and the new one has its turn"
    assert len(replica.saw(What.MOVED)) == 150


def test_a_replica_that_takes_over_moves_each_that_waits_at_most_once() -> None:
    log, clock = MemoryLog(), Clock()
    first = Replica(not_yet, log, clock=clock)
    for n in range(10):
        first.queues("a", n=n)
        first.processes()
    first.queue.close()
    stand = len(records(log, TOPIC))
    second = Replica(not_yet, log, clock=clock)
    for _ in range(100):
        second.queue.process_request(0.002)
    assert second.saw(What.TAKEN) == [], "attempts and times were handed on in the headers"
    assert len(records(log, TOPIC)) <= stand + 10


def test_one_that_is_due_sooner_passes_one_that_is_due_later() -> None:
    clock = Clock()
    replica = Replica(lambda request: request["n"] == 2 and clock.now_s > began, clock=clock)
    began = clock.now_s
    replica.queues("a", n=1)
    for _ in range(5):  # n=1 waits for 16 s by now
        replica.processes()
        clock.now_s = int(records(replica.log, TOPIC)[-1].headers[NOT_BEFORE]) / 1000
    clock.now_s, began = began, began
    replica.queues("a", n=2)
    assert replica.processes() is What.PUT_BACK
    clock.now_s += 1.5
    assert replica.processes() is What.DONE
    assert replica.saw(What.TAKEN)[-1].request_id == "a"


def test_a_broker_that_keeps_no_headers_makes_no_hot_loop_either() -> None:
    class Old(MemoryLog):
        def append(self, topic: str, value: bytes, **how: Any) -> Any:
            return super().append(topic, value, **{**how, "headers": None})

    replica = Replica(not_yet, Old(), clock=Clock())
    replica.queues("a")
    replica.processes()
    for _ in range(50):
        replica.queue.process_request(0.002)
    assert len(replica.saw(What.TAKEN)) == 1


def test_a_request_that_cannot_be_put_back_is_not_committed_and_comes_again() -> None:
    log = MemoryLog()
    append = log.append

    def handler(_: dict[str, Any]) -> bool:
        def refuse(*args: Any, **how: Any) -> Any:
            return append(*args, **{**how, "timeout_s": 0.05})

        log.append = refuse  # type: ignore[method-assign]
        if not replica.saw(What.RETURNED):
            log.down()
        return False

    replica = Replica(handler, log, first_pause_s=0.05)
    place = replica.queues("a")
    assert replica.processes() is What.RETURNED
    log.up()
    assert replica.committed == {}
    assert replica.processes() is What.PUT_BACK
    assert replica.committed == {place.partition.number: 1}


def test_a_record_without_a_key_is_put_back_under_the_key_of_its_request() -> None:
    replica = Replica(not_yet)
    replica.appends(b'{"request_id": "a"}', key=None)
    assert replica.processes() is What.PUT_BACK
    assert {record.key for record in records(replica.log, TOPIC)} == {None, b"a"}


@pytest.mark.parametrize("header", [b"", b"soon", b"-5", b"\xff"])
def test_headers_that_somebody_else_wrote_may_be_anything(header: bytes) -> None:
    headers = {ATTEMPTS: header, NOT_BEFORE: header}
    record = Record(Partition("t", 0), 0, b"a", b"{}", headers, 0)
    assert Lane().waiting(record) == Waiting(0, 0)


def test_a_time_that_no_clock_will_show_ends_no_replica() -> None:
    replica = Replica(not_yet)
    replica.service.make_topics()
    replica.log.append(TOPIC, b'{"request_id": "a"}', key=b"a", headers={NOT_BEFORE: b"9" * 400})

    assert replica.queue.process_request(0.1) is None


def test_moves_are_bounded_whatever_waits() -> None:
    lane, now_s, moves = Lane(), time.time(), 0
    while lane.until_move_s(now_s) == 0:
        lane.moved(now_s)
        moves += 1
    assert moves <= BURST_S / MOVE_S + 2
    assert 0 < lane.until_move_s(now_s) <= MOVE_S * 2


def test_a_held_partition_is_looked_at_now_and_then() -> None:
    lane = Lane()
    record = Record(
        Partition("t", 0), 0, b"a", b"{}", Waiting(7, 1_000.0).headers({}), timestamp_ms=0
    )
    assert lane.hold_s(record, 900.0) == LOOK_S
    assert lane.hold_s(record, 999.9) == pytest.approx(0.1)
