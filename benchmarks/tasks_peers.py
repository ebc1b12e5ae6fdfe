"""Other ways to keep tasks in PostgreSQL, on the same server, as subjects of `benchmarks.tasks`.

The bare loop is the least that can be called a task queue: one table, one index, SKIP LOCKED, no
leases, no attempts. pgmq is an extension that is not installed here; its statements for send,
read and archive are written down as they are published. procrastinate is the package itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Job, Status

from benchmarks.tasks_sql import fresh_database, tidy
from benchmarks.tasks_subjects import BODY, FILLED_AT_ONCE, Ground, Handle, Subject

MESSAGE = json.dumps(BODY)


def subjects(postgres_url: str) -> list[Subject]:
    """All of them."""
    makers = (("bare psycopg", BareLoop), ("pgmq's SQL", Pgmq), ("procrastinate", Procrastinate))
    return [
        Subject(
            name,
            partial(ground_of, maker, postgres_url),
            most=100_000,
            singles=200,
            batch=0 if maker is Procrastinate else 1_000,
        )
        for name, maker in makers
    ]


@contextmanager
def ground_of(maker: type[Peer], postgres_url: str) -> Iterator[Ground]:
    """A database of its own, with the peer's tables."""
    with fresh_database(postgres_url) as url:
        maker.make(url)
        yield PeerGround(maker, url)


class Peer(Handle):
    """A handle that knows how to make its tables."""

    def __init__(self, url: str) -> None: ...

    @classmethod
    def make(cls, url: str) -> None:
        """Make the tables."""
        raise NotImplementedError


@dataclass
class PeerGround:
    """A database with a peer's tables; it can go to another process."""

    maker: type[Peer]
    url: str

    def open(self) -> Handle:
        """One more handle."""
        return self.maker(self.url)

    def fill(self, stored: int) -> None:
        """Put them all; claim and settle half."""
        handle = self.open()
        for first in range(0, stored, FILLED_AT_ONCE):
            handle.put([f"old-{n}" for n in range(first, min(first + FILLED_AT_ONCE, stored))])
        for first in range(0, stored // 2, FILLED_AT_ONCE):
            handle.success(handle.get(min(FILLED_AT_ONCE, stored // 2 - first)))
        handle.close()
        tidy(self.url)


class Sql(Peer):
    """What is nothing but statements, one a verb."""

    tables: ClassVar[str]
    put_them: ClassVar[str]
    get_them: ClassVar[str]
    settle_them: ClassVar[str]

    def __init__(self, url: str) -> None:
        self._database = psycopg.connect(url, autocommit=True)

    @classmethod
    def make(cls, url: str) -> None:
        """Make the tables."""
        with psycopg.connect(url, autocommit=True) as database:
            database.execute(cls.tables.encode())

    def put(self, ids: Sequence[str]) -> None:
        """Add tasks."""
        bodies = [MESSAGE] * len(ids)
        self._run(self.put_them, {"ids": list(ids), "bodies": bodies})

    def get(self, n: int) -> Sequence[Any]:
        """Claim tasks."""
        return [row[0] for row in self._run(self.get_them, {"n": n})]

    def success(self, claims: Sequence[Any]) -> None:
        """Settle tasks."""
        self._run(self.settle_them, {"ids": list(claims)})

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _run(self, statement: str, params: dict[str, Any]) -> list[Any]:
        return self._database.execute(statement.encode(), params).fetchall()


class BareLoop(Sql):
    """SKIP LOCKED, and nothing else."""

    tables = """CREATE TABLE bare (id text PRIMARY KEY,
            seq bigint GENERATED ALWAYS AS IDENTITY, stage smallint DEFAULT 0, body jsonb);
        CREATE INDEX bare_waiting ON bare (seq) WHERE stage = 0"""
    put_them = """INSERT INTO bare (id, body)
        SELECT * FROM unnest(%(ids)s::text[], %(bodies)s::jsonb[])
        ON CONFLICT DO NOTHING RETURNING id"""
    get_them = """UPDATE bare SET stage = 1 WHERE id = ANY (ARRAY(
            SELECT id FROM bare WHERE stage = 0 ORDER BY seq LIMIT %(n)s FOR UPDATE SKIP LOCKED))
        RETURNING id, body"""
    settle_them = "UPDATE bare SET stage = 2 WHERE id = ANY (%(ids)s) AND stage = 1 RETURNING id"


class Pgmq(Sql):
    """What pgmq's send_batch, read and archive run."""

    tables = """CREATE TABLE q_bench (msg_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            read_ct int DEFAULT 0 NOT NULL, enqueued_at timestamptz DEFAULT now() NOT NULL,
            vt timestamptz NOT NULL, message jsonb);
        CREATE INDEX q_bench_vt ON q_bench (vt ASC);
        CREATE TABLE a_bench (msg_id bigint PRIMARY KEY, read_ct int DEFAULT 0 NOT NULL,
            enqueued_at timestamptz DEFAULT now() NOT NULL,
            archived_at timestamptz DEFAULT now() NOT NULL, vt timestamptz NOT NULL,
            message jsonb);
        CREATE INDEX a_bench_archived ON a_bench (archived_at)"""
    put_them = """INSERT INTO q_bench (vt, message)
        SELECT clock_timestamp(), unnest(%(bodies)s::jsonb[]) RETURNING msg_id"""
    get_them = """WITH cte AS (SELECT msg_id FROM q_bench WHERE vt <= clock_timestamp()
            ORDER BY msg_id ASC LIMIT %(n)s FOR UPDATE SKIP LOCKED)
        UPDATE q_bench AS m SET vt = clock_timestamp() + interval '600 s', read_ct = read_ct + 1
        FROM cte WHERE m.msg_id = cte.msg_id
        RETURNING m.msg_id, m.read_ct, m.enqueued_at, m.vt, m.message"""
    settle_them = """WITH archived AS (DELETE FROM q_bench WHERE msg_id = ANY (%(ids)s)
            RETURNING msg_id, vt, read_ct, enqueued_at, message)
        INSERT INTO a_bench (msg_id, vt, read_ct, enqueued_at, message)
        SELECT msg_id, vt, read_ct, enqueued_at, message FROM archived RETURNING msg_id"""


async def opened(app: App) -> None:
    """Open its connections."""
    await app.open_async()


class Procrastinate(Peer):
    """The package's own job manager: what its `defer` and its worker call."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.Runner()
        self._app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=1))
        self._loop.run(opened(self._app))
        self._jobs = self._app.job_manager
        self._worker = self._loop.run(self._jobs.register_worker())

    @classmethod
    def make(cls, url: str) -> None:
        """Make the tables."""
        handle = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=1))

        async def apply() -> None:
            async with handle.open_async():
                await handle.schema_manager.apply_schema_async()

        asyncio.run(apply())

    def put(self, ids: Sequence[str]) -> None:
        """Defer jobs."""
        jobs = [
            Job(
                queue="bench",
                lock=None,
                queueing_lock=None,
                task_name="bench",
                task_kwargs={"id": id_, "body": MESSAGE},
            )
            for id_ in ids
        ]
        self._loop.run(self._jobs.batch_defer_jobs_async(jobs))

    def get(self, n: int) -> Sequence[Any]:
        """Fetch jobs: it does so one by one."""

        async def fetch() -> list[Job]:
            found = [await self._jobs.fetch_job(["bench"], self._worker) for _ in range(n)]
            return [job for job in found if job]

        return self._loop.run(fetch())

    def success(self, claims: Sequence[Any]) -> None:
        """Finish jobs, one by one."""

        async def finish() -> None:
            for job in claims:
                await self._jobs.finish_job(job, Status.SUCCEEDED, delete_job=False)

        self._loop.run(finish())

    def close(self) -> None:
        """Close the connections."""
        self._loop.run(self._app.close_async())
        self._loop.close()
