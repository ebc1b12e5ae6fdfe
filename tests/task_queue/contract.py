"""What the files of the contract share: tasks brought into a stage, leases that have run out.

All go by the verbs alone, so that they are the same on every store.
"""

from __future__ import annotations

from datetime import UTC, datetime

from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Claim
from labs.waiting import wait_until

TIMEOUT_S = 30.0
HOUR_S = 3600.0
"""Of a lease or a delay that does not end within a test."""
SOON_S = 0.05
"""Of one that a test waits for."""


def bring(queue: TaskQueue, stage: Stage, *ids: str) -> None:
    """Put the tasks, and bring them into the stage; nothing else may be there to claim."""
    queue.put({id_: {"n": 1} for id_ in ids})
    if stage is Stage.WAITING:
        return
    claims = queue.get(len(ids))
    assert [claim.id for claim in claims] == list(ids)
    for claim in claims:
        if stage is Stage.SUCCESS:
            queue.success(claim)
        if stage is Stage.FAIL:
            queue.fail(claim)


def claim_one(queue: TaskQueue, **options: object) -> Claim:
    """Claim the next task, which is there."""
    (claim,) = queue.get(1, **options)  # type: ignore[arg-type]
    return claim


def wait_until_stage(queue: TaskQueue, id_: str, stage: Stage) -> None:
    """Wait until somebody who looks sees the task there: a lease has run out."""
    wait_until(
        lambda: queue.lookup_status(id_) is stage,
        TIMEOUT_S,
        what=f"{id_} to be {stage.name}",
        interval_s=0.01,
    )


def wait_until_over(claim: Claim) -> None:
    """Wait until the lease has run out, by the clock: nobody looks at the queue."""
    ends = claim.lease_ends
    assert ends is not None
    wait_until(lambda: datetime.now(UTC) > ends, TIMEOUT_S, what="the lease", interval_s=0.01)


def wait_until_claimable(queue: TaskQueue, *ids: str) -> None:
    """Wait until these are what `get` would give: delays have passed."""
    wait_until(
        lambda: [id_ for id_, _ in queue.peek(len(ids) + 1)] == list(ids),
        TIMEOUT_S,
        what=f"{ids} to be claimable",
        interval_s=0.01,
    )
