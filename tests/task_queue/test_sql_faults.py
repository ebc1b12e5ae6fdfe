"""A SQL queue in trouble: its server restarts, its file is in use, its disk is full."""

from __future__ import annotations

import random
import resource
import secrets
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from labs.task_queue import sql_database
from labs.task_queue.errors import StoreUnfit, StoreUnreachable
from labs.task_queue.local_postgres import LocalPostgres
from labs.task_queue.sql import SqlQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Fail, Success
from labs.waiting import wait_until

ROOT = Path(__file__).parents[2]


def in_the_background(work: Callable[[], None]) -> tuple[threading.Thread, threading.Event]:
    """A thread that does this, and what is set when it has."""
    done = threading.Event()

    def run() -> None:
        work()
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, done


# --- PostgreSQL -------------------------------------------------------------------------------


def test_after_a_restart_of_postgresql_one_verb_fails_and_the_next_works(
    own_postgres: LocalPostgres,
) -> None:
    with SqlQueue.connect(own_postgres.url, "q") as queue:
        queue.put({"a": 1, "b": 2})
        (claim,) = queue.get(lease_s=600)
        threads = [threading.Thread(target=queue.sizes) for _ in range(4)]  # fill the pool
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        own_postgres.crash()
        with pytest.raises(StoreUnreachable, match="does not answer") as error:
            queue.get()
        assert "try again" in error.value.remedy
        with pytest.raises(StoreUnreachable):
            queue.put({"c": 3})
        own_postgres.start()
        queue.put({"c": 3})
        queue.success(claim)
        assert [id_ for id_, _ in queue.get(5)] == ["b", "c"]


def test_a_restart_is_one_error_to_who_asks_and_one_to_who_listens_however_many_connections(
    own_postgres: LocalPostgres,
) -> None:
    with SqlQueue.connect(own_postgres.url, "q") as queue:
        queue._wait(0.01)
        with queue.database.session() as one, queue.database.session() as two:
            assert one.connection is not two.connection
        own_postgres.restart()
        with pytest.raises(StoreUnreachable):
            queue.sizes()
        assert queue.sizes()["WAITING"] == 0
        with pytest.raises(StoreUnreachable):
            queue.get(wait_s=30)
        assert queue.get(wait_s=0.01) == []


def test_who_waits_is_woken_by_a_put_of_another_process(postgres_url: str) -> None:
    with SqlQueue.connect(postgres_url, "wake") as queue:
        queue._wait(0.1)  # the first time it says that it listens
        waiter, done = in_the_background(lambda: queue._wait(60))
        assert not done.wait(0.3), "nothing has happened yet"
        put = """
import sys
from labs.task_queue.sql import SqlQueue
with SqlQueue.connect(sys.argv[1], "wake") as queue:
    queue.put({"a": 1})
"""
        subprocess.run([sys.executable, "-c", put, postgres_url], cwd=ROOT, check=True)
        assert done.wait(20), "the put has woken it, long before its time"
        waiter.join()
        queue.get()


def test_a_put_notifies_only_if_somebody_listens(postgres_url: str) -> None:
    with (
        SqlQueue.connect(postgres_url, "quiet") as queue,
        psycopg.connect(postgres_url, autocommit=True) as listener,
    ):
        listener.execute(f"LISTEN {queue._waiting._channel}")
        queue.put({"a": 1})
        assert list(listener.notifies(timeout=0.2)) == []
        queue._wait(0.01)
        queue.put({"b": 2, "c": 3})
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
        assert list(listener.notifies(timeout=0.2)) == [], "once for a put, not for a task"


def test_batches_of_the_same_tasks_in_any_order_never_lock_each_other_out(
    postgres_url: str,
) -> None:
    """Rows are locked in the order of their ids, else PostgreSQL would end one as a deadlock."""
    name = f"locks-{secrets.token_hex(4)}"
    failures: list[Exception] = []

    def work(seed: int) -> None:
        order = random.Random(seed)
        with SqlQueue.connect(postgres_url, name) as queue:
            try:
                for number in range(15):
                    ids = [f"{number}-{n}" for n in range(60)]
                    order.shuffle(ids)
                    queue.put_quietly(dict.fromkeys(ids))
                    queue.get(40)
                    queue.settle([Success(id_) if seed % 2 else Fail(id_) for id_ in ids])
                    queue.requeue_quietly(ids)
            except Exception as error:  # noqa: BLE001 - told below
                failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# --- SQLite -----------------------------------------------------------------------------------


def test_a_put_of_another_handle_wakes_who_waits_on_a_file(sqlite_url: str) -> None:
    with SqlQueue.connect(sqlite_url, "q") as queue, SqlQueue.connect(sqlite_url, "q") as other:
        queue._wait(0.1)
        waiter, done = in_the_background(lambda: queue._wait(60))
        assert not done.wait(0.3), "nothing has happened yet"
        other.put({"a": 1})
        assert done.wait(20)
        waiter.join()


def test_a_file_that_others_write_to_is_waited_for(sqlite_url: str) -> None:
    with SqlQueue.connect(sqlite_url, "q") as queue:
        other = sqlite3.connect(sqlite_url[10:], isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.5, lambda: other.execute("COMMIT")).start()
        queue.put({"a": 1})
        assert queue.sizes()["WAITING"] == 1
        wait_until(lambda: not other.in_transaction, 10)
        other.close()


def test_a_file_that_is_never_let_go_is_told_in_a_sentence(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_database, "PATIENCE_S", 0.2)
    with SqlQueue.connect(sqlite_url, "q") as queue:
        queue.put({"a": 1})
        other = sqlite3.connect(sqlite_url[10:], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnreachable, match="was in use by others") as error:
            queue.get()
        assert "PostgreSQL" in error.value.remedy
        assert queue.lookup_status("a") is Stage.WAITING, "who looks need not wait"
        other.execute("COMMIT")
        other.close()
        assert queue.get() == [("a", 1)]


FILLS_THE_DISK = """
import resource, signal, sys
from labs.task_queue.errors import StoreUnreachable
from labs.task_queue.sql import SqlQueue
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
queue = SqlQueue.connect(sys.argv[1], "q")
queue.put({"first": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
stored = 1
try:
    for number in range(1_000):
        queue.put({f"{number}": "x" * 10_000})
        stored += 1
except StoreUnreachable as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    print(queue.size(0) == stored)
    queue.put({"again": 1})
    print(queue.get(1))
    print(error, error.remedy)
"""


def test_a_full_disk_is_told_in_a_sentence_and_loses_nothing(sqlite_url: str) -> None:
    """A file can't become larger than a limit: to SQLite that is a disk without room."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", FILLS_THE_DISK, sqlite_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    same, claimed, sentence = done.stdout.splitlines()
    assert (same, claimed) == ("True", "[('first', 1)]")
    assert "can't take more" in sentence
    assert "Make room, and try again." in sentence


@pytest.mark.parametrize("text", [b"this is no database " * 100, None])
def test_a_file_that_is_no_database_and_a_folder_that_is_not_there_are_sentences(
    tmp_path: Path, text: bytes | None
) -> None:
    path = tmp_path / ("notes.txt" if text else "nowhere/tasks.db")
    if text:
        path.write_bytes(text)
    with pytest.raises(StoreUnfit, match="can't be") as error:
        SqlQueue.connect(f"sqlite:///{path}", "q")
    assert error.value.remedy
    assert not text or path.read_bytes() == text


def test_many_threads_may_share_one_handle(sqlite_url: str) -> None:
    with SqlQueue.connect(sqlite_url, "q") as queue:
        queue.put({f"{n}": n for n in range(200)})
        claimed: list[str] = []

        def work() -> None:
            while claims := queue.get():
                claimed.extend(id_ for id_, _ in claims)
                queue.success(claims[0])

        threads = [threading.Thread(target=work) for _ in range(8)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(int, claimed)) == list(range(200)), time.monotonic() - started
