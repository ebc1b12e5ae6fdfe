"""A queue looked at ten times a second while something happens.

`Watch` is a `with` block with a thread and a connection of its own. How many
messages are ready and how many consumers there are comes from a passive declare
and is exact at the moment of asking. How many are unacknowledged AMQP does not
tell: it comes from the management API where we may ask it, else from what the
workers say of themselves (what waits in their memory they don't); `source` says
which. The thread never raises: a queue that is not there counts as empty.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from labs.broker.address import Address
from labs.broker.connection import connected, count
from labs.broker.management import Management
from labs.errors import LabError
from labs.notebook.display import LivePicture
from labs.pictures.samples import Sample

INTERVAL_S = 0.1
FROM_MANAGEMENT = "unacknowledged (from the management API)"
FROM_WORKERS = "received and not acknowledged (in the workers' own words)"


class Watch:
    """Samples of one queue over time: `samples`, from the start to the end of the block."""

    def __init__(
        self, queue: str, address: Address, *, in_hand: Callable[[], int], management: bool
    ) -> None:
        self.queue = queue
        self.source = FROM_MANAGEMENT if management else FROM_WORKERS
        self._address = address
        self._in_hand = in_hand
        self._samples: list[Sample] = []
        self._unacknowledged = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._use_management = management
        self._pictures: list[LivePicture] = []

    @property
    def samples(self) -> tuple[Sample, ...]:
        """What was seen so far, in order of time."""
        return tuple(self._samples)

    def start(self) -> None:
        """Begin to look. The first sample is taken before this returns (or its failure noticed)."""
        if self._thread is None:
            first = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(first,), name=f"labs-watch-{self.queue}", daemon=True
            )
            self._thread.start()
            first.wait(5.0)

    def stop(self) -> None:
        """Take a last look and end."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10.0)
        while self._pictures:
            self._pictures.pop().finish()

    def keep(self, picture: LivePicture) -> None:
        """A picture of this queue that is to be finished when the watch ends."""
        self._pictures.append(picture)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self, first: threading.Event) -> None:
        start = time.monotonic()
        while True:
            # What fails while the broker is on its way up says nothing of how things ended:
            # only an attempt that began after the block did may be the last one.
            last_attempt = self._stopping.is_set()
            # Whatever breaks the connection (a restart of the broker is a lesson of its own)
            # leaves a gap in the samples; then it connects again.
            with contextlib.suppress(Exception):
                self._look_while_connected(start, first)
                return
            first.set()
            if last_attempt:
                return
            self._stopping.wait(INTERVAL_S)

    def _look_while_connected(self, start: float, first: threading.Event) -> None:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(connected(self._address))
            management = None
            if self._use_management:
                management = stack.enter_context(Management(self._address, timeout_s=2.0))
            while True:
                last_look = self._stopping.is_set()
                self._look_at_unacknowledged(management)
                seen = count(connection, self.queue)
                sample = Sample(
                    at_s=round(time.monotonic() - start, 3),
                    ready=seen.ready if seen else 0,
                    unacknowledged=self._unacknowledged,
                    consumers=seen.consumers if seen else 0,
                    exists=seen is not None,
                )
                self._samples.append(sample)
                first.set()
                if last_look:
                    return
                self._stopping.wait(INTERVAL_S)

    def _look_at_unacknowledged(self, management: Management | None) -> None:
        if management is None:
            self._unacknowledged = self._in_hand()
            return
        try:
            totals = management.queue_totals(self._address.vhost)
        except LabError:
            return  # the broker is on its way down, or up: what was seen last stands
        told = [queue for queue in totals if queue["name"] == self.queue]
        self._unacknowledged = int(told[0].get("messages_unacknowledged", 0)) if told else 0

    def __repr__(self) -> str:
        return f"<watch on {self.queue!r}: {len(self._samples)} samples>"


def management_tells(address: Address) -> bool:
    """Whether this user may ask the management API about queues."""
    if not address.management_url:
        return False
    try:
        with Management(address, timeout_s=2.0) as management:
            management.queues(address.vhost)
    except LabError:
        return False
    return True
