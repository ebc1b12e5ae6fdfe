"""Pages: the ids of a stage, so many at a time, while tasks come and go."""

from __future__ import annotations

from itertools import chain

import pytest

from labs.task_queue.errors import BadTask
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from tests.task_queue.contract import HOUR_S, bring


def pages(queue: TaskQueue, stage: Stage, limit: int) -> list[list[str]]:
    """All of them."""
    page = queue.lookup_state(stage, limit=limit)
    found = [list(page)]
    while page.next is not None:
        page = queue.lookup_state(stage, limit=limit, after=page.next)
        found.append(list(page))
    return found


@pytest.mark.parametrize("stage", Stage)
def test_the_pages_of_a_stage_are_all_of_it_each_task_once(queue: TaskQueue, stage: Stage) -> None:
    ids = [f"{n:02}/\U0001f600" for n in range(23)]
    bring(queue, stage, *ids)
    queue.put({"other": 1})
    if stage is Stage.WAITING:
        queue.refuse("other", reason="no")
    whole = queue.lookup_state(stage)
    assert sorted(whole) == ids
    assert whole.next is None
    for limit in 5, 22, 23, 24:
        found = pages(queue, stage, limit)
        assert sorted(chain(*found)) == ids
        assert all(len(page) == limit for page in found[:-1])


def test_of_an_empty_stage_there_is_one_empty_page(queue: TaskQueue) -> None:
    page = queue.lookup_state(Stage.FAIL, limit=5)
    assert (page, page.next) == ([], None)


def test_delayed_and_prioritised_tasks_are_on_the_pages_too(queue: TaskQueue) -> None:
    queue.put(dict.fromkeys("abc"), delay_s=HOUR_S)
    queue.put(dict.fromkeys("def"), priority=5)
    assert sorted(chain(*pages(queue, Stage.WAITING, 2))) == list("abcdef")


def test_what_stays_in_the_stage_is_seen_once_though_others_come_and_go(
    queue: TaskQueue,
) -> None:
    ids = [f"{n:02}" for n in range(40)]
    queue.put(dict.fromkeys(ids))
    seen: list[str] = []
    after: str | None = None
    for round_ in range(100):
        page = queue.lookup_state(Stage.WAITING, limit=4, after=after)
        seen += page
        if (after := page.next) is None:
            break
        queue.get(2)  # from the head, where the pages were: the mark of the page may be gone
        queue.put({f"new-{round_}": 1})
    stayed = queue.lookup_state(Stage.WAITING)
    assert set(stayed) & set(ids) <= set(seen)
    assert len(seen) == len(set(seen))


def test_a_limit_a_mark_and_a_stage_are_what_they_should_be(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    for limit in 0, -1, 1.5, "1", True:
        with pytest.raises(BadTask, match="limit must be a whole number"):
            queue.lookup_state(Stage.WAITING, limit=limit)  # type: ignore[arg-type]
    for after in 5, b"x", "no such mark \0":
        with pytest.raises(BadTask):
            queue.lookup_state(Stage.WAITING, limit=1, after=after)  # type: ignore[arg-type]
    for stage in 4, -1, "WAITING", None:
        for verb in queue.size, queue.lookup_state:
            with pytest.raises(BadTask, match="is no stage"):
                verb(stage)  # type: ignore[arg-type]
