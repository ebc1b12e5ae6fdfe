"""The statements of the queue service's tables: one text each, for PostgreSQL and for SQLite.

Many rows come as one parameter, a JSON array, as in the task queue's statements, whose `Dialect`
is used here too. Each goes by an index, whatever waits: what would have to be counted or sorted
stands in the tables already.
"""

# ruff: noqa: S608 - put together of our own words alone; what others say is a parameter

from __future__ import annotations

from dataclasses import dataclass

from labs.queue_service.store_rows import (
    BUILD_COLUMNS,
    CHANGING,
    SCHEDULE_COLUMNS,
    TASK_COLUMNS,
)
from labs.task_queue.sql_text import POSTGRESQL, SQLITE, Dialect

KEY = {"key": "text"}
NUMBER = {"key": "bigint"}
JOB_COLUMNS = {
    "job_id": "bigint",
    "running": "bigint",
    "queued": "bigint",
    "blocked": "bigint",
    "frozen": "bigint",
    "started_at": "double precision",
    "last_number": "bigint",
    "last_id": "text",
    "top_number": "bigint",
    "waking": "smallint",
}
BUILD = ", ".join(f"b.{name}" for name in BUILD_COLUMNS)
JOB = ", ".join(f"j.{name}" for name in JOB_COLUMNS)
TASK = ", ".join(
    "CAST(t.result AS text)" if name == "result" else f"t.{name}" for name in TASK_COLUMNS
)
MESSAGE = f"{BUILD}, {TASK}, CAST(t.body AS text)"
WITH_TASK = "JOIN lab_tasks AS t ON t.queue = b.line AND t.id = b.id"
LIVE = "ended_at IS NULL"


@dataclass(frozen=True)
class Statements:
    """Every statement, by name."""

    last_seq: str
    builds: str
    jobs: str
    ends: str
    """The ids at the ends of jobs' lines."""
    waited_for: str
    """Of these jobs, those for whom messages of others wait."""
    waiters: str
    insert: str
    update: str
    forget: str
    forget_tasks: str
    save_jobs: str
    forget_jobs: str
    count: str
    keys: str
    save_keys: str
    forget_keys: str
    to_look_at: str
    waking: str
    ended: str
    lines: str
    put_schedule: str
    delete_schedule: str
    due_schedules: str
    ran: str
    sampled: str
    sample: str
    forget_samples: str
    # Looking.
    counts: str
    workers: str
    oldest: str
    messages: str
    newest: str
    first_in_line: str
    schedules: str
    samples: str


def statements_for(name: str) -> Statements:
    """Them all, as the database of this name speaks."""
    return _statements(POSTGRESQL if name == "postgresql" else SQLITE)


def _statements(d: Dialect) -> Statements:
    def end(where: str, order: str = "number DESC, seq DESC") -> str:
        return f"""(SELECT id FROM lab_builds WHERE queue = :queue AND job_id = v.key
            AND {where} AND {LIVE} ORDER BY {order} LIMIT 1)"""

    columns = ", ".join(BUILD_COLUMNS)
    changes = {"key": "text", **{name: BUILD_COLUMNS[name] for name in CHANGING}}
    return Statements(
        last_seq="SELECT COALESCE(MAX(seq), 0) FROM lab_builds WHERE queue = :queue",
        builds=f"""SELECT {BUILD} FROM ({d.items(KEY)}) AS v CROSS JOIN lab_builds AS b
            WHERE b.queue = :queue AND b.id = v.key""",
        jobs=f"""SELECT {JOB} FROM ({d.items(NUMBER)}) AS v CROSS JOIN lab_build_jobs AS j
            WHERE j.queue = :queue AND j.job_id = v.key""",
        ends=f"""SELECT v.key, {end("state = 'blocked' AND collapse = 0", "number, seq")},
            {end("state = 'blocked' AND collapse = 0")},
            {end("state = 'blocked' AND collapse = 1")},
            {end("state = 'queued' AND collapse = 0")},
            {end("state = 'queued' AND collapse = 1")},
            {end("state = 'frozen'", "seq DESC")} FROM ({d.items(NUMBER)}) AS v""",
        waited_for=f"""SELECT v.key FROM ({d.items(NUMBER)}) AS v
            WHERE EXISTS (SELECT 1 FROM lab_builds AS b
                WHERE b.queue = :queue AND b.waits_for = v.key AND b.waits_for <> b.job_id)""",
        waiters=f"""SELECT {BUILD} FROM lab_builds AS b WHERE b.queue = :queue
            AND b.waits_for = :job_id AND b.waits_for <> b.job_id ORDER BY b.seq LIMIT :n""",
        insert=f"""INSERT INTO lab_builds (queue, {columns})
            SELECT :queue, {columns} FROM ({d.items(BUILD_COLUMNS)}) AS v WHERE true""",
        update=f"""UPDATE lab_builds SET {", ".join(f"{name} = v.{name}" for name in CHANGING)}
            FROM ({d.items(changes)}) AS v WHERE lab_builds.queue = :queue
            AND lab_builds.id = v.key""",
        forget=f"DELETE FROM lab_builds WHERE queue = :queue AND id IN ({d.items(KEY)})",
        forget_tasks=f"DELETE FROM lab_tasks WHERE queue = :line AND id IN ({d.items(KEY)})",
        save_jobs=_save_jobs(d),
        forget_jobs=f"""DELETE FROM lab_build_jobs WHERE queue = :queue
            AND job_id IN ({d.items(NUMBER)})
            AND NOT EXISTS (SELECT 1 FROM lab_builds AS b
                WHERE b.queue = :queue AND b.job_id = lab_build_jobs.job_id)""",
        count=f"""INSERT INTO lab_build_counts (queue, cluster, state, n)
            SELECT :queue, cluster, state, n
            FROM ({d.items({"cluster": "text", "state": "text", "n": "bigint"})}) AS v WHERE true
            ON CONFLICT (queue, cluster, state)
            DO UPDATE SET n = lab_build_counts.n + excluded.n""",
        keys=f"""SELECT k.key, k.fingerprint, k.answer FROM ({d.items(KEY)}) AS v
            CROSS JOIN lab_build_keys AS k
            WHERE k.queue = :queue AND k.key = v.key AND k.until > :at""",
        save_keys=f"""INSERT INTO lab_build_keys (queue, key, fingerprint, answer, until)
            SELECT :queue, key, fingerprint, answer, :until FROM
            ({d.items({"key": "text", "fingerprint": "text", "answer": "text"})}) AS v WHERE true
            ON CONFLICT (queue, key) DO UPDATE SET fingerprint = excluded.fingerprint,
                answer = excluded.answer, until = excluded.until""",
        forget_keys="""DELETE FROM lab_build_keys WHERE queue = :queue AND key IN (SELECT key
            FROM lab_build_keys WHERE queue = :queue AND until <= :at ORDER BY until LIMIT :n)""",
        to_look_at=f"""SELECT {BUILD} FROM lab_builds AS b
            WHERE b.queue = :queue AND b.look_at <= :at ORDER BY b.look_at LIMIT :n""",
        waking=f"""SELECT {JOB} FROM lab_build_jobs AS j
            WHERE j.queue = :queue AND j.waking = 1 LIMIT :n""",
        ended=f"""SELECT {BUILD} FROM lab_builds AS b
            WHERE b.queue = :queue AND b.ended_at <= :at ORDER BY b.ended_at LIMIT :n""",
        lines="SELECT DISTINCT cluster FROM lab_build_counts WHERE queue = :queue",
        put_schedule=_put_schedule(),
        delete_schedule="""DELETE FROM lab_build_schedules
            WHERE queue = :queue AND job_id = :job_id RETURNING job_id""",
        due_schedules=f"""SELECT {", ".join(SCHEDULE_COLUMNS)} FROM lab_build_schedules
            WHERE queue = :queue AND next_run <= :at ORDER BY next_run LIMIT :n""",
        ran="""UPDATE lab_build_schedules SET last_run = :last_run, next_run = :next_run
            WHERE queue = :queue AND job_id = :job_id""",
        sampled="SELECT MAX(at) FROM lab_build_samples WHERE queue = :queue",
        sample="""INSERT INTO lab_build_samples (queue, at, counts) VALUES (:queue, :at, :counts)
            ON CONFLICT DO NOTHING""",
        forget_samples="DELETE FROM lab_build_samples WHERE queue = :queue AND at <= :at",
        counts="""SELECT state, SUM(n) FROM lab_build_counts WHERE queue = :queue
            GROUP BY state""",
        workers="""SELECT COUNT(DISTINCT owner) FROM lab_builds
            WHERE queue = :queue AND state = 'running'""",
        oldest="""SELECT t.due FROM (SELECT line, id FROM lab_builds
                WHERE queue = :queue AND state = 'queued' ORDER BY seq LIMIT :n) AS b
            JOIN lab_tasks AS t ON t.queue = b.line AND t.id = b.id
            WHERE t.stage + 0 = 0 AND t.wake IS NULL ORDER BY t.due LIMIT 1""",
        messages=f"""SELECT {MESSAGE} FROM ({d.items(KEY)}) AS v
            CROSS JOIN lab_builds AS b {WITH_TASK} WHERE b.queue = :queue AND b.id = v.key""",
        newest=f"""SELECT v.key, (SELECT id FROM lab_builds WHERE queue = :queue
            AND job_id = v.key ORDER BY seq DESC LIMIT 1) FROM ({d.items(NUMBER)}) AS v""",
        first_in_line="""SELECT id FROM lab_tasks WHERE queue = :line AND stage = 0
            AND wake IS NULL ORDER BY priority DESC, seq LIMIT :n""",
        schedules=f"""SELECT {", ".join(SCHEDULE_COLUMNS)} FROM lab_build_schedules
            WHERE queue = :queue ORDER BY next_run, job_id""",
        samples="""SELECT at, counts FROM lab_build_samples
            WHERE queue = :queue AND at >= :at ORDER BY at""",
    )


def page_of(*, state: bool, job: bool, cluster: str | None) -> str:
    """The statement for a page of messages, by what is asked for."""
    where = ["b.queue = :queue", "b.seq < :after"]
    if state:
        where.append("b.state = :state")
    if job:
        where.append("b.job_id = :job_id")
    if cluster is not None:
        where.append("b.cluster = :cluster" + (" AND b.cluster <> ''" if cluster else ""))
    return f"""SELECT {MESSAGE} FROM (SELECT b.* FROM lab_builds AS b
            WHERE {" AND ".join(where)} ORDER BY b.seq DESC LIMIT :n) AS b
        {WITH_TASK} ORDER BY b.seq DESC"""


def _save_jobs(d: Dialect) -> str:
    columns = ", ".join(JOB_COLUMNS)
    changed = ", ".join(f"{name} = excluded.{name}" for name in JOB_COLUMNS if name != "job_id")
    return f"""INSERT INTO lab_build_jobs (queue, {columns})
        SELECT :queue, {columns} FROM ({d.items(JOB_COLUMNS)}) AS v WHERE true
        ON CONFLICT (queue, job_id) DO UPDATE SET {changed}"""


def _put_schedule() -> str:
    columns = [name for name in SCHEDULE_COLUMNS if name != "last_run"]
    changed = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "job_id")
    return f"""INSERT INTO lab_build_schedules (queue, {", ".join(columns)})
        VALUES (:queue, {", ".join(f":{name}" for name in columns)})
        ON CONFLICT (queue, job_id) DO UPDATE SET {changed}
        RETURNING {", ".join(SCHEDULE_COLUMNS)}"""
