"""Stores of events: kept once, by name and time, the same from every store.

A store is a fixture `<name>_event_store` that gives a function which opens one more handle; its
owner writes its name into `EVENT_STORES` in conftest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from labs.task_queue.errors import BadTask
from labs.task_queue.events import Event, EventStore, MemoryEventStore

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def at(minute: int, name: str = "door", **data: object) -> Event:
    return Event(name, data=data or {"minute": minute}, time=NOON + timedelta(minutes=minute))


def minutes(events: list[Event]) -> list[float]:
    return [(event.time - NOON) / timedelta(minutes=1) for event in events]


def test_an_event_comes_back_as_it_was(events: EventStore) -> None:
    event = Event(
        "door",
        version="7",
        data={"opened": True, "by": "Zoë \U0001f600", "n": [1, 2.5, None], "x": "a\0\ud800"},
        event_metadata={"host": "a1"},
        time=NOON,
    )
    events.add(event)
    (stored,) = events.get("door")
    assert isinstance(stored.id, int)
    assert stored == Event(
        "door", "7", event.data, stored.id, event_metadata={"host": "a1"}, time=NOON
    )


def test_one_many_or_none_are_added(events: EventStore) -> None:
    events.add([])
    assert events.get("door") == []
    events.add(at(1))
    events.add([at(2), at(3)])
    assert minutes(events.get("door")) == [1, 2, 3]


def test_the_same_name_and_data_is_kept_once(events: EventStore) -> None:
    events.add([at(1, n=1), at(2, n=1), at(3, n=2)])
    events.add(at(4, n=1))
    assert minutes(events.get("door")) == [1, 3]
    events.add(at(5, name="window", n=1))
    assert minutes(events.get("window")) == [5]


def test_the_same_data_in_another_order_of_keys_is_the_same(events: EventStore) -> None:
    events.add([at(1, a=1, b=2), at(2, b=2, a=1)])
    assert minutes(events.get("door")) == [1]


def test_only_the_name_that_is_asked_for_comes(events: EventStore) -> None:
    events.add([at(1), at(2, name="window"), at(3, name="doo"), at(4, name="DOOR")])
    assert minutes(events.get("door")) == [1]
    assert events.get("ghost") == []


def test_since_is_strictly_later(events: EventStore) -> None:
    events.add([at(1), at(2), at(3)])
    assert minutes(events.get("door", NOON + timedelta(minutes=2))) == [3]
    just_before = NOON + timedelta(minutes=2) - timedelta(microseconds=1)
    assert minutes(events.get("door", time_since=just_before)) == [2, 3]
    assert events.get("door", NOON + timedelta(minutes=3)) == []


def test_a_time_in_another_zone_is_the_same_time(events: EventStore) -> None:
    events.add(at(1))
    there = (NOON + timedelta(minutes=1)).astimezone()
    assert events.get("door", there) == []
    assert minutes(events.get("door", there - timedelta(seconds=1))) == [1]


def test_events_come_by_time_whenever_they_were_added(events: EventStore) -> None:
    events.add([at(3), at(1)])
    events.add(at(2))
    assert minutes(events.get("door")) == [1, 2, 3]


def test_nobody_changes_an_event_by_changing_what_came_or_went(events: EventStore) -> None:
    data = {"list": [1]}
    events.add(Event("door", data=data))
    data["list"].append(2)
    events.get("door")[0].data["list"].append(3)
    assert events.get("door")[0].data == {"list": [1]}


def test_all_of_a_batch_is_kept_or_nothing(events: EventStore) -> None:
    with pytest.raises(BadTask, match="is no Event"):
        events.add([at(1), "no event"])  # type: ignore[list-item]
    assert events.get("door") == []


def test_two_handles_see_the_same_events(event_store: Callable[[], EventStore]) -> None:
    event_store().add(at(1))
    assert minutes(event_store().get("door")) == [1]


def test_adding_the_same_from_many_threads_keeps_it_once(
    event_store: Callable[[], EventStore],
) -> None:
    stores = [event_store() for _ in range(4)]
    batch = [at(n) for n in range(25)]
    threads = [threading.Thread(target=store.add, args=[batch]) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert minutes(stores[0].get("door")) == list(range(25))


@pytest.mark.parametrize("data", [float("nan"), b"x", {1: 2}, {"a": object()}])
def test_data_that_is_no_json_makes_no_event(data: object) -> None:
    with pytest.raises(BadTask, match="data of 'door' is not JSON"):
        Event("door", data=data)


@pytest.mark.parametrize("name", ["", "a" * 513, 5, None, "a\0b"])
def test_a_name_that_is_none_makes_no_event(name: object) -> None:
    with pytest.raises(BadTask, match="n event"):
        Event(name)  # type: ignore[arg-type]
    with pytest.raises(BadTask, match="n event"):
        MemoryEventStore().get(name)  # type: ignore[arg-type]


def test_an_event_happens_now_unless_it_is_said_otherwise() -> None:
    before = datetime.now(UTC)
    assert before <= Event("door").time <= datetime.now(UTC)
