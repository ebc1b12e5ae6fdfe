"""What an earlier kernel left behind is ended, and nothing else is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from labs.broker.processes import ProcessId
from labs.notebook.leftovers import QueueNotes, WorkerNotes

Sleeper = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """Starts processes that do nothing for a long time."""
    started = []

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def note_of_another_kernel(folder: Path, worker: int, kernel: ProcessId) -> Path:
    """As if `kernel` had started the worker."""
    found = ProcessId.of(worker)
    assert found is not None
    folder.mkdir(exist_ok=True)
    path = folder / f"{worker}.json"
    path.write_text(
        json.dumps({"notebook": "03", "worker": asdict(found), "kernel": asdict(kernel)})
    )
    return path


def test_workers_of_a_kernel_that_is_gone_are_ended(tmp_path: Path, sleeper: Sleeper) -> None:
    worker = sleeper()
    dead_kernel = ProcessId(pid=2**22 - 1, started=1.0)
    note = note_of_another_kernel(tmp_path, worker.pid, dead_kernel)
    assert WorkerNotes(tmp_path).end_left_behind("04") == 1
    assert worker.wait(10) == -signal.SIGKILL
    assert not note.exists()


def test_workers_of_another_living_kernel_are_left_alone(tmp_path: Path, sleeper: Sleeper) -> None:
    worker, kernel = sleeper(), ProcessId.of(sleeper().pid)
    assert kernel is not None
    note = note_of_another_kernel(tmp_path, worker.pid, kernel)
    assert WorkerNotes(tmp_path).end_left_behind("03") == 0
    assert worker.poll() is None
    assert note.exists()


def test_a_notebook_begun_again_ends_its_own_workers_and_no_other_notebooks(
    tmp_path: Path, sleeper: Sleeper
) -> None:
    mine, other = sleeper(), sleeper()
    WorkerNotes(tmp_path).note(mine.pid, "03")
    WorkerNotes(tmp_path).note(other.pid, "04")
    assert WorkerNotes(tmp_path).end_left_behind("03") == 1
    assert mine.wait(10) == -signal.SIGKILL
    assert other.poll() is None


def test_a_stranger_who_got_the_id_of_a_dead_worker_is_left_alone(
    tmp_path: Path, sleeper: Sleeper
) -> None:
    stranger = sleeper()
    note = note_of_another_kernel(tmp_path, stranger.pid, ProcessId(2**22 - 1, 1.0))
    told = json.loads(note.read_text())
    told["worker"]["started"] -= 3600
    note.write_text(json.dumps(told))
    assert WorkerNotes(tmp_path).end_left_behind("03") == 0
    assert stranger.poll() is None


def test_half_a_note_names_nobody_and_is_thrown_away(tmp_path: Path) -> None:
    for number, text in enumerate(("", "{", "[]", '{"worker": {"pid": 1}}')):
        (tmp_path / f"{number}.json").write_text(text)
    assert WorkerNotes(tmp_path).end_left_behind("03") == 0
    assert not list(tmp_path.iterdir())


def test_a_worker_that_has_ended_is_forgotten(tmp_path: Path) -> None:
    notes = WorkerNotes(tmp_path)
    notes.note(os.getpid(), "03")
    notes.forget(os.getpid())
    assert notes.end_left_behind("03") == 0


def test_queues_are_remembered_by_broker_and_notebook(tmp_path: Path) -> None:
    path = tmp_path / "queues.json"
    here = QueueNotes(path, "amqp://here", "03")
    here.note("work")
    here.note("work")
    QueueNotes(path, "amqp://here", "04").note("hello")
    assert QueueNotes(path, "amqp://here", "03").noted() == ["work"]
    assert QueueNotes(path, "amqp://there", "03").noted() == []
    here.forget()
    assert here.noted() == []
    assert QueueNotes(path, "amqp://here", "04").noted() == ["hello"]
