"""Builds watched while something happens: every look counts, and a lost one does no harm."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labs.notebook import Lab
from labs.notebook.builds import Builds
from labs.queue_service.messages import Message, State
from labs.waiting import wait_until
from tests.pictures.runs import message


class Queue:
    """What is answered to who looks; an exception is raised in its place."""

    def __init__(self) -> None:
        self.now = replace(message(101, State.BLOCKED), enqueued_at=datetime.now(UTC))
        self.fails = False
        self.looks = 0

    def __call__(self) -> Sequence[Message]:
        self.looks += 1
        if self.fails:
            raise ConnectionRefusedError("the instance is gone")
        return [self.now]

    def becomes(self, state: State) -> None:
        """From the next look on it is in this state."""
        self.now = replace(self.now, state=state)
        self.is_looked_at()

    def is_looked_at(self) -> None:
        """Return when it has been, once at least."""
        before = self.looks
        wait_until(lambda: self.looks > before + 1, 10)


@pytest.fixture
def queue() -> Queue:
    return Queue()


def states(builds: Builds) -> list[State]:
    (row,) = builds.rows
    return [change.state for change in row.changes]


def test_each_state_that_was_seen_is_in_the_picture(queue: Queue) -> None:
    with Builds(queue) as builds:
        for state in (State.BLOCKED, State.QUEUED, State.COLLAPSED):
            queue.becomes(state)
    assert states(builds) == [State.BLOCKED, State.QUEUED, State.COLLAPSED]
    assert "At the end: 1 collapsed." in builds.picture().text
    drawn = builds.picture().svg
    time.sleep(0.05)
    assert builds.picture().svg == drawn, "it has ended: time stands still"


def test_the_last_look_is_taken_after_the_block(queue: Queue) -> None:
    with Builds(queue) as builds:
        queue.is_looked_at()
        queue.now = replace(queue.now, state=State.STOPPED)
    assert states(builds)[-1] is State.STOPPED


def test_looks_that_fail_leave_a_gap_and_what_befell_all_is_told(queue: Queue) -> None:
    with Builds(queue) as builds:
        queue.becomes(State.BLOCKED)
        queue.fails = True
        builds.happened("instance two is killed")
        queue.becomes(State.QUEUED)
        queue.fails = False
        begun = datetime.now(UTC) + timedelta(microseconds=1)
        queue.now = replace(queue.now, owner="bob", started_at=begun)
        queue.becomes(State.RUNNING)
    assert states(builds) == [State.BLOCKED, State.RUNNING]
    assert "running (bob)" in builds.picture().text
    assert "instance two is killed" in builds.picture().text


def test_a_lab_ends_what_it_watches(
    queue: Queue, labs_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labs_home
    lab = Lab("test-notebook", broker=False)
    builds = lab.builds(queue, live=True)
    builds.start()
    queue.becomes(State.BLOCKED)
    lab.clean_up()
    looks = queue.looks
    assert "nothing was left" in capsys.readouterr().out
    assert states(builds)[-1] is State.BLOCKED
    builds.stop()
    assert queue.looks == looks, "nobody looks any more"
