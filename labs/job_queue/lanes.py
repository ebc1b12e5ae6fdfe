"""Which job may run now: a lane for each job type, so that none has all workers for itself.

At most `share` jobs of a lane are under way at a time; the others wait in their lane, in
order. What comes in by `submit` comes out to the threads by `next` and `after`. A lane
is slow when what it does takes longer than `slow_after_s`; the jobs that wait in it then
only take up room in the window of what the broker delivers, and `surplus` takes them out.
No job is in two places: each is waiting, under way, or out again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from labs.job_queue.bus import Delivery
from labs.job_queue.jobs import Job

SLOW_AFTER_S = 0.25
LAST_FEW = 3
"""So many jobs must have been slow one after the other: one may have hiccups."""


@dataclass(slots=True, eq=False)
class Taken:
    """A delivery that we have in hand, read."""

    delivery: Delivery
    lane: str
    job: Job | None
    """None: it is no job."""
    why_none: str = ""
    may_move: bool = False
    """Whether it may be moved to the slow queue: it isn't there yet."""
    started_s: float = 0.0
    """By the monotonic clock; 0 before it has started."""


@dataclass(slots=True, eq=False)
class _Lane:
    share: int
    under_way: set[Taken] = field(default_factory=set)
    waiting: deque[Taken] = field(default_factory=deque)
    took_s: deque[float] = field(default_factory=lambda: deque(maxlen=LAST_FEW))

    def slow_in_s(self, now_s: float, slow_after_s: float) -> float:
        """In how many seconds it is slow, if nothing changes; 0: it is."""
        if len(self.took_s) == LAST_FEW and min(self.took_s) > slow_after_s:
            return 0.0
        last_start_s = max((taken.started_s or now_s for taken in self.under_way), default=now_s)
        return max(0.0, last_start_s + slow_after_s - now_s)


class Lanes:
    """The jobs in hand. All methods may be called from any thread.

    Args:
        share_of: a lane's share, asked once.
        slow_after_s: from when on a job is slow.
    """

    def __init__(
        self, share_of: Callable[[str], int], *, slow_after_s: float = SLOW_AFTER_S
    ) -> None:
        self._share_of = share_of
        self._slow_after_s = slow_after_s
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._ready: SimpleQueue[Taken | None] = SimpleQueue()
        self._crowded = threading.Event()
        self._closed = False

    def submit(self, taken: Taken) -> bool:
        """Let the job run when its turn comes; False: this is closed."""
        with self._lock:
            if self._closed:
                return False
            lane = self._lanes.get(taken.lane)
            if lane is None:
                lane = self._lanes[taken.lane] = _Lane(self._share_of(taken.lane))
            if len(lane.under_way) < lane.share:
                lane.under_way.add(taken)
                self._ready.put(taken)
                return True
            lane.waiting.append(taken)
        if not self._crowded.is_set():
            self._crowded.set()
        return True

    def next(self) -> Taken | None:
        """Wait for a job that may run; None: no more come."""
        return self._ready.get()

    def after(self, taken: Taken) -> Taken | None:
        """This one is over: wait for the next one; None: no more come."""
        took_s = time.monotonic() - taken.started_s if taken.started_s else 0.0
        with self._lock:
            lane = self._lanes[taken.lane]
            lane.under_way.discard(taken)
            lane.took_s.append(took_s)
            follower = lane.waiting.popleft() if lane.waiting else None
            if follower:
                lane.under_way.add(follower)
                if self._ready.empty():
                    return follower  # nobody else waits: no need to wake another thread
                self._ready.put(follower)  # before `close` looks what is left
        return self._ready.get()

    def surplus(self) -> tuple[list[Taken], float | None]:
        """Take out what waits in slow lanes and may move.

        Returns:
            What was taken out, and in how many seconds to look again (None: once it is `crowded`).
        """
        now_s = time.monotonic()
        out: list[Taken] = []
        looks: list[float] = []
        with self._lock:
            for lane in self._lanes.values():
                if not any(taken.may_move for taken in lane.waiting):
                    continue
                slow_in_s = lane.slow_in_s(now_s, self._slow_after_s)
                if slow_in_s > 0:
                    looks.append(slow_in_s)
                    continue
                out += [taken for taken in lane.waiting if taken.may_move]
                lane.waiting = deque(taken for taken in lane.waiting if not taken.may_move)
            if not looks and not self._closed:
                self._crowded.clear()
        return out, min(looks, default=None)

    def wait_until_crowded(self) -> None:
        """Wait until a job waits in its lane, or this is closed."""
        self._crowded.wait()

    def close(self, threads: int) -> list[Taken]:
        """Let the threads end after what they do now; returned is what has not begun."""
        left: list[Taken] = []
        with self._lock:
            self._closed = True
            for lane in self._lanes.values():
                left += lane.waiting
                lane.waiting.clear()
        while True:
            try:
                taken = self._ready.get_nowait()
            except Empty:
                break
            if taken:
                left.append(taken)
        for _ in range(threads):
            self._ready.put(None)
        self._crowded.set()
        return left
