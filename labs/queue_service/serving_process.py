"""One of several processes that serve at one port: `python -m labs.queue_service.serving_process`.

Its parent (`processes`) starts it with a line, one end of a pair of sockets, over which it is told
what to run, and when to stop. Only the parent says when: a SIGTERM to this process is passed on,
for the parent must know whether the others serve on. When the line ends, the parent has died, and
this process stops by itself: in good order, or at once if it was stopping already.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import FrameType

from labs.errors import LabError
from labs.stopping import Stop

SERVES, ASKS_TO_STOP, STOP = "serves", "asks to stop", "stop"
"""What is said over the line; besides, what is to be run, and the LabError by which it failed."""
STOP_ALONE_WITHIN_S = 30.0


class Place:
    """A serving process as what runs in it sees it.

    Attributes:
        number: from 0; who replaces one that has died has the same.
        stop: becomes wanted when the parent says so, or is gone.
        is_alone: the parent is gone.
        tidy_up: what the parent would do in the end, for a process that it has left alone.
    """

    def __init__(self, number: int, line: Connection) -> None:
        self.number, self._line = number, line
        self.stop = Stop()
        self.is_alone = False
        self.tidy_up: Callable[[], object] = lambda: None

    def serves(self) -> None:
        """Tell the parent that requests are taken."""
        self._say(SERVES)

    def heed_signals(self) -> None:
        """Pass a SIGTERM on; a second one does what it always does. From the main thread."""
        signal.signal(signal.SIGTERM, self._asked)

    def listen(self) -> None:
        """Wait for the parent's word, then for its end; does not return."""
        try:
            self._line.recv()
        except (EOFError, OSError):
            self.is_alone = True
        self.stop.want()
        if self.is_alone:
            time.sleep(STOP_ALONE_WITHIN_S)
        else:
            self._line.poll(None)
        self.tidy_up()
        os._exit(1)

    def failed(self, error: LabError) -> None:
        """Tell the parent why this process ends."""
        self._say(error)

    def _asked(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._say(ASKS_TO_STOP)

    def _say(self, what: str | LabError) -> None:
        with suppress(OSError):  # nobody is there: `listen` notices too
            self._line.send(what)


def main(line: Connection) -> int:
    """Run what the parent sends; the exit code."""
    body: Callable[[Place], None]
    number, body = line.recv()
    place = Place(number, line)
    place.heed_signals()
    threading.Thread(target=place.listen, name="parent", daemon=True).start()
    try:
        body(place)
    except LabError as error:
        place.failed(error)
        return error.exit_code
    finally:
        if place.is_alone:
            place.tidy_up()
    return 0


if __name__ == "__main__":
    sys.exit(main(Connection(int(sys.argv[1]))))
