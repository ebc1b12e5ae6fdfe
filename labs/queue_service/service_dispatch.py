"""Dispatch: messages into workers' hands, and out of them.

A claim takes the next of a build cluster's line, as the task queue orders them, and asks the
rules again: a blocker may have started since. Settling goes by the task queue, which knows who
holds what; what a message's end means for others is left to `Batch.settle_down`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from labs.errors import LabError
from labs.queue_service import rules
from labs.queue_service.errors import UnknownMessage
from labs.queue_service.messages import Claimed, State
from labs.queue_service.operations import Ack, Claim, Extend, Held, Nack
from labs.queue_service.store_batch import Batch
from labs.queue_service.store_rows import Build, moment
from labs.task_queue import tasks
from labs.task_queue.errors import ClaimLost, TaskError
from labs.task_queue.tasks import Fail, Success

LOOKS = 6
"""So often a claim looks further down the line, past what has turned out to be blocked, before
others have their turn; the next transaction goes on."""
LOOKED_AT = 20
"""So many messages at least from the second look on, and twice as many with each."""

Settle = Extend | Ack | Nack


def claim_all(batch: Batch, claims: Sequence[Claim]) -> list[tuple[Claimed, ...]]:
    """Take messages for each of these, in their order; an answer may be empty."""
    answers: list[tuple[Claimed, ...]] = [()] * len(claims)
    by_cluster: dict[str, list[int]] = {}
    for i, claim in enumerate(claims):
        by_cluster.setdefault(claim.cluster, []).append(i)
    for cluster, indexes in by_cluster.items():
        batch.flush()
        takers = deque((i, claims[i].n) for i in indexes)
        for builds in _lots(batch, cluster, sum(n for _, n in takers)):
            hands: list[tuple[Build, int]] = []
            while len(hands) < len(builds):
                i, wanted = takers.popleft()
                taken = builds[len(hands) : len(hands) + wanted]
                hands += [(build, i) for build in taken]
                if wanted > len(taken):
                    takers.appendleft((i, wanted - len(taken)))
            for i, claimed in _take(batch, cluster, hands, claims):
                answers[i] += (claimed,)
    return answers


def _lots(batch: Batch, cluster: str, wanted: int) -> Iterator[list[Build]]:
    """The messages that may run, up to so many, a look at a time; those that may not are parked."""
    n = wanted
    batch.unseen.discard(cluster)
    for _ in range(LOOKS):
        ids = [id_ for id_, _ in batch.tasks(cluster).peek(n)]
        batch.absorb()
        batch.load(ids)
        found: list[Build] = []
        parked = 0
        for build in filter(None, map(batch.find, ids)):
            if len(found) == wanted:
                break
            if why := rules.blocked_by_running(build, batch.job, batch.now):
                batch.park(build, why)
                parked += 1
            else:
                batch.move(build, State.RUNNING)
                found.append(build)
            batch.forget_line(build.job_id)
        yield found
        wanted -= len(found)
        if not wanted or not parked:
            return
        batch.settle_down()
        batch.flush()
        n = max(wanted, LOOKED_AT, 2 * n)
    batch.unseen.add(cluster)


def _take(
    batch: Batch, cluster: str, hands: Sequence[tuple[Build, int]], claims: Sequence[Claim]
) -> Iterator[tuple[int, Claimed]]:
    """Claim the tasks of messages, each for the claim of this index."""
    whose = {build.id: (claims[i].owner, claims[i].lease_s) for build, i in hands}
    taken = {task.id: task for task in batch.tasks(cluster).take_each(whose)} if whose else {}
    for build, i in hands:
        task, claim = taken.get(build.id), claims[i]
        if task is None:  # somebody has claimed it past the service
            batch.move(build, State.QUEUED)
            continue
        build.owner = claim.owner
        batch.change(build)
        yield (
            i,
            Claimed(
                id=build.id,
                build_id=build.build_id,
                job_id=build.job_id,
                cluster=build.cluster,
                body=task.body or {},
                owner=claim.owner,
                attempt=task.attempt,
                move=task.move,
                lease_ends=task.lease_ends or moment(batch.now + claim.lease_s),
            ),
        )


# --- Settling -----------------------------------------------------------------------------------


def settle_all(batch: Batch, asked: Sequence[Settle]) -> list[State | datetime | LabError]:
    """Extend, ack and nack, each by itself; two of one message one after the other."""
    answers: dict[int, State | datetime | LabError] = {}
    left = list(enumerate(asked))
    while left:
        ids: set[str] = set()
        now: list[tuple[int, Settle]] = []
        later: list[tuple[int, Settle]] = []
        for i, one in left:
            (later if one.held.id in ids else now).append((i, one))
            ids.add(one.held.id)
        answers |= _settle_round(batch, now)
        left = later
    return [answers[i] for i in range(len(asked))]


def _settle_round(
    batch: Batch, asked: Sequence[tuple[int, Settle]]
) -> dict[int, State | datetime | LabError]:
    batch.load(one.held.id for _, one in asked)
    batch.flush()
    errors: dict[str, LabError] = {}
    together: dict[str, list[Success | Fail]] = {}
    for _, one in asked:
        build = batch.find(one.held.id)
        if build is None:
            errors[one.held.id] = UnknownMessage(
                f"There is no message {one.held.id!r:.80}.", remedy="Look for a slip in its id."
            )
        elif isinstance(one, Ack):
            outcome = Success(_hand(one.held), one.result)
            together.setdefault(build.cluster, []).append(outcome)
        elif isinstance(one, Nack) and not one.requeue:
            together.setdefault(build.cluster, []).append(Fail(_hand(one.held), one.reason))
        elif error := _alone(batch, build, one):
            errors[build.id] = error
    for cluster, outcomes in together.items():
        errors |= batch.tasks(cluster).settle(outcomes)
    batch.absorb()
    for _, one in asked:
        if isinstance(one, Nack) and one.final and one.held.id not in errors:
            _finally(batch, one)
    return {i: _answer(batch, one, errors.get(one.held.id)) for i, one in asked}


def _hand(held: Held) -> tasks.Claim:
    """As the task queue knows a claim."""
    return tasks.Claim(held.id, None, owner=held.owner, attempt=0, move=held.move, lease_ends=None)


def _alone(batch: Batch, build: Build, one: Settle) -> TaskError | None:
    try:
        if isinstance(one, Extend):
            batch.tasks(build.cluster).extend(_hand(one.held), one.lease_s)
        else:
            batch.tasks(build.cluster).release(_hand(one.held))
    except TaskError as error:
        return error
    return None


def _finally(batch: Batch, nack: Nack) -> None:
    """It failed, and more attempts would not help."""
    build = batch.find(nack.held.id)
    if build is not None and build.state is State.QUEUED:
        build.reason = nack.reason
        batch.move(build, State.FAILED)


def _answer(batch: Batch, one: Settle, error: LabError | None) -> State | datetime | LabError:
    build = batch.find(one.held.id)
    if build is None:
        assert error is not None
        return error
    if error is None:
        if isinstance(one, Extend):
            return moment(batch.now) + timedelta(seconds=one.lease_s)
        return build.state
    if isinstance(one, Ack) and _has_done_it(batch, build, one.held):
        return build.state
    is_running = build.state is State.RUNNING
    why = f"{build.owner} has claimed it" if is_running else f"it is {build.state}"
    return ClaimLost(
        f"The message {build.id!r:.80} is yours no longer: {why}.",
        remedy="Let it be: it has been settled or stopped, or its lease ran out. "
        "Extend the lease while you work, or ask for a longer one.",
    )


def _has_done_it(batch: Batch, build: Build, held: Held) -> bool:
    """Whether it is this claim that was acked before: the answer was lost on the way."""
    if build.state is not State.DONE or build.owner != held.owner:
        return False
    task = batch.tasks(build.cluster).lookup_task(build.id)
    return task.moves == held.move + 1
