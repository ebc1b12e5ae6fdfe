"""Replay: from events to the state at any time, and to the flow through the stages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from labs.task_queue.errors import BadTask
from labs.task_queue.events import Event
from labs.task_queue.replay import Flow, flow, moves_of, replay
from labs.task_queue.stages import MOVES, Move, Stage

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def at(second: int, id_: str, *stages: int | None, **more: object) -> Event:
    """A put, or a move between two stages."""
    data: dict[str, object] = {"queue_index_key": id_, **more}
    if stages:
        data["stage_from"], data["stage_to"] = stages
    name = "x_MOVE" if stages else "x_ADD"
    return Event(name, data=data, time=NOON + timedelta(seconds=second))


STORY = [
    at(0, "a"),
    at(0, "b"),
    at(1, "a", 0, 1),
    at(2, "b", 0, 1),
    at(3, "a", 1, 2),
    at(4, "b", 1, 3),
    at(5, "a", 2, None),
]


def test_the_state_is_known_for_any_time() -> None:
    states = [replay(STORY, NOON + timedelta(seconds=second)) for second in range(-1, 6)]
    assert states == [
        {},
        {"a": Stage.WAITING, "b": Stage.WAITING},
        {"a": Stage.PROCESSING, "b": Stage.WAITING},
        {"a": Stage.PROCESSING, "b": Stage.PROCESSING},
        {"a": Stage.SUCCESS, "b": Stage.PROCESSING},
        {"a": Stage.SUCCESS, "b": Stage.FAIL},
        {"b": Stage.FAIL},
    ]
    assert replay(STORY) == states[-1]


def test_order_and_repetition_of_the_events_do_not_matter() -> None:
    assert replay(STORY[::-1] + STORY) == replay(STORY)
    assert flow(STORY[::-1] + STORY) == flow(STORY)


def test_of_moves_at_the_same_time_the_number_decides() -> None:
    events = [
        at(1, "a", 1, 2, move_number=3, move="succeed"),
        at(1, "a", 0, 1, move_number=2, move="claim"),
        at(1, "a", move_number=1),
    ]
    assert replay(events) == {"a": Stage.SUCCESS}
    assert [moved.move for moved in moves_of(events)] == [Move.PUT, Move.CLAIM, Move.SUCCEED]


def numbered(*moves: tuple[int, int, Move]) -> list[Event]:
    """Moves of one task: the second, the number, the move."""
    made = []
    for second, number, move in moves:
        (source, *_), target = MOVES[move]
        stages = () if source is None else (source, target)
        made.append(at(second, "a", *stages, move_number=number, move=str(move), at=second))
    return made


@pytest.mark.parametrize("step_s", [1, -1, 0])
def test_a_clock_that_goes_back_undoes_nothing(step_s: int) -> None:
    """The put was made by a machine whose clock is ahead, or it went back since."""
    moves = [Move.PUT, Move.CLAIM, Move.RETRY, Move.CLAIM, Move.SUCCEED]
    events = numbered(*((step_s * n, n, move) for n, move in enumerate(moves, 1)))
    assert [moved.move for moved in moves_of(events[::-1])] == moves
    assert replay(events) == {"a": Stage.SUCCESS}
    assert [dict(one.sizes) for one in flow(events)][-1][Stage.SUCCESS] == 1
    times = [one.time for one in flow(events)]
    assert times == sorted(times)


def test_an_id_that_was_purged_and_put_anew_has_lives_one_after_the_other() -> None:
    first = [Move.PUT, Move.CLAIM, Move.SUCCEED, Move.PURGE]
    second = [Move.PUT, Move.CLAIM, Move.RETRY, Move.CLAIM, Move.FAIL, Move.PURGE]
    third = [Move.PUT, Move.CLAIM]
    events, second_of = [], 0
    for life in first, second, third:
        for number, move in enumerate(life, 1):
            second_of += 1
            events += numbered((second_of, number, move))
    assert [moved.move for moved in moves_of(events[::-1])] == [*first, *second, *third]
    assert replay(events) == {"a": Stage.PROCESSING}


def test_the_flow_has_the_sizes_at_each_moment() -> None:
    def sizes(*numbers: int) -> dict[Stage, int]:
        return dict(zip(Stage, numbers, strict=True))

    expected = [
        sizes(2, 0, 0, 0),
        sizes(1, 1, 0, 0),
        sizes(0, 2, 0, 0),
        sizes(0, 1, 1, 0),
        sizes(0, 0, 1, 1),
        sizes(0, 0, 0, 1),
    ]
    assert flow(STORY) == [
        Flow(NOON + timedelta(seconds=second), of_then) for second, of_then in enumerate(expected)
    ]
    assert flow([]) == []


def test_a_queue_that_writes_no_names_of_moves_is_read_too() -> None:
    assert [moved.move for moved in moves_of(STORY)] == [
        *[Move.PUT] * 2,
        *[Move.CLAIM] * 2,
        Move.SUCCEED,
        Move.FAIL,
        Move.PURGE,
    ]


@pytest.mark.parametrize(
    "event", [Event("door", data={"open": 1}), Event("door"), at(0, "a", 0, 9), at(0, "a", 2, 1)]
)
def test_an_event_of_something_else_is_named(event: Event) -> None:
    with pytest.raises(BadTask, match=f"The event '{event.name}' tells of no move"):
        replay([event])
