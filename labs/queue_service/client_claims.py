"""Working on builds: claimed one after the other, held while they are worked on, and settled.

    for work in client.claims("worker-1"):
        with work:                              # its lease is extended while this goes on
            work.result = build(work.body)

At the end of the block the build is done; an exception is a failed attempt (and goes through);
Ctrl-C and the like hand the message back, its attempt not counted. `work.lost` says that the
claim is somebody else's by now, or the build stopped: what is done then counts for nothing, and
the block's end raises it. A claim that is never worked on is handed back by the loop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any, cast

from labs.errors import LabError
from labs.queue_service.errors import Overloaded, UnknownMessage
from labs.queue_service.messages import Claimed, Message, State
from labs.queue_service.operations import Ack, Claim, Extend, Find, Held, Nack, Operation
from labs.task_queue.errors import ClaimLost, StoreUnreachable
from labs.task_queue.tasks import Json

LEASE_S = 60.0
POLL_S = 20.0
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Between claims, while the service is away."""
AWAY = (StoreUnreachable, Overloaded)

Call = Callable[[Operation[Any]], Any]
log = logging.getLogger(__name__)


class Work:
    """A message in hand. `with` it, it is worked on; or `done`, `fail`, `hand_back` settle it."""

    def __init__(self, call: Call, claimed: Claimed, lease_s: float) -> None:
        self.claimed = claimed
        self.result: Json = None
        """Kept with the message when the block ends well."""
        self.state: State | None = None
        """Where the message went when this has settled it."""
        self.lost: ClaimLost | None = None
        """Why the claim is ours no more."""
        self._call, self._lease_s = call, lease_s
        self._held = Held(id=claimed.id, owner=claimed.owner, move=claimed.move)
        self._lease_ends = time.monotonic() + lease_s
        self._over = False
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Which message; its body may hold secrets."""
        return f"Work({self.id!r}, attempt={self.claimed.attempt})"

    @property
    def id(self) -> str:
        """The message's id."""
        return self.claimed.id

    @property
    def body(self) -> Mapping[str, Json]:
        """As it was posted."""
        return self.claimed.body

    @property
    def over(self) -> bool:
        """Whether it is settled, or lost: no more of it is to be told."""
        return self._over or self.lost is not None

    def done(self, result: Json = None) -> State:
        """The build is done. Raises ClaimLost."""
        return self._settle(Ack(held=self._held, result=result))

    def fail(self, reason: str, *, final: bool = False) -> State:
        """The attempt has failed; `final`: more would not help. Raises ClaimLost."""
        return self._settle(Nack(held=self._held, reason=reason, final=final))

    def hand_back(self, reason: str = "") -> State:
        """It was not tried: it is queued at once, the attempt not counted. Raises ClaimLost."""
        return self._settle(Nack(held=self._held, reason=reason, requeue=True))

    def extend(self) -> None:
        """Extend the lease, if it is still ours; else say so in `lost`."""
        with self._lock:  # or a settling in between would look like a loss
            if self.over:
                return
            begun = time.monotonic()
            try:
                self._call(Extend(held=self._held, lease_s=self._lease_s))
                self._lease_ends = begun + self._lease_s
            except (ClaimLost, UnknownMessage) as error:
                self.lost = self._why(error)
            except AWAY as error:
                if time.monotonic() > self._lease_ends:
                    self.lost = ClaimLost(
                        f"The lease of {self.id} has run out, as the service did not answer.",
                        remedy=f"Somebody else may have claimed it. {error}",
                    )

    def __enter__(self) -> Work:
        """Work on it in the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell what came of it."""
        if self._over:
            return
        if error is None:
            self.done(self.result)
            return
        try:
            if isinstance(error, Exception):
                self.fail(f"{type(error).__name__}: {error}".removesuffix(": "))
            else:
                self.hand_back(f"The worker was stopped ({type(error).__name__}).")
        except LabError as untold:
            error.add_note(f"It could not be told to the queue: {untold}")

    def _settle(self, operation: Ack | Nack) -> State:
        """Tell it, and go on trying while the service is away: until the lease has run out."""
        with self._lock:
            if self.lost is not None:
                raise self.lost
            self._over = True
            self.state = self._told(operation)
            return self.state

    def _told(self, operation: Ack | Nack) -> State:
        for tries in count():
            try:
                return cast(State, self._call(operation))
            except AWAY:
                given_up = isinstance(operation, Nack) and operation.requeue  # its end does it too
                if given_up or time.monotonic() > self._lease_ends:
                    raise
                time.sleep(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
            except (ClaimLost, UnknownMessage) as error:
                if tries and (state := self._done_by_us(operation)):
                    return state
                self.lost = self._why(error)
                raise self.lost from error
        raise AssertionError("it is counted without an end")

    def _done_by_us(self, operation: Ack | Nack) -> State | None:
        """Where the message is, if a try whose answer was lost has brought it there."""
        with suppress(LabError):
            message = self._call(Find(id=self.id)).message
            return message.state if is_as(operation, message) else None
        return None

    def _why(self, error: LabError) -> ClaimLost:
        """What has become of the message, if it can be seen."""
        with suppress(LabError):
            if self._call(Find(id=self.id)).message.state is State.STOPPED:
                return ClaimLost(
                    f"Build {self.id} has been stopped.", remedy="Let it be: it is not wanted."
                )
        return ClaimLost(str(error), remedy=error.remedy)


def is_as(operation: Ack | Nack, message: Message) -> bool:
    """Whether a message is as this operation leaves it. Of an ack the service knows by itself."""
    if isinstance(operation, Ack):
        return False
    if operation.requeue:
        return message.state is State.QUEUED
    return message.state in (State.QUEUED, State.FAILED) and message.reason == operation.reason


class Builds:
    """The loop over what is claimed: `for work in builds`."""

    def __init__(
        self, call: Call, claim: Claim, *, wanted: Callable[[], bool], drain: bool = False
    ) -> None:
        self._call, self._claim, self._wanted, self._drain = call, claim, wanted, drain

    def __iter__(self) -> Iterator[Work]:
        """One message after the other.

        Raises:
            LabError: the first claim was refused. Later, a service that is away is waited for.
        """
        away, met = 0, False
        while self._wanted():
            try:
                claimed = self._call(self._claim)
            except AWAY as error:
                if not met:
                    raise
                if away == 0:
                    log.warning("%s It is tried again.", error)
                time.sleep(PAUSES_S[min(away, len(PAUSES_S) - 1)])
                away += 1
                continue
            met, away = True, 0
            if claimed:
                yield from self._one_by_one(claimed)
            elif self._drain:
                return

    def _one_by_one(self, claimed: Sequence[Claimed]) -> Iterator[Work]:
        lease_s = self._claim.lease_s
        works = [Work(self._call, one, lease_s) for one in claimed]
        hand = _Hand(works, lease_s / 3)
        try:
            for work in works:
                if not self._wanted():
                    return
                if not work.over:  # it was lost while others were worked on
                    yield work
                    _let_go(work)
        finally:
            hand.close()


class _Hand:
    """Some messages that were claimed together; a thread extends their leases."""

    def __init__(self, works: Sequence[Work], period_s: float) -> None:
        self._works, self._period_s = works, period_s
        self._closed = threading.Event()
        threading.Thread(target=self._beat, name="leases", daemon=True).start()

    def close(self) -> None:
        """Extend no more, and hand back what is not settled."""
        self._closed.set()
        for work in self._works:
            _let_go(work)

    def _beat(self) -> None:
        while not self._closed.wait(self._period_s):
            for work in self._works:
                work.extend()


def _let_go(work: Work) -> None:
    if not work.over:
        with suppress(LabError):  # its lease brings it back
            work.hand_back()
