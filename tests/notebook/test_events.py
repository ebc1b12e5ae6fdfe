"""What workers tell: from a line of JSON to an event, from events to a timeline."""

from __future__ import annotations

import json
from typing import Any

from labs.notebook.events import Event, WorkerEvent, parse_line, timeline_of
from labs.pictures.spans import Mark, Moment, Outcome, Span


def told(worker: str, event: Event, time: float, number: int | None = None, **more: Any) -> Any:
    """An event of message number n, whose body is `m<n>`."""
    body = "" if number is None else f"m{number}"
    return WorkerEvent(worker, event, time, body=body, number=number, **more)


def test_a_line_of_json_is_an_event() -> None:
    line = json.dumps(
        {
            "event": "received",
            "time": 12.5,
            "worker": "x",
            "pid": 7,
            "number": 3,
            "delivery_tag": 5,
            "redelivered": True,
            "body": "hello",
            "message_id": None,
        }
    )
    event = parse_line(line, worker="alice", now=0.0)
    assert event == WorkerEvent("alice", Event.RECEIVED, 12.5, "hello", 3, 5, redelivered=True)
    assert event is not None
    assert event.details == {"message_id": None}


def test_a_worker_of_no_queue_by_name_waits_for_messages_all_the_same() -> None:
    assert str(told("w", Event.STARTED, 0.0, details={"queue": "jobs"})) == (
        " [*] waits for messages in 'jobs'"
    )
    assert str(told("w", Event.STARTED, 0.0, details={"queue": ""})) == " [*] waits for messages"


def test_other_lines_are_no_events() -> None:
    for line in ("hello", "", "{", "[]", "3", "null", '{"event": "danced"}', '{"a": 1}'):
        assert parse_line(line, worker="alice", now=0.0) is None


def test_an_event_reads_like_the_workers_own_line_and_stays_one_line() -> None:
    event = WorkerEvent("alice", Event.RECEIVED, 0.0, body="a\nb", redelivered=True)
    assert str(event) == " [x] Received a\\nb (redelivered)"
    assert all(str(WorkerEvent("alice", kind, 0.0)) for kind in Event)


def test_a_long_body_is_cut_in_its_line() -> None:
    assert str(WorkerEvent("alice", Event.DONE, 0.0, body="x" * 1000)) == f" [x] Done {'x' * 200}…"


def test_work_is_a_span_from_received_to_done() -> None:
    timeline = timeline_of(
        [
            told("alice", Event.STARTED, 90.0),
            told("alice", Event.RECEIVED, 100.0, 1),
            told("alice", Event.DONE, 101.0, 1),
            told("alice", Event.ACKNOWLEDGED, 101.1, 1),
            told("alice", Event.RECEIVED, 101.2, 2, redelivered=True),
            told("alice", Event.LOST, 101.2, 2),
            told("alice", Event.STOPPED, 104.0),
        ]
    )
    (lane,) = timeline.lanes
    assert lane.spans == (
        Span("m1", 0.0, 1.0, Outcome.DONE, acknowledged=True),
        Span("m2", 1.2, 1.2, Outcome.LOST, redelivered=True),
    )
    assert lane.moments == (Moment(Mark.STARTED, 0.0), Moment(Mark.STOPPED, 4.0))
    assert timeline.length_s == 4.0


def test_death_cuts_off_the_work_in_hand() -> None:
    for death in (Event.KILLED, Event.CRASHING, Event.FAILED, Event.ENDED):
        events = [told("alice", Event.RECEIVED, 0.0, 1), told("alice", death, 0.4)]
        assert timeline_of(events).lanes[0].spans == (Span("m1", 0.0, 0.4, Outcome.CUT_OFF),)


def test_a_lost_connection_does_not_end_the_work() -> None:
    events = [
        told("alice", Event.RECEIVED, 0.0, 1),
        told("alice", Event.DISCONNECTED, 0.4),
        told("alice", Event.DONE, 1.0, 1),
    ]
    assert timeline_of(events).lanes[0].spans == (Span("m1", 0.0, 1.0, Outcome.DONE),)


def test_work_that_goes_on_is_drawn_until_now_and_idle_time_is_not() -> None:
    begun = [told("alice", Event.RECEIVED, 10.0, 1)]
    finished = [*begun, told("alice", Event.DONE, 11.0, 1)]
    assert timeline_of(begun, now=15.0).lanes[0].spans == (Span("m1", 0, 5, Outcome.AT_WORK),)
    assert timeline_of(finished, now=15.0).length_s == 1.0


def test_events_may_come_in_any_order_and_workers_without_any_have_a_lane() -> None:
    events = [told("bob", Event.DONE, 2.0, 1), told("bob", Event.RECEIVED, 1.0, 1)]
    timeline = timeline_of(events, ["alice", "bob"])
    assert [lane.worker for lane in timeline.lanes] == ["alice", "bob"]
    assert timeline.lanes[1].spans == (Span("m1", 0.0, 1.0),)


def test_no_events_make_an_empty_timeline() -> None:
    assert timeline_of([], ["alice"]).length_s == 0.0
