"""Any sequence of verbs, held against a model of the queue in a few lines of plain Python.

Hypothesis makes up the sequences, and cuts down one that fails to its shortest. Time has no part
in it: leases and delays either last an hour, or run out before the next step.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Claim, Fail, Success
from labs.waiting import wait_until
from tests.task_queue.contract import HOUR_S, TIMEOUT_S
from tests.task_queue.stores import Store

OWNERS = ("ada", "bob", None)
NAMES = [f"{n}/\U0001f600 '\0" for n in range(4)]
STEPS = {"memory": (60, 40), "sqlite": (20, 30), "postgres": (8, 25)}
"""How many sequences, of how many steps; for other stores a few."""
FEW = (2, 20)


@dataclass
class Known:
    """A task, as the model knows it."""

    number: int
    priority: int
    max_attempts: int | None
    delayed: bool
    stage: Stage = Stage.WAITING
    attempts: int = 0
    moves: int = 1
    owner: str | None = None
    result: Any = None
    reason: str = ""

    def wait(self, *, delayed: bool = False) -> None:
        """Wait again."""
        self.stage, self.delayed = Stage.WAITING, delayed
        self.moves += 1

    def settle(self, stage: Stage, result: Any = None, reason: str = "") -> None:
        """Be done."""
        self.stage, self.result, self.reason = stage, result, reason
        self.moves += 1


class Model(RuleBasedStateMachine):
    """The queue beside the model; each rule does the same to both."""

    def __init__(self, queue: TaskQueue) -> None:
        super().__init__()
        self.queue = queue
        self.known: dict[str, Known] = {}
        self.claims: dict[str, list[Claim]] = defaultdict(list)
        """All that there ever were of each task."""
        self.puts = 0

    def line(self) -> list[str]:
        """What can be claimed, in order."""
        ready = [
            (-one.priority, one.number, id_)
            for id_, one in self.known.items()
            if one.stage is Stage.WAITING and not one.delayed
        ]
        return [id_ for _, _, id_ in sorted(ready)]

    def take(self, n: int, owner: str | None) -> list[str]:
        """The model's claim."""
        ids = self.line()[:n]
        for id_ in ids:
            one = self.known[id_]
            one.stage, one.owner = Stage.PROCESSING, owner
            one.attempts += 1
            one.moves += 1
        return ids

    def is_held(self, id_: str, claim: Claim | None, owner: str | None) -> bool:
        """Whether who says this may move the task on."""
        one = self.known.get(id_)
        if one is None or one.stage is not Stage.PROCESSING:
            return False
        if claim is not None and claim.move != one.moves:
            return False
        says = owner or (claim.owner if claim else self.queue.identity)
        return one.owner in (None, says)

    @rule(
        ids=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
        priority=st.sampled_from([0, 0, 1, -1]),
        delayed=st.sampled_from([False, False, True]),
        max_attempts=st.sampled_from([None, 1, 2]),
    )
    def put(self, ids: list[str], priority: int, delayed: bool, max_attempts: int | None) -> None:
        put = self.queue.put_quietly(
            {id_: {"id": id_} for id_ in ids},
            priority=priority,
            delay_s=HOUR_S if delayed else 0,
            max_attempts=max_attempts,
            backoff_s=0,
        )
        assert list(put.present) == [id_ for id_ in ids if id_ in self.known]
        assert list(put.added) == [id_ for id_ in ids if id_ not in self.known]
        for id_ in put.added:
            self.puts += 1
            self.known[id_] = Known(self.puts, priority, max_attempts, delayed)

    @rule(n=st.integers(1, 3), owner=st.sampled_from(OWNERS), lease=st.booleans())
    def get(self, n: int, owner: str | None, lease: bool) -> None:
        claims = self.queue.get(n, owner=owner, lease_s=HOUR_S if lease else None)
        holder = self.queue.identity if lease and owner is None else owner
        assert claims == [(id_, {"id": id_}) for id_ in self.take(n, holder)]
        for claim in claims:
            one = self.known[claim.id]
            assert (claim.attempt, claim.move, claim.owner) == (one.attempts, one.moves, holder)
            self.claims[claim.id].append(claim)

    @rule(n=st.integers(1, 2))
    def let_leases_run_out(self, n: int) -> None:
        claims = self.queue.get(n, lease_s=0.001, owner="late")
        assert [claim.id for claim in claims] == self.take(n, "late")
        wait_until(
            lambda: all(
                self.queue.lookup_status(claim.id) is not Stage.PROCESSING for claim in claims
            ),
            TIMEOUT_S,
            interval_s=0.002,
        )
        for claim in claims:
            self.claims[claim.id].append(claim)
            one = self.known[claim.id]
            if one.max_attempts is not None and one.attempts >= one.max_attempts:
                one.settle(Stage.FAIL, None, "Its lease ran out in its last attempt.")
            else:
                one.wait()

    @rule(
        ids=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
        good=st.booleans(),
        which=st.sampled_from([None, -1, -1, 0]),
        owner=st.sampled_from(OWNERS),
    )
    def settle(self, ids: list[str], good: bool, which: int | None, owner: str | None) -> None:
        tasks = [
            id_ if which is None or not self.claims[id_] else self.claims[id_][which] for id_ in ids
        ]
        refused = self.queue.settle(
            [Success(one, [1], owner) if good else Fail(one, "no", owner) for one in tasks]
        )
        for id_, task in zip(ids, tasks, strict=True):
            held = self.is_held(id_, task if isinstance(task, Claim) else None, owner)
            assert (id_ not in refused) == held, f"{id_}: {refused.get(id_)}"
            one = self.known.get(id_)
            if one is None or not held:
                continue
            if good:
                one.settle(Stage.SUCCESS, [1])
            elif one.max_attempts is not None and one.attempts < one.max_attempts:
                one.wait()
                one.reason = "no"
            else:
                one.settle(Stage.FAIL, None, "no")

    @rule(delayed=st.booleans())
    def release(self, delayed: bool) -> None:
        held = [id_ for id_, one in self.known.items() if one.stage is Stage.PROCESSING]
        for id_ in held[:1]:
            one = self.known[id_]
            self.queue.release(id_, delay_s=HOUR_S if delayed else 0, owner=one.owner)
            one.wait(delayed=delayed)
            one.attempts -= 1

    @rule(id_=st.sampled_from(NAMES))
    def refuse(self, id_: str) -> None:
        one = self.known.get(id_)
        if one is not None and one.stage is Stage.WAITING:
            self.queue.refuse(id_, reason="too large")
            one.settle(Stage.FAIL, one.result, "too large")

    @rule(ids=st.lists(st.sampled_from(NAMES), max_size=3))
    def requeue(self, ids: list[str]) -> None:
        failed = [
            id_
            for id_ in dict.fromkeys(ids)
            if id_ in self.known and self.known[id_].stage is Stage.FAIL
        ]
        assert sorted(self.queue.requeue_quietly(ids)[0]) == sorted(failed)
        for id_ in failed:
            one = self.known[id_]
            one.wait()
            one.attempts, one.owner, one.reason = 0, None, ""

    @rule()
    def purge(self) -> None:
        settled = [
            id_ for id_, one in self.known.items() if one.stage in (Stage.SUCCESS, Stage.FAIL)
        ]
        assert self.queue.purge(timedelta()) == len(settled)
        for id_ in settled:
            del self.known[id_]

    @invariant()
    def both_are_the_same(self) -> None:
        assert [id_ for id_, _ in self.queue.peek(10)] == self.line()
        stages = [one.stage for one in self.known.values()]
        assert self.queue.sizes() == {stage.name: stages.count(stage) for stage in Stage}
        for id_, one in self.known.items():
            task = self.queue.lookup_task(id_)
            assert (task.stage, task.attempts, task.moves) == (one.stage, one.attempts, one.moves)
            assert (task.result, task.reason, task.owner) == (one.result, one.reason, one.owner)

    def teardown(self) -> None:
        """Leave an empty queue to the next sequence."""
        for id_, one in self.known.items():
            if one.stage is Stage.PROCESSING:
                self.queue.success(id_, owner=one.owner)
            elif one.stage is Stage.WAITING:
                self.queue.refuse(id_, reason="the end")
        self.queue.purge(timedelta())


def test_any_sequence_of_verbs_does_what_the_model_does(store: Store) -> None:
    queue = store.open()
    sequences, steps = STEPS.get(store.name, FEW)
    run_state_machine_as_test(
        lambda: Model(queue),  # type: ignore[arg-type]  # it calls it, and no more
        settings=settings(
            max_examples=sequences,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )
