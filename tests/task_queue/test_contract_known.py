"""The interface that people already use, on every store: facts, in the order they are known."""

from __future__ import annotations

import warnings

import pytest

from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from tests.task_queue.stores import Store

ABC = {"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}}


def test_what_was_put_comes_out_as_pairs_of_id_and_body(queue: TaskQueue) -> None:
    queue.put(ABC)
    assert queue.get(3) == list(ABC.items())


def test_get_gives_one_task_unless_told_otherwise_and_none_when_there_is_none(
    queue: TaskQueue,
) -> None:
    queue.put({"a": 1})
    assert queue.get() == [("a", 1)]
    assert len(queue.get()) == 0
    assert queue.get(10) == []


def test_get_of_nothing_moves_nothing(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    assert queue.get(0) == []
    assert queue.size(Stage.WAITING) == 1


def test_a_put_says_what_is_new_and_warns_of_what_is_there_already(queue: TaskQueue) -> None:
    queue.put({"a": "first"})
    with pytest.warns(UserWarning, match=r"^Item 'a' already in queue\. Skipping\.$"):
        put = queue.put({"a": "second", "b": 2})
    assert (put, list(put.added), list(put.present)) == (1, ["b"], ["a"])
    assert queue.get(5) == [("a", "first"), ("b", 2)]


@pytest.mark.parametrize("stage", Stage)
def test_an_id_that_is_there_is_skipped_in_whatever_stage_it_is(
    queue: TaskQueue, stage: Stage
) -> None:
    queue.put({"a": 1})
    if stage is not Stage.WAITING:
        queue.get()
    if stage is Stage.SUCCESS:
        queue.success("a")
    if stage is Stage.FAIL:
        queue.fail("a")
    before = queue.sizes()
    with pytest.warns(UserWarning, match="Item 'a' already in queue"):
        queue.put({"a": 2})
    assert queue.sizes() == before
    assert queue.lookup_status("a") is stage
    if stage is Stage.PROCESSING:
        queue.success("a")


def test_a_put_of_nothing_is_no_error(queue: TaskQueue) -> None:
    put = queue.put({})
    assert (put, list(put.added), list(put.present)) == (0, [], [])
    queue.put(ABC)  # and spoils nothing for those after it
    assert sorted(queue.lookup_state(Stage.WAITING)) == ["a", "b", "c"]


def test_the_sizes_follow_the_moves(queue: TaskQueue) -> None:
    queue.put(ABC)
    assert queue.sizes() == {"WAITING": 3, "PROCESSING": 0, "SUCCESS": 0, "FAIL": 0}
    queue.get(2)
    assert queue.sizes() == {"WAITING": 1, "PROCESSING": 2, "SUCCESS": 0, "FAIL": 0}
    queue.success("a")
    queue.fail("b")
    assert queue.sizes() == {"WAITING": 1, "PROCESSING": 0, "SUCCESS": 1, "FAIL": 1}
    assert [queue.size(stage) for stage in Stage] == [1, 0, 1, 1]


def test_a_task_is_looked_up_by_its_id(queue: TaskQueue) -> None:
    queue.put(ABC)
    queue.get()
    assert queue.lookup_status("a") is Stage.PROCESSING
    assert queue.lookup_item("a") == {
        "item_id": "a",
        "status": Stage.PROCESSING,
        "item_body": {"n": 1},
    }


def test_an_unknown_id_is_a_key_error(queue: TaskQueue) -> None:
    for verb in queue.lookup_status, queue.lookup_item, queue.success, queue.fail:
        with pytest.raises(KeyError, match="ghost"):
            verb("ghost")


def test_the_ids_of_a_stage_are_listed(queue: TaskQueue) -> None:
    queue.put(ABC)
    queue.get(1)
    assert sorted(queue.lookup_state(Stage.WAITING)) == ["b", "c"]
    assert queue.lookup_state(Stage.PROCESSING) == ["a"]
    assert queue.lookup_state(Stage.FAIL) == []


def test_failed_tasks_are_requeued_by_a_list_or_by_one_id(queue: TaskQueue) -> None:
    queue.put(ABC)
    for id_, _ in queue.get(3):
        queue.fail(id_)
    assert queue.requeue([]) == []
    assert queue.requeue("a") == ["a"]
    assert sorted(queue.requeue(["b", "c", "b"])) == ["b", "c"]
    assert queue.get(3) == list(ABC.items())


def test_what_has_not_failed_is_not_requeued_but_the_rest_is(queue: TaskQueue) -> None:
    queue.put(ABC)
    queue.get()
    queue.fail("a")
    with pytest.warns(UserWarning, match="Skipping") as warned:
        assert queue.requeue(["ghost", "a", "b"]) == ["a"]
    assert [str(warning.message) for warning in warned] == [
        "Item 'ghost' not in a FAIL state. Skipping.",
        "Item 'b' not in a FAIL state. Skipping.",
    ]
    assert queue.sizes()["WAITING"] == 3


def test_peek_shows_what_get_will_give_and_moves_nothing(queue: TaskQueue) -> None:
    queue.put(ABC)
    seen = queue.peek(5)
    assert queue.sizes()["WAITING"] == 3
    assert queue.peek() == seen[:1]
    assert queue.peek(0) == []
    assert queue.get(5) == seen


def test_two_handles_see_one_queue(store: Store) -> None:
    one, other = store.open(), store.open()
    one.put(ABC)
    assert other.get() == [("a", {"n": 1})]
    one.success("a")  # nobody has claimed it by name
    assert other.lookup_status("a") is Stage.SUCCESS


def test_nothing_ordinary_warns(queue: TaskQueue) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        queue.put(ABC)
        queue.get(2)
        queue.success("a")
        queue.fail("b")
        queue.requeue("b")


def test_a_description_names_the_implementation(queue: TaskQueue) -> None:
    assert isinstance(queue.description()["implementation"], str)
