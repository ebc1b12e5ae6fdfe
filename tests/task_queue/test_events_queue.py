"""A queue with events: every move is told once, and the events tell what is and what was."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from labs.errors import BadInput
from labs.task_queue.errors import TaskError, UnknownTask
from labs.task_queue.events import Event, MemoryEventStore
from labs.task_queue.events_queue import EventQueue, EventRecorder, with_events
from labs.task_queue.memory import MemoryQueue, MemoryTasks
from labs.task_queue.replay import moves_of, replay
from labs.task_queue.stages import MOVES, Move, Stage
from labs.task_queue.tasks import Claim, Moved
from tests.task_queue.conftest import STORES
from tests.task_queue.contract import HOUR_S, SOON_S, claim_one, wait_until_stage
from tests.task_queue.killing import stages
from tests.task_queue.stores import Store


@pytest.fixture(params=[name for name in STORES if name.startswith("events_")])
def store(request: pytest.FixtureRequest) -> Store:
    """Each store with events around it."""
    store: Store = request.getfixturevalue(f"{request.param}_store")
    return store


@pytest.fixture
def queue(store: Store) -> EventQueue:
    """A queue with events, on each store in turn."""
    queue = store.open()
    assert isinstance(queue, EventQueue)
    return queue


def added(queue: EventQueue) -> list[Event]:
    """Of its puts."""
    return queue.event_store.get(queue.add_event_name)


def moved(queue: EventQueue) -> list[Event]:
    """Of all other moves."""
    return queue.event_store.get(queue.move_event_name)


def steps(queue: EventQueue) -> list[tuple[str, int, int | None]]:
    """From where to where, in order."""
    data = [event.data for event in moved(queue)]
    return [(one["queue_index_key"], one["stage_from"], one["stage_to"]) for one in data]


def test_each_new_task_is_one_event_with_its_body(queue: EventQueue) -> None:
    queue.put({"a": {"n": [1, None]}, "b": "\0\ud800"})
    data = {event.data["queue_index_key"]: event.data for event in added(queue)}
    assert {id_: one["queue_item_data"] for id_, one in data.items()} == {
        "a": {"n": [1, None]},
        "b": "\0\ud800",
    }
    assert data["a"]["queue_info"] == queue.queue.description()
    assert moved(queue) == []


def test_what_was_there_already_is_no_event(queue: EventQueue) -> None:
    queue.put({"a": 1})
    queue.put_quietly({"a": 2, "b": 3})
    assert [event.data["queue_item_data"] for event in added(queue)] == [1, 3]


def test_get_success_and_fail_are_one_event_each(queue: EventQueue) -> None:
    queue.put({"a": 1, "b": 2})
    queue.get(2)
    queue.success("a")
    queue.fail("b")
    assert Counter(steps(queue)) == Counter([("a", 0, 1), ("b", 0, 1), ("a", 1, 2), ("b", 1, 3)])


def test_a_task_that_runs_three_times_has_all_its_nine_moves(queue: EventQueue) -> None:
    queue.put({"a": 1})
    for _ in range(3):
        queue.fail(claim_one(queue))
        queue.requeue("a")
    assert steps(queue) == [("a", 0, 1), ("a", 1, 3), ("a", 3, 0)] * 3
    assert [event.data["move_number"] for event in moved(queue)] == list(range(2, 11))


def test_what_is_refused_is_no_event(queue: EventQueue) -> None:
    queue.put({"a": 1})
    with pytest.raises(TaskError):
        queue.fail("a")
    with pytest.raises(TaskError):
        queue.release("a")
    with pytest.raises(UnknownTask):
        queue.success("ghost")
    queue.requeue_quietly(["a", "ghost"])
    assert steps(queue) == []


def test_every_move_of_the_table_is_told_by_its_name(queue: EventQueue) -> None:
    queue.put({"a": 1}, max_attempts=2, backoff_s=0)
    claim_one(queue, lease_s=SOON_S)
    wait_until_stage(queue, "a", Stage.WAITING)
    claim_one(queue, lease_s=SOON_S)
    wait_until_stage(queue, "a", Stage.FAIL)  # given up
    queue.requeue("a")
    queue.fail(claim_one(queue, owner="ada"), reason="once")  # tried again
    queue.release(claim_one(queue))
    queue.fail(claim_one(queue))
    queue.requeue("a")
    queue.refuse("a", reason="no")
    queue.requeue("a")
    queue.success(claim_one(queue))
    queue.purge(timedelta())
    told = moves_of(queue.events())
    assert {moved.move for moved in told} == set(Move)
    assert [moved.number for moved in told] == list(range(1, len(told) + 1))
    for moved in told:
        assert moved.stage_from in MOVES[moved.move].sources
        assert moved.stage_to is MOVES[moved.move].target
    assert "ada" in {moved.owner for moved in told}


def test_replay_rebuilds_the_state_after_any_work(queue: EventQueue) -> None:
    rng = random.Random(7)
    for round_ in range(6):
        queue.put({f"{round_}/{n}": n for n in range(5)}, delay_s=rng.choice([0, HOUR_S]))
        for claim in queue.get(4, lease_s=HOUR_S):
            verbs: list[Callable[[Claim], None]] = [queue.success, queue.fail, queue.release]
            rng.choice(verbs)(claim)
        queue.requeue(queue.lookup_state(Stage.FAIL)[:1])
        assert replay(queue.events()) == stages(queue)
    queue.purge(timedelta())
    assert replay(queue.events()) == stages(queue)
    again = queue.events() + queue.events()[::-1]
    assert replay(again) == stages(queue), "in any order, however often"


def test_an_id_that_was_purged_and_is_put_anew_has_events_of_both_its_lives(
    queue: EventQueue,
) -> None:
    for _ in range(2):
        queue.put({"a": 1})
        queue.success(claim_one(queue))
        assert queue.purge(timedelta()) == 1
    assert len(added(queue)) == 2
    assert steps(queue) == [("a", 0, 1), ("a", 1, 2), ("a", 2, None)] * 2
    assert replay(queue.events()) == {}


def test_two_handles_tell_one_story(store: Store) -> None:
    one, other = store.open(), store.open()
    assert isinstance(one, EventQueue)
    one.put({"a": 1})
    other.success(claim_one(other))
    assert steps(one) == [("a", 0, 1), ("a", 1, 2)]


def test_there_is_nothing_to_recover_where_nobody_died(queue: EventQueue) -> None:
    queue.put({"a": 1})
    queue.success(claim_one(queue))
    before = queue.events()
    assert queue.recover() == 0
    assert queue.events() == before


def test_a_description_names_the_events_and_the_queue(queue: EventQueue) -> None:
    description = queue.description()
    assert description["implementation"] == "event"
    assert description["add_event_name"] == f"{description['event_base_name']}_ADD"
    assert description["move_event_name"] == f"{description['event_base_name']}_MOVE"
    assert description["base_queue_description"] == queue.queue.description()


# --- In memory alone --------------------------------------------------------------------------


def test_events_may_have_names_of_their_own() -> None:
    queue = with_events(
        MemoryQueue(), MemoryEventStore(), add_event_name="in", move_event_name="on"
    )
    queue.put({"a": 1})
    queue.get()
    assert len(queue.event_store.get("in")) == len(queue.event_store.get("on")) == 1


@pytest.mark.parametrize("names", [{}, {"add_event_name": "x"}, {"event_base_name": ""}])
def test_events_without_names_are_refused(names: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="need a base name"):
        with_events(MemoryQueue(), MemoryEventStore(), **names)


def test_a_queue_has_events_once() -> None:
    queue = MemoryQueue()
    both = with_events(queue, MemoryEventStore(), "x")
    for one in queue, both:
        with pytest.raises(BadInput, match="has events already"):
            with_events(one, MemoryEventStore(), "y")


class Client(MemoryQueue):
    """One whose service moves the tasks."""

    tells_moves = False


def test_a_client_of_a_service_has_no_events() -> None:
    with pytest.raises(BadInput, match="a service's"):
        with_events(Client(), MemoryEventStore(), "x")


class Broken:
    """A recorder that has no room left."""

    def record(self, moves: Sequence[Moved]) -> None:
        raise OSError(f"no space left for {len(moves)}")


def test_in_memory_a_move_that_cant_be_told_is_not_made() -> None:
    tasks = MemoryTasks()
    looker, queue = MemoryQueue(tasks), MemoryQueue(tasks)
    looker.put({"a": 1, "b": 2})
    claim = claim_one(looker)
    queue.recorder = Broken()
    for verb in (
        lambda: queue.put({"c": 3}),
        queue.get,
        lambda: queue.success(claim),
        lambda: queue.refuse("b", reason="no"),
    ):
        with pytest.raises(OSError, match="no space left for 1"):
            verb()
        assert stages(looker) == {"a": Stage.PROCESSING, "b": Stage.WAITING}
    assert looker.get(5) == [("b", 2)]


def test_a_move_gives_the_same_event_whoever_asks() -> None:
    queue = with_events(MemoryQueue(), MemoryEventStore(), "x")
    queue.put({"a": 1})
    queue.get()
    recorder = queue.queue.recorder
    assert isinstance(recorder, EventRecorder)
    told = moves_of(queue.events())[1:]
    recorder.record(told)
    assert len(queue.events()) == 2, "told again, and stored once"
