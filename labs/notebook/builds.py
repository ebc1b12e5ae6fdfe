"""The builds of a queue service, looked at twenty times a second while something happens.

`Builds` is a `with` block with a thread. How one looks is given: a function, such as a call of
the service's client. A look that fails is left out (that an instance ends may be the lesson);
the next one tells what was missed, since messages know when they were enqueued, started and
ended. The looks become a picture of each build's states over time.
"""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from labs.notebook.display import LivePicture
from labs.pictures.builds import BuildRow, Happening, draw_builds
from labs.pictures.builds_reading import Look, Messages, builds_of
from labs.pictures.picture import Picture

INTERVAL_S = 0.05


class Builds:
    """What builds went through, from the start to the end of the block."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._looks: list[Look] = []
        self._happenings: list[Happening] = []
        self._start = datetime.now(UTC)
        self._end: datetime | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._pictures: list[LivePicture] = []

    @property
    def rows(self) -> tuple[BuildRow, ...]:
        """Each build's states so far."""
        return builds_of(tuple(self._looks), start=self._start)

    def happened(self, words: str) -> None:
        """Note what has just befallen all of them, such as the end of an instance."""
        self._happenings.append(Happening(self._seconds(datetime.now(UTC)), words))

    def picture(self) -> Picture:
        """Each build's states over time, until now or the end of the block."""
        length_s = self._seconds(self._end or datetime.now(UTC))
        return draw_builds(self.rows, tuple(self._happenings), length_s=length_s)

    def live(self) -> None:
        """Show the picture at once, and again and again until the block ends."""
        self._pictures.append(LivePicture(self.picture, every_s=0.5))

    def start(self) -> None:
        """Begin to look. Second 0 is now."""
        if self._thread is None:
            self._start = datetime.now(UTC)
            self._thread = threading.Thread(target=self._run, name="labs-builds", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Take a last look and end."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10.0)
        self._end = self._end or datetime.now(UTC)
        while self._pictures:
            self._pictures.pop().finish()

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

    def _run(self) -> None:
        while True:
            last_look = self._stopping.is_set()
            # Whatever keeps a look from being answered leaves a gap, which the next one fills.
            with contextlib.suppress(Exception):
                at = datetime.now(UTC)
                self._looks.append(Look(at, tuple(self._messages())))
            if last_look:
                return
            self._stopping.wait(INTERVAL_S)

    def _seconds(self, at: datetime) -> float:
        return (at - self._start).total_seconds()

    def __repr__(self) -> str:
        return f"<builds seen in {len(self._looks)} looks>"
