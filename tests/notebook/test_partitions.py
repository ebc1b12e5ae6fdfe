"""From what replicas told to how a topic's partitions stand at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from labs.notebook.partitions import Board, Told
from labs.pictures.partitions import Cell, Lane, State


@dataclass(frozen=True)
class Depth:
    """What the log says of a partition."""

    partition: int
    first: int
    committed: int
    end: int


def board(*depths: Depth) -> Board:
    """A board on a log that stands so."""
    return Board(lambda: depths)


def told(what: str, offset: int, replica: str = "alice", partition: int = 0) -> Told:
    return Told(what, replica, partition, offset, f"vm-{offset}")


def test_what_nobody_has_touched_waits_where_it_was_put() -> None:
    made = board(Depth(0, 0, 0, 2), Depth(1, 0, 0, 0))
    made.note(0, 0, "vm-1 start")
    made.note(0, 1, "vm-1 stop")
    assert made.moment("m").lanes == (
        Lane("partition 0", (Cell("vm-1 start", offset=0), Cell("vm-1 stop", offset=1)), "", 0),
        Lane("partition 1", (), "", 0),
    )


def test_each_event_changes_its_record_and_says_whose_the_partition_is() -> None:
    made = board(Depth(0, 0, 1, 4))
    events = [told("taken", 0), told("done", 0), told("committed", 0), told("taken", 1)]
    (lane,) = made.moment("m", [*events, told("put back", 2), told("answered", 3)]).lanes
    assert (lane.owner, lane.committed) == ("alice", 1)
    assert [(cell.state, cell.by) for cell in lane.cells] == [
        (State.DONE, "alice"),
        (State.IN_WORK, "alice"),
        (State.PUT_BACK, ""),
        (State.FAILED, ""),
    ]
    assert lane.cells[0].label == "vm-0", "what was not noted is known by its request_id"


def test_what_was_lost_waits_again_and_what_was_done_twice_says_so() -> None:
    made = board(Depth(0, 0, 0, 2))
    lost = [told("taken", 0), told("lost", 0)]
    twice = [told("taken", 1), told("done", 1), told("taken", 1, "bob"), told("done", 1, "bob")]
    (lane,) = made.moment("m", lost, twice).lanes
    assert lane.cells[0].state is State.WAITING
    assert (lane.cells[1].state, lane.cells[1].by, lane.cells[1].times) == (State.DONE, "bob", 2)


def test_partitions_are_kept_apart_and_what_is_deleted_is_not_shown() -> None:
    made = board(Depth(0, 0, 0, 1), Depth(1, 5, 5, 6))
    first, second = made.moment("m", [told("done", 5, "bob", 1), told("done", 0, "bob", 1)]).lanes
    assert [cell.state for cell in first.cells] == [State.WAITING]
    assert [(cell.offset, cell.state) for cell in second.cells] == [(5, State.DONE)]
