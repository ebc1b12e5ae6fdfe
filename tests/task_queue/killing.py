"""Workers that may die at any moment, and what must hold when they have.

A worker opens a handle of its own and makes random verbs, for ever, each with a lease. Before a
verb it writes into a journal what it will do, and after it what came of that; a line that was
written survives a SIGKILL. From the journal and the queue `check` says what was lost, or handed
to two. Workers are processes, forked from one that has imported everything (so that hundreds can
begin in seconds), or threads where the tasks don't outlive the process.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from labs.task_queue.errors import TaskError
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Claim, Fail, Success
from labs.waiting import wait_until

ROOT = Path(__file__).parents[2]
PRELOADED = [
    "tests.task_queue.conftest",
    "sqlite3",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.dialects.postgresql",
]
Opener = Callable[[], TaskQueue]
LEASES_S = (0.1, 0.3)
CLOCK_S = 0.001
"""What reckoning with times as floats may be off."""


def processes() -> ForkServerContext:
    """Where processes come from that have imported all stores, and opened none."""
    context = multiprocessing.get_context("forkserver")
    os.environ["PYTHONPATH"] = str(ROOT)  # for the server, which has no sys.path of ours
    context.set_forkserver_preload(PRELOADED)
    return context


class Journal:
    """Lines of JSON in a folder: each worker writes a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def page(self, worker: int) -> Page:
        """Where this worker writes."""
        return Page(self.folder / f"{worker}.jsonl")

    def has_begun(self, worker: int) -> bool:
        """Whether this worker has written anything."""
        return (self.folder / f"{worker}.jsonl").exists()

    def read(self) -> list[dict[str, Any]]:
        """All lines; those of one worker are in the order in which they were written."""
        pages = sorted(self.folder.glob("*.jsonl"))
        texts = [page.read_text() for page in pages]
        # What is written while this reads may end in half a line.
        lines = [line for text in texts for line in text[: text.rfind("\n") + 1].splitlines()]
        return [json.loads(line) for line in lines]


class Page:
    """One worker's lines. Each is a single write, which a kill does not cut."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, **entry: Any) -> None:
        """Add one."""
        self._file.write(json.dumps(entry).encode() + b"\n")

    def close(self) -> None:
        """Write no more."""
        self._file.close()


class Worker:
    """Makes random verbs on a queue, and writes down which."""

    def __init__(self, queue: TaskQueue, page: Page, seed: int) -> None:
        self.queue, self.page = queue, page
        self.random = random.Random(seed)
        self.name = f"worker-{seed}-{secrets.token_hex(4)}"
        self.held: dict[str, Claim] = {}
        self.puts = 0
        self.verbs: dict[Callable[[], None], int] = {
            self.put: 5,
            self.get: 8,
            self.settle: 8,
            self.extend: 2,
            self.release: 2,
            self.refuse: 1,
            self.requeue: 2,
            self.purge: 1,
            self.look: 1,
        }
        """How likely each is."""

    def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Work until stopped, or killed."""
        self.page.write(will="begin")
        while not stopped():
            (verb,) = self.random.choices(list(self.verbs), list(self.verbs.values()))
            verb()

    def put(self) -> None:
        """New tasks, of many kinds."""
        ids = [f"{self.name}/{self.puts + n}" for n in range(self.random.randint(1, 3))]
        self.puts += len(ids)
        self.page.write(will="put", ids=ids)
        self.queue.put(
            {id_: {"from": self.name} for id_ in ids},
            priority=self.random.choice([0, 0, 5]),
            delay_s=self.random.choice([0, 0, 0.02]),
            max_attempts=self.random.choice([None, None, 1, 3]),
            backoff_s=0.01,
        )
        self.page.write(did="put", ids=ids)

    def get(self) -> None:
        """Claims, each with a lease."""
        lease_s = self.random.choice(LEASES_S)
        claims = self.queue.get(self.random.randint(1, 4), lease_s=lease_s, owner=self.name)
        for claim in claims:
            assert claim.lease_ends is not None
            ends_s = claim.lease_ends.timestamp()
            begins_s = ends_s - lease_s
            claimed = {"id": claim.id, "move": claim.move, "begins": begins_s, "ends": ends_s}
            self.page.write(did="get", by=self.name, **claimed)
        self.held |= {claim.id: claim for claim in claims}

    def some_held(self) -> list[Claim]:
        """A few that this worker thinks it holds."""
        held = list(self.held.values())
        return self.random.sample(held, min(len(held), self.random.randint(1, 3)))

    def let_go(self, verb: str, claims: Sequence[Claim]) -> None:
        """Say that it will hold them no more."""
        for claim in claims:
            self.page.write(will=verb, id=claim.id, move=claim.move)
            del self.held[claim.id]

    def settle(self) -> None:
        """Outcomes, good and bad, in one batch."""
        claims = self.some_held()
        done = [claim for claim in claims if self.random.random() < 0.6]
        self.let_go("settle", claims)
        refused = self.queue.settle(
            [Success(claim, self.name) if claim in done else Fail(claim, "no") for claim in claims]
        )
        for claim in done:
            if claim.id not in refused:
                self.page.write(did="succeed", id=claim.id)

    def extend(self) -> None:
        """Longer leases."""
        for claim in self.some_held():
            with suppress(TaskError):
                self.queue.extend(claim, max(LEASES_S))

    def release(self) -> None:
        """Some go back."""
        claims = self.some_held()
        self.let_go("release", claims)
        with suppress(TaskError):
            self.queue.release(claims)

    def refuse(self) -> None:
        """One that waits is not wanted."""
        for id_, _ in self.queue.peek(1):
            self.page.write(will="refuse", id=id_)
            with suppress(TaskError):
                self.queue.refuse(id_, reason="unwanted")

    def requeue(self) -> None:
        """Some that failed are tried anew."""
        self.queue.requeue_quietly(self.queue.lookup_state(Stage.FAIL, limit=3))

    def purge(self) -> None:
        """What is settled since yesterday: nothing is, so that all can be found in the end."""
        self.queue.purge(timedelta(days=1))

    def purge_all(self) -> None:
        """All that is settled."""
        self.queue.purge(timedelta())

    def look(self) -> None:
        """The sizes, as a person would."""
        self.queue.sizes()


# --- Processes that are killed ----------------------------------------------------------------


def work(opener: Opener, journal: Journal, seed: int, only: str | None) -> None:
    """What a process does: it ends by a SIGKILL alone."""
    worker = Worker(opener(), journal.page(seed), seed)
    if only is not None:
        worker.verbs = {getattr(worker, only): 1}
    worker.run()


class Crew:
    """So many workers at a time, as processes; whoever is killed is replaced."""

    def __init__(
        self,
        opener: Opener,
        journal: Journal,
        *,
        size: int = 4,
        seed: int = 0,
        only: str | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self._opener, self._journal, self._only = opener, journal, only
        self._seeds = iter(range(seed * 10_000, (seed + 1) * 10_000))
        self._context = processes()
        self._workers: dict[int, ForkServerProcess] = {}
        for _ in range(size):
            self._begin()

    def kill(self, times: int, *, pause_s: float = 0.04) -> None:
        """Kill one that is at work, at a random moment, again and again."""
        for _ in range(times):
            ready = wait_until(
                lambda: [seed for seed in self._workers if self._journal.has_begun(seed)],
                30,
                what="workers to begin",
                interval_s=0.005,
            )
            time.sleep(self.random.uniform(0, pause_s))  # the moment is meant to be any
            self._end(self.random.choice(ready))
            self._begin()

    def close(self) -> None:
        """Kill all of them."""
        for seed in list(self._workers):
            self._end(seed)

    def _begin(self) -> None:
        seed = next(self._seeds)
        args = (self._opener, self._journal, seed, self._only)
        self._workers[seed] = self._context.Process(target=work, args=args, daemon=True)
        self._workers[seed].start()

    def _end(self, seed: int) -> None:
        worker = self._workers.pop(seed)
        assert worker.exitcode is None, f"A worker has ended by itself: {worker.exitcode}"
        worker.kill()
        worker.join()
        worker.close()


# --- What must hold ---------------------------------------------------------------------------


def stages(queue: TaskQueue) -> dict[str, Stage]:
    """Where each task is; nobody moves one meanwhile."""
    found: dict[str, Stage] = {}
    for stage in Stage:
        for id_ in queue.lookup_state(stage):
            assert id_ not in found, f"{id_} is both in {found[id_].name} and in {stage.name}"
            found[id_] = stage
    assert queue.sizes() == {stage.name: list(found.values()).count(stage) for stage in Stage}, (
        "the sizes are those of the lists"
    )
    return found


def wait_until_all_leases_have_run_out(queue: TaskQueue) -> None:
    """Nothing is processed for ever by whoever has died."""
    wait_until(
        lambda: queue.sizes()["PROCESSING"] == 0, 30, what="the leases of the dead to run out"
    )


def check_nothing_lost(entries: Sequence[dict[str, Any]], found: dict[str, Stage]) -> None:
    """What was put is there, nothing else is, and what was settled well is settled well."""
    put = {id_ for entry in entries if entry.get("did") == "put" for id_ in entry["ids"]}
    tried = {id_ for entry in entries if entry.get("will") == "put" for id_ in entry["ids"]}
    assert not put - set(found), "these were put, and are gone"
    assert not set(found) - tried, "nobody has put these"
    done = {entry["id"] for entry in entries if entry.get("did") == "succeed"}
    undone = {id_: found[id_] for id_ in done if found[id_] is not Stage.SUCCESS}
    assert not undone, "these were settled"


def check_one_owner_at_a_time(entries: Sequence[dict[str, Any]]) -> None:
    """No task was handed out while another held it."""
    claims: dict[str, list[dict[str, Any]]] = defaultdict(list)
    let_go = {
        (entry["id"], entry["move"])
        for entry in entries
        if entry.get("will") in ("settle", "release")
    }
    for entry in entries:
        if entry.get("did") == "get":
            claims[entry["id"]].append(entry)
    for id_, of_one in claims.items():
        of_one.sort(key=lambda claim: claim["move"])
        for earlier, later in pairwise(of_one):
            assert later["move"] > earlier["move"], f"{id_}: one claim was handed to two"
            assert (
                later["begins"] >= earlier["ends"] - CLOCK_S or (id_, earlier["move"]) in let_go
            ), f"{id_} was claimed while another held it: {earlier}, {later}"


def drain(queue: TaskQueue) -> None:
    """Nothing is stuck: what waits can be claimed, and what is claimed can be settled."""

    def all_done() -> bool:
        while claims := queue.get(50, lease_s=60):
            assert queue.settle([Success(claim) for claim in claims]) == {}
        return queue.sizes()["WAITING"] == queue.sizes()["PROCESSING"] == 0

    wait_until(all_done, 30, what="all that waits to be claimed")
