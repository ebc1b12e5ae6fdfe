"""Our queue in memory, in SQLite and in PostgreSQL, as subjects of `benchmarks.tasks`.

A database is filled by one statement: what it inserts is what the verbs would have left.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg

from benchmarks.tasks_subjects import BODY, Ground, QueueGround, Subject
from labs.task_queue.memory import MemoryQueue, MemoryTasks
from labs.task_queue.sql import SqlQueue

QUEUE = "bench"
COLUMNS = """queue, id, body, priority, stage, due, put_at, claimed_at, settled_at, attempts,
    moves, backoff_s, reason"""
FILLS = {
    "postgresql": f"""INSERT INTO lab_tasks (seq, {COLUMNS})
        SELECT nextval('lab_tasks_line'), '{QUEUE}', 'old-' || n, %(body)s,
            0, CASE WHEN n < %(stored)s / 2 THEN 2 ELSE 0 END, now(), now(), NULL,
            CASE WHEN n < %(stored)s / 2 THEN now() END, 0, 1, 1, ''
        FROM generate_series(0, %(stored)s - 1) AS n""",  # noqa: S608 - no words but our own
    "sqlite": f"""INSERT INTO lab_tasks ({COLUMNS})
        WITH RECURSIVE numbers(n) AS (
            SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :stored - 1)
        SELECT '{QUEUE}', 'old-' || n, :body,
            0, CASE WHEN n < :stored / 2 THEN 2 ELSE 0 END, 1e9, 1e9, NULL,
            CASE WHEN n < :stored / 2 THEN 1e9 END, 0, 1, 1, ''
        FROM numbers""",  # noqa: S608
}


def subjects(postgres_url: str) -> list[Subject]:
    """All of them; PostgreSQL's has a database of its own for each ground."""
    return [
        Subject("memory", memory_ground, 1_000_000, singles=2_000, batch=1_000),
        Subject("SQLite", sqlite_ground, 1_000_000, singles=200, batch=1_000),
        Subject(
            "PostgreSQL",
            partial(postgres_ground, postgres_url),
            1_000_000,
            singles=200,
            batch=1_000,
        ),
    ]


@contextmanager
def memory_ground() -> Iterator[Ground]:
    """Tasks of this process."""
    tasks = MemoryTasks()
    yield QueueGround(lambda: MemoryQueue(tasks))


@contextmanager
def sqlite_ground() -> Iterator[Ground]:
    """A file of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-sqlite-") as folder:
        url = f"sqlite:///{folder}/tasks.db"
        yield QueueGround(partial(SqlQueue.connect, url, QUEUE), partial(fill, url))


@contextmanager
def postgres_ground(postgres_url: str) -> Iterator[Ground]:
    """A database of its own."""
    with fresh_database(postgres_url) as url:
        yield QueueGround(partial(SqlQueue.connect, url, QUEUE), partial(fill, url))


def fill(url: str, stored: int) -> None:
    """Fill the tables of our queue."""
    queue = SqlQueue.connect(url, QUEUE)
    with queue.database.session(writes=True) as session:
        statement = FILLS[queue.database.name]
        session.run(statement, {"stored": stored, "body": json.dumps(BODY)})
    queue.close()
    if url.startswith("postgresql"):
        tidy(url)


@contextmanager
def fresh_database(postgres_url: str) -> Iterator[str]:
    """A database for one ground; its URL."""
    name = f"bench_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield postgres_url.rpartition("/")[0] + f"/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def tidy(url: str) -> None:
    """What autovacuum does to tables soon after they were filled, and a checkpoint."""
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("VACUUM ANALYZE")
        database.execute("CHECKPOINT")
