"""What time brings: leases that run out, windows that end, schedules, and what is too old to keep.

Each instance does this about once a second, within the queue's lock like everything that writes:
whoever comes first does what is due, the others find nothing to do. So a schedule fires once
however many instances there are. A tick does a limited amount, and says whether there is more.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import timedelta

from labs.errors import LabError
from labs.queue_service import cron, schedule
from labs.queue_service.errors import BadMessage
from labs.queue_service.messages import ENDED, Schedule, State
from labs.queue_service.operations import DeleteSchedule, PutSchedule
from labs.queue_service.rules import Job
from labs.queue_service.service_starts import release, start_one
from labs.queue_service.store_batch import Batch
from labs.queue_service.store_rows import (
    build_of,
    moment,
    schedule_of,
    start_of,
    template_as_text,
)
from labs.task_queue.sql_values import escaped
from labs.task_queue.tasks import Json, admitted_json

log = logging.getLogger(__name__)

AT_ONCE = 500
SAMPLED_EVERY_S = 5.0
SAMPLES_KEPT_S = timedelta(days=1).total_seconds()


def tick(batch: Batch, keep: timedelta, *, writes: bool = False) -> bool:
    """Do what is due; whether there is more of it.

    Args:
        writes: something is written in any case, which shows whether the store takes it.
    """
    for cluster in batch.store.due_clusters(batch.session):
        batch.tasks(cluster).peek(1)  # which makes what is due count
    batch.absorb()
    more = [
        look_again(batch),
        resume(batch),
        run_schedules(batch),
        purge(batch, keep),
    ]
    batch.settle_down()
    batch.flush()
    sample(batch, always=writes)
    return any(more)


def look_again(batch: Batch) -> bool:
    """At messages that wait for a time: the end of a window, or of a pause."""
    store = batch.store
    rows = store.run(batch.session, store.say.to_look_at, at=batch.now, n=AT_ONCE)
    builds = batch.adopt(build_of(row) for row in rows)
    batch.load_lines(build.job_id for build in builds)
    for build in builds:
        if build.look_at is None or build.look_at > batch.now:
            continue
        if build.state is State.FROZEN:
            release(batch, build)
        elif build.state is State.BLOCKED:
            batch.look_at(build)
        elif build.state is State.QUEUED:
            batch.let_run(build)
    return len(rows) == AT_ONCE


def resume(batch: Batch) -> bool:
    """Wake those whose blocker has ended, where it was too many for one transaction."""
    batch.flush()
    rows = batch.store.run(batch.session, batch.store.say.waking, n=AT_ONCE)
    batch.resume(Job(*row) for row in rows)
    return False


# --- Schedules ----------------------------------------------------------------------------------


def put_schedule(batch: Batch, asked: PutSchedule) -> Schedule | None:
    """Let a job start by the clock, or no more.

    Raises:
        BadMessage, BadTask: the expression, the time zone or the build cluster can't be meant;
            all is as it was.
    """
    plan = None
    if asked.cron is None:
        delete_schedule(batch, DeleteSchedule(job_id=asked.job_id))
    else:
        batch.store.line(asked.template.cluster if asked.template else "")
        hashed = cron.hashed(asked.cron, asked.job_id)
        rows = batch.store.run(
            batch.session,
            batch.store.say.put_schedule,
            job_id=asked.job_id,
            job_name=escaped(asked.job_name),
            cron=escaped(asked.cron),
            hashed=escaped(hashed),
            time_zone=asked.time_zone,
            next_run=schedule.next_run(hashed, asked.time_zone, moment(batch.now)).timestamp(),
            body=admitted_json(dict(asked.body), "The message"),
            template=template_as_text(asked.template, asked.job_id),
        )
        plan = schedule_of(rows[0])
    if asked.trigger:
        template = template_as_text(asked.template, asked.job_id)
        fire(batch, asked.job_id, asked.job_name, batch.now, template, dict(asked.body))
    return plan


def delete_schedule(batch: Batch, asked: DeleteSchedule) -> bool:
    """Let a job start by the clock no more; whether it did."""
    rows = batch.store.run(batch.session, batch.store.say.delete_schedule, job_id=asked.job_id)
    return bool(rows)


def run_schedules(batch: Batch) -> bool:
    """Fire what is due. What was missed meanwhile, by an outage, fires once for all."""
    store = batch.store
    rows = store.run(batch.session, store.say.due_schedules, at=batch.now, n=AT_ONCE)
    for row in rows:
        plan = schedule_of(row)
        try:
            fire(batch, plan.job_id, plan.job_name, plan.next_run.timestamp(), row[-1], plan.body)
        except LabError as error:  # the other schedules, and what else time brings, go on
            log.warning("The schedule of job %d has started nothing: %s", plan.job_id, error)
        try:
            following = schedule.next_run(plan.hashed, plan.time_zone, moment(batch.now))
        except BadMessage:  # a time zone that this machine does not know
            delete_schedule(batch, DeleteSchedule(job_id=plan.job_id))
            continue
        store.run(
            batch.session,
            store.say.ran,
            job_id=plan.job_id,
            last_run=batch.now,
            next_run=following.timestamp(),
        )
    return len(rows) == AT_ONCE


def fire(
    batch: Batch, job_id: int, job_name: str, at: float, template: str, body: Mapping[str, Json]
) -> None:
    """Enqueue the message of a run, named by its job and its time."""
    start = start_of(template, job_id=job_id, job_name=job_name, body=body)
    id_ = f"{job_id}@{moment(at):%Y-%m-%dT%H:%M:%SZ}"
    batch.load([id_])
    batch.load_jobs([job_id, *start.blocked_by])
    start_one(batch, start, id_, scheduled=True)


# --- What is too old, and what was --------------------------------------------------------------


def purge(batch: Batch, keep: timedelta) -> bool:
    """Delete what has ended longer ago than it is kept, with what only that needed."""
    store, before = batch.store, batch.now - keep.total_seconds()
    rows = store.run(batch.session, store.say.ended, at=before, n=AT_ONCE)
    if rows:
        builds = batch.adopt(build_of(row) for row in rows)
        batch.drop([build for build in builds if build.state in ENDED])
    store.run(batch.session, store.say.forget_counts)
    keys = store.run(batch.session, store.say.forget_keys, at=batch.now, n=AT_ONCE)
    return AT_ONCE in (len(rows), len(keys))


def sample(batch: Batch, *, always: bool = False) -> None:
    """Remember how the queue stands, every few seconds, whoever does it."""
    store = batch.store
    ((last,),) = store.run(batch.session, store.say.sampled)
    if not always and last is not None and batch.now - last < SAMPLED_EVERY_S:
        return
    counts = {state: int(n) for state, n in store.run(batch.session, store.say.counts)}
    store.run(batch.session, store.say.sample, at=batch.now, counts=json.dumps(counts))
    store.run(batch.session, store.say.forget_samples, at=batch.now - SAMPLES_KEPT_S)
