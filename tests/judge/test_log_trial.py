"""Trials on a log: what they write down, in which order, and that they need no RabbitMQ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from labs.journal import Event
from labs.judge import engine
from labs.judge.catalogue import exercise
from labs.judge.history import History
from labs.judge.judging import judge_journals
from labs.judge.leftovers import left_by_killed_checks
from labs.judge.rules.committing import passed
from labs.judge.verdicts import Outcome

pytestmark = pytest.mark.usefixtures("labs_home")


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Sequence[Event]]:
    """The exercise's own solution, run once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_HOME", str(tmp_path_factory.mktemp("log") / ".labs"))
        command = [sys.executable, str(exercise("request-handler").folder / "solution.py")]
        return engine.run_trials("request-handler", command, broker=None, seed="a seed")


@pytest.mark.slow
def test_requests_are_there_before_the_copies_and_a_kill_strikes_in_the_middle(
    journals: Sequence[Sequence[Event]],
) -> None:
    history = History.of(journals[0])
    started = history.processes[0].started
    first = [m for m in history.messages.values() if m.published and m.published.n < started.n]
    assert {m.place.partition for m in first if m.place} == {0, 1, 2, 3}
    (kill,) = history.struck("kill")
    (in_hand,) = kill.data["in_hand"]
    done = history.messages[in_hand].first_done
    assert done
    assert done.event.n > kill.n
    assert [process.copy for process in history.processes] == ["A", "B", "A"]


@pytest.mark.slow
def test_a_commit_stands_behind_the_lines_that_were_printed_before_it(
    journals: Sequence[Sequence[Event]],
) -> None:
    for events in journals:
        history = History.of(events)
        for message in history.messages.values():
            commit = passed(history, message)
            assert commit
            last = message.first_done.event if message.first_done else message.appended[0]
            assert last.n < commit.n


@pytest.mark.slow
def test_the_long_request_lasts_longer_than_clients_wait_before_they_commit(
    journals: Sequence[Sequence[Event]],
) -> None:
    history = History.of(journals[1])
    assert max(map(history.work_s, history.messages)) > 5.0


@pytest.mark.slow
def test_the_same_journals_give_the_same_report(journals: Sequence[Sequence[Event]]) -> None:
    report = judge_journals(journals)
    assert report.outcome is Outcome.KEPT
    assert report == judge_journals(journals)


def test_without_the_client_nothing_can_be_said_and_a_sentence_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "labs.request_queue.kafka", None)
    run = engine.check("request-handler", [sys.executable, "-c", ""], broker=None, seed="s")
    assert run.report.exit_code == 2
    assert all("There is no Kafka client here" in one.seen for one in run.report.verdicts)
    assert not list(left_by_killed_checks())


def test_no_rabbitmq_is_asked_for(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "labs", "check", "request-handler", "--json", "--", "echo", "hi"],
        env={
            **os.environ,
            "AMQP_URL": "amqp://nobody:x@127.0.0.1:1/%2F",
            "LABS_HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    report = json.loads(ran.stdout)
    assert (ran.returncode, report["outcome"]) == (1, "broken"), ran.stderr
    assert report["verdicts"][0]["promise"] == "contract"
    assert "ended by itself" in report["verdicts"][0]["seen"]
