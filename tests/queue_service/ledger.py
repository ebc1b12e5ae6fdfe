"""What clients of the queue service were told, while it was being broken; and what must be so.

`Load` is threads that start builds and threads that work them off, at any of the instances, as
patient clients do: what was not answered is asked again, elsewhere. Each answer goes into the
`Ledger`, with the time from which and until which somebody could rely on it. In the end all builds
are worked off, and `check` holds the ledger against the store. Server, database and clients are on
one machine: its clock is everybody's.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from types import TracebackType
from typing import Self, TypeVar

from labs.queue_service.client import QueueServiceClient
from labs.queue_service.errors import Overloaded
from labs.queue_service.messages import Claimed, State
from labs.queue_service.operations import Ack, Claim, Held, Operation, Start
from labs.task_queue.errors import ClaimLost, StoreUnreachable
from labs.waiting import wait_until

A = TypeVar("A")

LEASE_S = 2.0
PAUSE_S = 0.05
"""After a request that was not answered."""
JUST = timedelta(milliseconds=2)
"""Times in answers are rounded."""
BUILDS_OF_A_JOB = 3
FOREVER = datetime.max.replace(tzinfo=UTC)
WORKED_OFF_WITHIN_S = 60


@dataclass
class Hand:
    """A build in somebody's hand, as they were told."""

    owner: str
    build: int
    job: int
    attempt: int
    since: datetime
    until: datetime
    """When the lease ends, or the settling was sent."""
    settled: bool = False
    """It was answered with success: nobody may have the build after that."""


@dataclass
class Ledger:
    """All that was answered; threads write to it."""

    cluster: str = field(default_factory=lambda: f"load-{secrets.token_hex(4)}")
    """Its builds are of a build cluster of their own: the store may hold others."""
    posted: set[int] = field(default_factory=set)
    """Builds that were sent, answered or not."""
    answered: set[int] = field(default_factory=set)
    """Builds whose start was answered with success."""
    hands: list[Hand] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)
    """Requests that were refused for the time being, or broken, by what was asked."""
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    """Answers that there must not be."""

    @property
    def settled(self) -> set[int]:
        """Builds whose worker was told that they are done."""
        return {hand.build for hand in self.hands if hand.settled}

    def check(self, client: QueueServiceClient) -> None:
        """Hold it against what the store says, when all has been worked off."""
        assert not self.wrong
        stored = [message.build_id for message in client.messages(cluster=self.cluster)]
        of_them = client.messages(state=State.DONE, cluster=self.cluster)
        done = {message.build_id for message in of_them}
        dispatched = {hand.build for hand in self.hands}
        assert len(stored) == len(set(stored)), "a build is there twice"
        assert not self.answered - set(stored), "what was answered with success is lost"
        assert not self.answered - dispatched, "what was answered was never dispatched"
        assert not set(stored) - self.posted, "there are builds that nobody has started"
        assert not self.settled - done, "what was settled is not done"
        assert set(stored) == done, "not all was worked off"
        self.check_hands()

    def check_hands(self) -> None:
        """No build in two hands at a time, nor two of a job; none after it was settled."""
        of_build: dict[int, list[Hand]] = {}
        of_job: dict[int, list[Hand]] = {}
        for hand in sorted(self.hands, key=lambda hand: hand.since):
            of_build.setdefault(hand.build, []).append(hand)
            of_job.setdefault(hand.job, []).append(hand)
        for hands in of_build.values():
            attempts = [hand.attempt for hand in hands]
            assert attempts == sorted(set(attempts)), f"an attempt was handed out twice: {hands}"
            for before, after in pairwise(hands):
                assert not before.settled, f"handed out after it was settled: {before}, {after}"
        for hands in (*of_build.values(), *of_job.values()):
            for before, after in pairwise(hands):
                assert after.since + JUST >= before.until, f"in two hands: {before}, {after}"


class Load:
    """Clients that start builds, and others that work them off, for as long as a block lasts.

    At its end no more are started, and all is worked off.
    """

    def __init__(
        self,
        urls: Sequence[str],
        ledger: Ledger,
        *,
        starters: int = 3,
        workers: int = 3,
        pause_s: float = 0.0,
    ) -> None:
        self._urls, self._ledger, self._pause_s = urls, ledger, pause_s
        self._builds = count(1 + secrets.randbelow(1_000_000) * 1_000_000)
        self._lock = threading.Lock()
        self._enough, self._over = threading.Event(), threading.Event()
        self._starters = [self._thread(self._start_builds, n) for n in range(starters)]
        self._workers = [self._thread(self._work, n) for n in range(workers)]

    def _thread(self, target: Callable[[int], None], number: int) -> threading.Thread:
        def run() -> None:
            try:
                target(number)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must hear of it
                self._ledger.wrong.append(f"{target.__name__}: {error!r}")

        return threading.Thread(target=run, daemon=True)

    def __enter__(self) -> Self:
        """Let them begin."""
        for thread in (*self._starters, *self._workers):
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Start no more; work off what there is, unless the test has failed."""
        self._enough.set()
        for thread in self._starters:
            thread.join(WORKED_OFF_WITHIN_S)
        try:
            if error is None:
                wait_until(self._is_worked_off, WORKED_OFF_WITHIN_S, what="all to be worked off")
        finally:
            self._over.set()
            for thread in self._workers:
                thread.join(WORKED_OFF_WITHIN_S)

    def wait_for(self, starts: int, *, settled: int = 0) -> None:
        """Return when so many more starts were answered, and so many more builds settled."""
        ledger = self._ledger
        wanted, settled_wanted = len(ledger.answered) + starts, len(ledger.settled) + settled
        wait_until(
            lambda: (
                ledger.wrong
                or (len(ledger.answered) >= wanted and len(ledger.settled) >= settled_wanted)
            ),
            60,
            what=f"{starts} starts and {settled} builds under load",
        )
        assert not ledger.wrong

    def _is_worked_off(self) -> bool:
        if self._ledger.wrong:
            return True
        live = (State.QUEUED, State.BLOCKED, State.RUNNING)
        with QueueServiceClient(self._urls[0]) as client:
            pages = [client.page(state=one, cluster=self._ledger.cluster, limit=1) for one in live]
        return not any(page.messages for page in pages)

    # --- The clients --------------------------------------------------------------------------

    def _start_builds(self, number: int) -> None:
        chosen = random.Random(number)
        with Clients(self._urls, self._ledger) as clients:
            while not self._enough.is_set():
                with self._lock:
                    build = next(self._builds)
                    self._ledger.posted.add(build)
                job = 1 + build // BUILDS_OF_A_JOB
                start = Start(
                    build_id=build,
                    job_id=job,
                    body={},
                    blocked_by=(job,),
                    cluster=self._ledger.cluster,
                    collapse=False,
                    max_attempts=100,
                )
                answer = clients.patiently(start, chosen, self._over.is_set)
                if answer is None:
                    return
                with self._lock:
                    self._ledger.answered.add(build)
                self._enough.wait(self._pause_s)

    def _work(self, number: int) -> None:
        chosen = random.Random(100 + number)
        owner = f"worker-{number}"
        with Clients(self._urls, self._ledger) as clients:
            while not self._over.is_set():
                claim = Claim(
                    owner=owner, n=2, lease_s=LEASE_S, cluster=self._ledger.cluster, wait_s=0.5
                )
                for claimed in clients.ask(claim, chosen) or ():
                    self._settle(clients, claimed, self._taken(claimed), chosen)

    def _taken(self, claimed: Claimed) -> Hand:
        assert claimed.build_id is not None
        hand = Hand(
            claimed.owner,
            claimed.build_id,
            claimed.job_id,
            claimed.attempt,
            claimed.lease_ends - timedelta(seconds=LEASE_S),
            claimed.lease_ends,
        )
        with self._lock:
            self._ledger.hands.append(hand)
        return hand

    def _settle(
        self, clients: Clients, claimed: Claimed, hand: Hand, chosen: random.Random
    ) -> None:
        if chosen.random() < 0.02:
            return  # a worker that was never heard of again
        hand.until = min(hand.until, datetime.now(UTC))
        ack = Ack(held=Held(id=claimed.id, owner=claimed.owner, move=claimed.move))
        try:
            hand.settled = clients.patiently(ack, chosen, self._over.is_set) is not None
        except ClaimLost:
            return  # the lease was out; or a try of ours was carried out, and its answer lost


class Clients:
    """One client's ways to all instances; where one does not answer, the next may."""

    def __init__(self, urls: Sequence[str], ledger: Ledger) -> None:
        self._all = [QueueServiceClient(url, retries=0) for url in urls]
        self._ledger = ledger

    def __enter__(self) -> Self:
        """Themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        for client in self._all:
            client.close()

    def ask(self, operation: Operation[A], chosen: random.Random) -> A | None:
        """Ask any of them; None: it did not answer, or said that it can't at present."""
        began = time.monotonic()
        try:
            return chosen.choice(self._all).call(operation)
        except (StoreUnreachable, Overloaded):
            self._ledger.unanswered[type(operation).__name__] += 1
            time.sleep(PAUSE_S)
            return None
        finally:
            self._ledger.slowest_s = max(self._ledger.slowest_s, time.monotonic() - began)

    def patiently(
        self, operation: Operation[A], chosen: random.Random, over: Callable[[], bool]
    ) -> A | None:
        """Ask until there is an answer; None: it is over."""
        while not over():
            if (answer := self.ask(operation, chosen)) is not None:
                return answer
        return None
