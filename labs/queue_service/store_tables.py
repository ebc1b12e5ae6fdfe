"""The tables of the queue service beside those of the task queue, made by themselves.

A message is a row of `lab_builds` (whose build it is, what it waits for) and a task of the task
queue (place in line, lease, attempts, body), of the same id. Beside them stand the jobs, as the
rules need them, and what would cost too much to count. Times are seconds since 1970, UTC.
`STEPS` are the versions, as in the task queue's schema; what was published stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from labs.task_queue.sql_versions import Schema

OFTEN_CHANGED = """ WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0)"""


def _tables(text: str, often_changed: str) -> tuple[str, ...]:
    return (
        f"""CREATE TABLE lab_builds (
            queue {text} NOT NULL, id {text} NOT NULL, seq bigint NOT NULL,
            build_id bigint, job_id bigint NOT NULL, job_name {text} NOT NULL,
            number bigint NOT NULL, state {text} NOT NULL, cluster {text} NOT NULL,
            line {text} NOT NULL, blocked_by {text} NOT NULL, collapse smallint NOT NULL,
            blocks_self smallint NOT NULL, same_job_wait_s double precision,
            virtual smallint NOT NULL, waits_for bigint, replaced_by {text}, owner {text},
            look_at double precision, enqueued_at double precision NOT NULL,
            due double precision NOT NULL, started_at double precision,
            ended_at double precision, PRIMARY KEY (id, queue)){often_changed}""",
        "CREATE UNIQUE INDEX lab_builds_seq ON lab_builds (queue, seq)",
        "CREATE INDEX lab_builds_state ON lab_builds (queue, state, seq)",
        "CREATE INDEX lab_builds_job ON lab_builds (queue, job_id, seq)",
        "CREATE INDEX lab_builds_cluster ON lab_builds (queue, cluster, seq) WHERE cluster <> ''",
        "CREATE INDEX lab_builds_line ON lab_builds (queue, job_id, state, collapse, number, seq) "
        "WHERE ended_at IS NULL",
        "CREATE INDEX lab_builds_waits ON lab_builds (queue, waits_for, seq) "
        "WHERE waits_for <> job_id",
        "CREATE INDEX lab_builds_look ON lab_builds (queue, look_at) WHERE look_at IS NOT NULL",
        "CREATE INDEX lab_builds_ended ON lab_builds (queue, ended_at) WHERE ended_at IS NOT NULL",
        f"""CREATE TABLE lab_build_jobs (
            queue {text} NOT NULL, job_id bigint NOT NULL, running bigint NOT NULL,
            queued bigint NOT NULL, blocked bigint NOT NULL, frozen bigint NOT NULL,
            started_at double precision, last_number bigint NOT NULL, last_id {text} NOT NULL,
            top_number bigint NOT NULL, waking smallint NOT NULL,
            PRIMARY KEY (queue, job_id)){often_changed}""",
        "CREATE INDEX lab_build_jobs_waking ON lab_build_jobs (queue, job_id) WHERE waking = 1",
        f"""CREATE TABLE lab_build_counts (queue {text} NOT NULL, cluster {text} NOT NULL,
            state {text} NOT NULL, n bigint NOT NULL,
            PRIMARY KEY (queue, cluster, state)){often_changed}""",
        f"""CREATE TABLE lab_build_keys (queue {text} NOT NULL, key {text} NOT NULL,
            fingerprint {text} NOT NULL, answer {text} NOT NULL, until double precision NOT NULL,
            PRIMARY KEY (queue, key))""",
        "CREATE INDEX lab_build_keys_until ON lab_build_keys (queue, until)",
        f"""CREATE TABLE lab_build_schedules (queue {text} NOT NULL, job_id bigint NOT NULL,
            job_name {text} NOT NULL, cron {text} NOT NULL, hashed {text} NOT NULL,
            time_zone {text} NOT NULL, next_run double precision NOT NULL,
            last_run double precision, body {text} NOT NULL, template {text} NOT NULL,
            PRIMARY KEY (queue, job_id))""",
        "CREATE INDEX lab_build_schedules_next ON lab_build_schedules (queue, next_run)",
        f"""CREATE TABLE lab_build_samples (queue {text} NOT NULL, at double precision NOT NULL,
            counts {text} NOT NULL, PRIMARY KEY (queue, at))""",
    )


STEPS: dict[str, Sequence[Sequence[str]]] = {
    "postgresql": (_tables('text COLLATE "C"', OFTEN_CHANGED),),
    "sqlite": (_tables("text", ""),),
}
"""By database: the statements of version 1, of version 2, …"""

SCHEMA = Schema("The queue service", "lab_build_schema", 7_315_061_204_772, STEPS)
