"""The package's door: all its names are there, and cost nothing before they are asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import labs.task_queue
from labs.task_queue.stages import Stage

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", labs.task_queue.__all__)
def test_every_name_can_be_imported(name: str) -> None:
    assert callable(getattr(labs.task_queue, name))
    assert name in dir(labs.task_queue)


def test_the_known_names_are_ours() -> None:
    from labs.task_queue import InMemoryEventStore, MemoryEventStore, QueueItemStage

    assert (QueueItemStage, InMemoryEventStore) == (Stage, MemoryEventStore)


def test_a_name_that_is_not_there_is_missed_as_ever() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = labs.task_queue.nothing


def run(code: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def test_a_queue_in_memory_imports_no_library() -> None:
    loaded = run(
        "from labs.task_queue import in_memory_queue, event_queue, InMemoryEventStore; import sys;"
        "q = event_queue(in_memory_queue(), InMemoryEventStore(), 'x'); q.put({'a': 1});"
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'sqlalchemy', 'psycopg', 'boto3', 'fastapi', 'pydantic', 'pika', 'httpx'}))"
    )
    assert loaded == "[]"


def test_who_lacks_a_library_is_told_which_extra_has_it() -> None:
    said = run(
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "try:\n    from labs.task_queue import SqlQueue\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    assert "SqlQueue needs the library sqlalchemy" in said
    assert "queue-labs[task-queue]" in said


def test_the_page_s_example_does_what_it_says() -> None:
    text = labs.task_queue.__doc__ or ""
    lines = text.splitlines()
    code = "\n".join(line[4:] for line in lines if line.startswith("    ") or not line)
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - our own page
    queue = names["queue"]
    assert isinstance(queue, labs.task_queue.TaskQueue)
    assert str(queue.sizes()) in text
    assert queue.lookup_task("scan-17").result == {"spots": 4}
