"""The tables of the SQL queue, made and brought up to date by themselves.

`STEPS` are the versions of the schema, each the statements that lead to it from the one before;
the database remembers its version in `lab_task_schema`. Whoever opens a queue brings the tables
up to date, alone (an advisory lock on PostgreSQL, `BEGIN IMMEDIATE` on SQLite), in one
transaction. Why not alembic: a queue must make its tables at any first use, in anybody's
database and out of any of many processes; a list and a number do that, with no files to ship,
no configuration to find, and no second table of versions beside that of the host application.
"""

from __future__ import annotations

from collections.abc import Sequence

from labs.task_queue.errors import StoreUnfit
from labs.task_queue.sql_database import Database, Session

LOCK = 7_315_061_204_771
"""Of PostgreSQL's advisory locks, the one of this schema."""

TASKS_ON_POSTGRESQL = """CREATE TABLE lab_tasks (
    queue text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, seq bigint NOT NULL,
    priority smallint NOT NULL, stage smallint NOT NULL, wake timestamptz, due timestamptz NOT NULL,
    owner text, moves bigint NOT NULL, attempts integer NOT NULL, max_attempts integer,
    backoff_s double precision NOT NULL, put_at timestamptz NOT NULL, claimed_at timestamptz,
    settled_at timestamptz, body json NOT NULL, result json, reason text NOT NULL,
    PRIMARY KEY (queue, id))
    WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.05,
        autovacuum_vacuum_cost_delay = 0)"""
"""Each row changes a few times and then stays: room for that, and dead rows go soon."""

TASKS_ON_SQLITE = """CREATE TABLE lab_tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, id TEXT NOT NULL,
    priority INTEGER NOT NULL, stage INTEGER NOT NULL, wake REAL, due REAL NOT NULL,
    owner TEXT, moves INTEGER NOT NULL, attempts INTEGER NOT NULL, max_attempts INTEGER,
    backoff_s REAL NOT NULL, put_at REAL NOT NULL, claimed_at REAL, settled_at REAL,
    body TEXT NOT NULL, result TEXT, reason TEXT NOT NULL, UNIQUE (queue, id))"""
"""Times are seconds since 1970, UTC."""

INDEXES = (
    "CREATE INDEX lab_tasks_ready ON lab_tasks (queue, priority DESC, seq) "
    "WHERE stage = 0 AND wake IS NULL",
    "CREATE INDEX lab_tasks_wake ON lab_tasks (queue, wake) WHERE wake IS NOT NULL",
    "CREATE INDEX lab_tasks_stage ON lab_tasks (queue, stage, seq)",
)

STEPS: dict[str, Sequence[Sequence[str]]] = {
    "postgresql": (
        ("CREATE SEQUENCE lab_tasks_line", TASKS_ON_POSTGRESQL, *INDEXES),
        (
            "CREATE INDEX lab_tasks_settled ON lab_tasks (queue, settled_at) "
            "WHERE settled_at IS NOT NULL",
            'CREATE TABLE lab_task_queues (name text COLLATE "C" PRIMARY KEY, '
            "channel text NOT NULL, listened_until timestamptz NOT NULL)",
            "CREATE TABLE lab_task_events (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            'name text COLLATE "C" NOT NULL, version text NOT NULL, '
            "time timestamptz NOT NULL, data json NOT NULL, event_metadata json NOT NULL, "
            'key text COLLATE "C" NOT NULL UNIQUE)',
            "CREATE INDEX lab_task_events_time ON lab_task_events (name, time, seq)",
            "CREATE TABLE lab_task_untold (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            'queue text COLLATE "C" NOT NULL, moves text NOT NULL)',
        ),
    ),
    "sqlite": (
        (TASKS_ON_SQLITE, *INDEXES),
        (
            "CREATE INDEX lab_tasks_settled ON lab_tasks (queue, settled_at) "
            "WHERE settled_at IS NOT NULL",
            "CREATE TABLE lab_task_events (seq INTEGER PRIMARY KEY AUTOINCREMENT, "
            "name TEXT NOT NULL, version TEXT NOT NULL, time REAL NOT NULL, "
            "data TEXT NOT NULL, event_metadata TEXT NOT NULL, key TEXT NOT NULL UNIQUE)",
            "CREATE INDEX lab_task_events_time ON lab_task_events (name, time, seq)",
            "CREATE TABLE lab_task_untold (seq INTEGER PRIMARY KEY AUTOINCREMENT, "
            "queue TEXT NOT NULL, moves TEXT NOT NULL)",
        ),
    ),
}
"""By database: the statements of version 1, of version 2, …; what was published stays as it is."""


def prepare(database: Database) -> None:
    """Bring the tables up to date, unless they are.

    Raises:
        StoreUnfit: they are of a later version than this code, or may not be made.
        StoreUnreachable: the database does not answer.
    """
    steps = STEPS[database.name]
    with database.session() as session:
        if session.has_table("lab_task_schema") and _version(session) == len(steps):
            return
    database.prepare_file()
    with database.session(transaction=True) as session:
        if database.name == "postgresql":
            session.run(f"SELECT pg_advisory_xact_lock({LOCK})", {})
        session.run("CREATE TABLE IF NOT EXISTS lab_task_schema (version integer NOT NULL)", {})
        version = _version(session)
        if version > len(steps):
            raise StoreUnfit(
                f"The task queue's tables in {database.place} are of version {version}; this "
                f"program knows versions up to {len(steps)}.",
                remedy="Update this program: the tables were made by a newer one.",
            )
        for statements in steps[version:]:
            for statement in statements:
                session.run(statement, {})
        session.run("DELETE FROM lab_task_schema", {})
        session.run(f"INSERT INTO lab_task_schema VALUES ({len(steps):d})", {})  # noqa: S608 - a number


def _version(session: Session) -> int:
    rows = session.run("SELECT version FROM lab_task_schema", {})
    return int(rows[0][0]) if rows else 0
