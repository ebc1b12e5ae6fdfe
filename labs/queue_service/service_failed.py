"""What has failed for good: queued again, or forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from labs.queue_service.messages import State
from labs.queue_service.service_starts import place
from labs.queue_service.store_batch import Batch
from labs.queue_service.store_rows import Build


def replay(batch: Batch, ids: Sequence[str]) -> list[str]:
    """Queue failed messages again, their attempts counted anew; those that were failed."""
    builds = _failed(batch, ids)
    for cluster in {build.cluster for build in builds}:
        batch.tasks(cluster).requeue_quietly(
            [build.id for build in builds if build.cluster == cluster]
        )
    batch.load_jobs(job for build in builds for job in build.blocked_by)
    batch.load_lines(build.job_id for build in builds)
    for build in builds:
        build.settled, build.owner, build.started_at = False, None, None
        build.due = batch.now
        place(batch, build, again=True)
    return [build.id for build in builds]


def discard(batch: Batch, ids: Sequence[str]) -> list[str]:
    """Forget failed messages; those that were failed."""
    builds = _failed(batch, ids)
    if builds:
        batch.drop(builds)
    return [build.id for build in builds]


def _failed(batch: Batch, ids: Sequence[str]) -> list[Build]:
    batch.load(ids)
    found = (batch.find(id_) for id_ in dict.fromkeys(ids))
    return [build for build in found if build is not None and build.state is State.FAILED]
