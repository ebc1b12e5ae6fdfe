"""Trials with jobs: what is ready when, what is queued twice, and where the blows fall."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import pytest

from labs.broker.address import Address
from labs.journal import Event
from labs.judge.catalogue import exercise
from labs.judge.engine import run_trials
from labs.judge.history import History
from labs.judge.rules.handling import made_ready, unready

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def journals(
    broker: Address, tmp_path_factory: pytest.TempPathFactory
) -> Sequence[Sequence[Event]]:
    """The exercise's own solution, run once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_HOME", str(tmp_path_factory.mktemp("jobs") / ".labs"))
        command = [sys.executable, str(exercise("job-handler").folder / "solution.py")]
        return run_trials("job-handler", command, broker=broker, seed="a seed")


def test_what_is_queued_is_a_job_with_a_type_an_id_and_a_text(
    journals: Sequence[Sequence[Event]],
) -> None:
    for events in journals:
        for event in (event for event in events if event.kind == "published"):
            job = json.loads(event.data["body"])
            assert set(job) == {"job_type", "job_id", "text"}
            assert job["job_id"] == event.data["job_id"] == event.data["message_id"]


def test_what_is_not_ready_becomes_so_when_all_else_is_done(
    journals: Sequence[Sequence[Event]],
) -> None:
    history = History.of(journals[0])
    ready = made_ready(history)
    assert ready
    waiting = unready(history)
    assert len(waiting) == 13
    for message in history.messages.values():
        first = message.first_done
        if message in waiting:
            assert message.deliveries[0].event.n < ready.n
            assert first
            assert first.event.n > ready.n
        elif message.published and message.published.n < ready.n:
            assert message.body.startswith("bad") or (first and first.event.n < ready.n)


def test_some_jobs_are_queued_a_second_time_when_they_are_done(
    journals: Sequence[Sequence[Event]],
) -> None:
    for events, expected in zip(journals, (3, 4, 0), strict=True):
        again = [e for e in events if e.kind == "published" and e.data.get("again")]
        assert len(again) == expected
        lines = {str(e.data["text"]): e.n for e in events if e.kind == "line"}
        for event in again:
            assert lines["done " + json.loads(event.data["body"])["text"]] < event.n


def test_a_copy_dies_when_what_it_has_done_is_written_down(
    journals: Sequence[Sequence[Event]],
) -> None:
    for events in journals[1:]:
        history = History.of(events)
        (kill,) = history.struck("kill")
        said = [s for s in history.lines if s.copy == kill.copy and s.event.n < kill.n]
        assert all(s.delivery and (s.delivery.settled or s.delivery.unheard) for s in said)
    assert [fault.name for fault in History.of(journals[1]).faults] == ["cut"]
