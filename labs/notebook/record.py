"""What can be asked of one worker, and of a team, in the same words: what was received,
done, lost, acknowledged, and to wait until so much of it has happened.

All answers come from the events that the workers told. Waiting ends at once,
with a sentence, when what is waited for can't happen any more.
"""

from __future__ import annotations

from collections.abc import Callable

from labs.errors import WaitedTooLong
from labs.notebook.display import Progress
from labs.notebook.events import Event, WorkerEvent
from labs.waiting import wait_until


class Record:
    """The events of one worker or of several, and the questions one asks of them."""

    @property
    def events(self) -> tuple[WorkerEvent, ...]:
        """All that happened so far, in order of time."""
        raise NotImplementedError

    @property
    def received(self) -> list[str]:
        """The bodies received, in order; a body that came twice stands there twice."""
        return self.bodies(Event.RECEIVED)

    @property
    def done(self) -> list[str]:
        """The bodies whose work was finished, in order."""
        return self.bodies(Event.DONE)

    @property
    def lost(self) -> list[str]:
        """The bodies that were received and forgotten on purpose (`lose_every`)."""
        return self.bodies(Event.LOST)

    @property
    def acknowledged(self) -> list[str]:
        """The bodies that the broker was told it may forget."""
        return self.bodies(Event.ACKNOWLEDGED)

    @property
    def redelivered(self) -> list[str]:
        """The bodies received that the broker flagged as perhaps delivered before."""
        return [e.body for e in self.events if e.event is Event.RECEIVED and e.redelivered]

    def bodies(self, event: Event) -> list[str]:
        """The bodies of all events of one sort."""
        return [told.body for told in self.events if told.event is event]

    def tally(self, *events: Event) -> int:
        """How many events of these sorts there were: quick, however many there are."""
        raise NotImplementedError

    def wait_until_received(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until `count` messages were received. Raises as `wait_until_done`."""
        self._wait(lambda: self.tally(Event.RECEIVED), count, "received", timeout_s)

    def wait_until_done(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until the work on `count` messages is finished.

        Raises:
            WaitedTooLong: it took longer than `timeout_s` seconds.
            WorkerFailed: a worker failed, or none is left that could do it.
        """
        self._wait(lambda: self.tally(Event.DONE), count, "done", timeout_s)

    def wait_until_handled(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until `count` messages were either done or lost. Raises as `wait_until_done`."""
        self._wait(lambda: self.tally(Event.DONE, Event.LOST), count, "done or lost", timeout_s)

    def wait_until_acknowledged(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until `count` messages were acknowledged. Raises as `wait_until_done`."""
        self._wait(lambda: self.tally(Event.ACKNOWLEDGED), count, "acknowledged", timeout_s)

    def _wait(self, seen: Callable[[], int], count: int, what: str, timeout_s: float) -> None:
        progress = Progress(f"Messages {what}", count)

        def enough() -> bool:
            nobody_left = self._nobody_left()  # asked first: the last words may come after
            reached = seen()
            progress.update(reached)
            if reached < count:
                self._give_up(f"{reached} of {count} messages {what}", nobody_left=nobody_left)
            return reached >= count

        try:
            wait_until(enough, timeout_s)
        except WaitedTooLong:
            raise WaitedTooLong(
                f"After {timeout_s:g} s only {seen()} of {count} messages are {what}.",
                remedy="Are there so many in the queue? Does a worker hold them? Look at what the "
                "workers say above, and at lab.count(…).",
            ) from None
        finally:
            progress.finish(seen())
            self._show_now()

    def _nobody_left(self) -> bool:
        """Whether no worker is left that could do anything more."""
        raise NotImplementedError

    def _give_up(self, reached: str, *, nobody_left: bool) -> None:
        """Raise WorkerFailed if waiting is in vain; `reached` says how far it went."""
        raise NotImplementedError

    def _show_now(self) -> None:
        """Bring the page up to date."""
