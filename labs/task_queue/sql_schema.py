"""The tables of the SQL queue: versions, each the statements that lead to it from the one before.

How they are made and brought up to date: `sql_versions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from labs.task_queue.sql_versions import Schema

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

SCHEMA = Schema("The task queue", "lab_task_schema", 7_315_061_204_771, STEPS)
