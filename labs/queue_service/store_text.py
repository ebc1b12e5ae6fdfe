"""The statements of the queue service's tables: one text each, for PostgreSQL and for SQLite.

Many rows come as one parameter, a JSON array, as in the task queue's statements, whose `Dialect`
is used here too. Each goes by an index, whatever waits: what would have to be counted or sorted
stands in the tables already.
"""

# ruff: noqa: S608 - put together of our own words alone; what others say is a parameter

from __future__ import annotations

from collections.abc import Mapping
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
MESSAGE_COLUMNS = (
    *(f"b.{name}" for name in BUILD_COLUMNS),
    *("CAST(t.result AS text)" if name == "result" else f"t.{name}" for name in TASK_COLUMNS),
    "CAST(t.body AS text)",
)
MESSAGE = ", ".join(MESSAGE_COLUMNS)
WITH_TASK = "JOIN lab_tasks AS t ON t.queue = b.line AND t.id = b.id"
LIVE = "ended_at IS NULL"
_NAMED = ", ".join(f"{column} AS c{i}" for i, column in enumerate(MESSAGE_COLUMNS))
"""No two of the same name."""
_BOTH = "lab_builds AS b CROSS JOIN lab_tasks AS t"
_BY_ID = "id = v.key AND queue || '' = :queue"
"""Only the primary key answers it, which begins with the id: a plan for an empty table might
else go through all of the queue."""
_BUILD_BY_KEY = "b.id = v.key AND b.queue || '' = :queue"
_BOTH_BY_KEY = f"{_BUILD_BY_KEY} AND t.queue = b.line AND t.id = b.id"
_NEWEST_OF_JOB = """b.id = (SELECT n.id FROM lab_builds AS n
        WHERE n.queue = :queue AND n.job_id = v.key ORDER BY n.seq DESC LIMIT 1)
    AND b.queue || '' = :queue AND t.queue = b.line AND t.id = b.id"""
_JOB_BY_KEY = "j.queue = :queue AND j.job_id = v.key"
_KEPT = "k.key, k.fingerprint, k.answer"
_BY_KEY = "k.queue = :queue AND k.key = v.key AND k.until + 0 > :at"


@dataclass(frozen=True)
class Statements:
    """Every statement, by name."""

    begin: str
    """The time, and the place of the newest message."""
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
    clusters: str
    """Those with messages for which a time may come: delayed ones, and leases."""
    due_lines: str
    """Of these task queues, those in which it has come."""
    forget_counts: str
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
    """As `messages`, by jobs: the newest of each."""
    first_in_line: str
    """Their ids, in their order, as one JSON array."""
    schedules: str
    samples: str


def statements_for(name: str) -> Statements:
    """Them all, as the database of this name speaks."""
    return _statements(POSTGRESQL if name == "postgresql" else SQLITE)


def _found(d: Dialect, columns: Mapping[str, str], table: str, what: str, where: str) -> str:
    """The rows of a table for each of `items`, found by an index.

    A planner that knows nothing of the table yet must not think of another way: on PostgreSQL
    it is kept from it as in the task queue's statements, on SQLite by CROSS JOIN.
    """
    if d.locked:
        return f"""({d.items(columns)}) AS v CROSS JOIN LATERAL
            (SELECT {what} FROM {table} WHERE {where} OFFSET 0) AS t"""
    return f"({d.items(columns)}) AS v CROSS JOIN {table} WHERE {where}"


def _place(d: Dialect) -> str:
    """Where a row is, as long as nobody else writes."""
    return "ctid" if d.locked else "rowid"


def _held(d: Dialect, columns: Mapping[str, str], table: str, where: str) -> str:
    """The places of such rows, as `held`, to change or delete them."""
    place = f"{table}.{_place(d)} AS place"
    return f"""WITH held AS MATERIALIZED
        (SELECT v.*, {"t.place" if d.locked else place}
        FROM {_found(d, columns, table, place, where)})"""


def _among(d: Dialect) -> str:
    """Whether a row is one of `held`."""
    if d.locked:
        return "ctid = ANY (ARRAY(SELECT place FROM held))"
    return "rowid IN (SELECT place FROM held)"


def _statements(d: Dialect) -> Statements:
    def end(where: str, order: str = "number DESC, seq DESC") -> str:
        return f"""(SELECT id FROM lab_builds WHERE queue = :queue AND job_id = v.key
            AND {where} AND {LIVE} ORDER BY {order} LIMIT 1)"""

    told = "t.*" if d.locked else ""
    columns = ", ".join(BUILD_COLUMNS)
    changes = {"key": "text", **{name: BUILD_COLUMNS[name] for name in CHANGING}}
    return Statements(
        begin=_begin(d),
        builds=f"""SELECT {told or BUILD} FROM
            {_found(d, KEY, "lab_builds AS b", BUILD, _BUILD_BY_KEY)}""",
        jobs=f"""SELECT {told or JOB} FROM
            {_found(d, NUMBER, "lab_build_jobs AS j", JOB, _JOB_BY_KEY)}""",
        ends=f"""SELECT v.key, {end("state = 'blocked' AND collapse = 0", "number, seq")},
            {end("state = 'blocked' AND collapse = 0")},
            {end("state = 'blocked' AND collapse = 1")},
            {end("state = 'queued' AND collapse = 0")},
            {end("state = 'queued' AND collapse = 1")},
            {end("state = 'frozen'", "collapse DESC, number DESC, seq DESC")}
            FROM ({d.items(NUMBER)}) AS v""",
        waited_for=f"""SELECT v.key FROM ({d.items(NUMBER)}) AS v
            WHERE (SELECT 1 FROM lab_builds AS b WHERE b.queue = :queue
                AND b.waits_for = v.key AND b.waits_for <> b.job_id LIMIT 1) IS NOT NULL""",
        waiters=f"""SELECT {BUILD} FROM lab_builds AS b WHERE b.queue = :queue
            AND b.waits_for = :job_id AND b.waits_for <> b.job_id ORDER BY b.seq LIMIT :n""",
        insert=f"""INSERT INTO lab_builds (queue, {columns})
            SELECT :queue, {columns} FROM ({d.items(BUILD_COLUMNS)}) AS v WHERE true""",
        update=f"""{_held(d, changes, "lab_builds", _BY_ID)}
            UPDATE lab_builds SET {", ".join(f"{name} = v.{name}" for name in CHANGING)}
            FROM held AS v WHERE lab_builds.{_place(d)} = v.place""",
        forget=f"""{_held(d, KEY, "lab_builds", _BY_ID)}
            DELETE FROM lab_builds WHERE {_among(d)}""",
        forget_tasks=f"""{_held(d, KEY, "lab_tasks", "queue = :line AND id = v.key")}
            DELETE FROM lab_tasks WHERE {_among(d)}""",
        save_jobs=_save_jobs(d),
        forget_jobs=f"""{_held(d, NUMBER, "lab_build_jobs", "queue = :queue AND job_id = v.key")}
            DELETE FROM lab_build_jobs WHERE {_among(d)} AND (SELECT 1 FROM lab_builds AS b
                WHERE b.queue = :queue AND b.job_id = lab_build_jobs.job_id LIMIT 1) IS NULL""",
        count=f"""INSERT INTO lab_build_counts (queue, cluster, state, n)
            SELECT :queue, cluster, state, n
            FROM ({d.items({"cluster": "text", "state": "text", "n": "bigint"})}) AS v WHERE true
            ON CONFLICT (queue, cluster, state)
            DO UPDATE SET n = lab_build_counts.n + excluded.n""",
        keys=f"""SELECT {told or _KEPT} FROM
            {_found(d, KEY, "lab_build_keys AS k", _KEPT, _BY_KEY)}""",
        save_keys=f"""INSERT INTO lab_build_keys (queue, key, fingerprint, answer, until)
            SELECT :queue, key, fingerprint, answer, :until FROM
            ({d.items({"key": "text", "fingerprint": "text", "answer": "text"})}) AS v WHERE true
            ON CONFLICT (queue, key) DO UPDATE SET fingerprint = excluded.fingerprint,
                answer = excluded.answer, until = excluded.until""",
        forget_keys=f"""WITH held AS MATERIALIZED (SELECT {_place(d)} AS place
                FROM lab_build_keys WHERE queue = :queue AND until <= :at ORDER BY until LIMIT :n)
            DELETE FROM lab_build_keys WHERE {_among(d)} RETURNING key""",
        to_look_at=f"""SELECT {BUILD} FROM lab_builds AS b
            WHERE b.queue = :queue AND b.look_at <= :at ORDER BY b.look_at LIMIT :n""",
        waking=f"""SELECT {JOB} FROM lab_build_jobs AS j
            WHERE j.queue = :queue AND j.waking = 1 LIMIT :n""",
        ended=f"""SELECT {BUILD} FROM lab_builds AS b
            WHERE b.queue = :queue AND b.ended_at <= :at ORDER BY b.ended_at LIMIT :n""",
        clusters="""SELECT DISTINCT cluster FROM lab_build_counts
            WHERE queue = :queue AND state IN ('queued', 'running') AND n > 0""",
        due_lines=f"""SELECT v.key FROM ({d.items(KEY)}) AS v
            WHERE (SELECT 1 FROM lab_tasks AS t
                WHERE t.queue = v.key AND t.wake <= {d.now} LIMIT 1) IS NOT NULL""",
        forget_counts="DELETE FROM lab_build_counts WHERE queue = :queue AND n = 0",
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
        messages=f"""SELECT {told or MESSAGE} FROM {_found(d, KEY, _BOTH, _NAMED, _BOTH_BY_KEY)}""",
        newest=f"""SELECT {told or MESSAGE} FROM
            {_found(d, NUMBER, _BOTH, _NAMED, _NEWEST_OF_JOB)}""",
        first_in_line=f"""SELECT CAST({"json_agg" if d.locked else "json_group_array"}(id) AS text)
            FROM (SELECT id FROM lab_tasks WHERE queue = :line AND stage = 0 AND wake IS NULL
                ORDER BY priority DESC, seq LIMIT :n) AS heads""",
        schedules=f"""SELECT {", ".join(SCHEDULE_COLUMNS)} FROM lab_build_schedules
            WHERE queue = :queue ORDER BY next_run, job_id LIMIT :n""",
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


def _begin(d: Dialect) -> str:
    now = "EXTRACT(epoch FROM clock_timestamp())" if d.locked else ":now"
    return f"""SELECT CAST({now} AS double precision),
        (SELECT COALESCE(MAX(seq), 0) FROM lab_builds WHERE queue = :queue)"""


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
