"""One worker as a process of its own: started, listened to, killed, frozen, stopped.

It runs `qprocessor.py --json` and reads its lines in a thread, each made a
`WorkerEvent`. The broker's URL goes to it through the environment, so that no
list of processes shows the password. Its process group is its own: Stop in the
notebook interrupts the cell and not the workers.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO

import psutil

from labs.errors import WorkerFailed
from labs.notebook.display import LINES_SHOWN, Pane
from labs.notebook.events import Event, WorkerEvent, parse_line
from labs.notebook.record import Record
from labs.waiting import wait_until

STOP_TIMEOUT_S = 10.0
GIVES_BACK = {Event.DISCONNECTED, Event.STOPPED, Event.KILLED, Event.CRASHING, Event.FAILED}
"""With these the connection is gone, and with it all that it held unacknowledged."""
LINE_LENGTH = 200  # of a line in the pane; a body may have megabytes
DETAILS = {Event.ACKNOWLEDGED}  # told and counted, but no line in the pane of its own


class Worker(Record):
    """A running (or ended) worker. `name`, `pid`; `events` and all of `Record`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        changed: Callable[[], None],
        ended: Callable[[int], None],
        befalls: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self._events: list[WorkerEvent] = []
        self._tally: Counter[Event] = Counter()
        self._held = 0
        self._lines: deque[str] = deque(maxlen=LINES_SHOWN)
        self._lines_told = 0
        self._unread: deque[str] = deque(maxlen=LINES_SHOWN)  # what it printed that was no event
        self._lock = threading.Lock()
        self._changed, self._ended = changed, ended
        self._befalls = befalls or (lambda _signal: None)
        self._killed = self._frozen = self._asked = False
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._listen, name=f"labs-{name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    @property
    def events(self) -> tuple[WorkerEvent, ...]:
        """All that happened to it so far, in order of time."""
        with self._lock:
            return tuple(sorted(self._events, key=lambda event: event.time))

    @property
    def is_running(self) -> bool:
        """Whether its process is still there, or its last words are still being read."""
        return self._reader.is_alive()

    @property
    def is_consuming(self) -> bool:
        """Whether it has told that it waits for messages."""
        return self.tally(Event.STARTED) > 0

    @property
    def in_hand(self) -> int:
        """How many messages it has received and not acknowledged, on the connection it has."""
        return self._held if self.is_running else 0

    def tally(self, *events: Event) -> int:
        """How many events of these sorts there were."""
        return sum(self._tally[event] for event in events)

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does (SIGKILL): as a power cut would."""
        self._killed = True
        if self._process.poll() is None:
            self._befalls("kill")  # first: the connection ends in the same moment
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
            self._add(Event.KILLED)
        self._reader.join(STOP_TIMEOUT_S)

    def ask_to_stop(self) -> None:
        """Ask it to finish (SIGTERM), as Ctrl-C would, and don't wait."""
        if self._process.poll() is None and not self._asked:
            self._asked = True
            if self._frozen:
                self.thaw()
            self._process.terminate()

    def stop(self) -> None:
        """Ask it to finish (SIGTERM), as Ctrl-C would, and wait until it has ended."""
        self.ask_to_stop()
        if self._process.poll() is None:
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reader.join(STOP_TIMEOUT_S)

    def freeze(self) -> None:
        """Let it stand still (SIGSTOP): it is there, but does nothing and says nothing."""
        self._suspend(frozen=True)

    def thaw(self) -> None:
        """Let it go on where it stood (SIGCONT)."""
        self._suspend(frozen=False)

    def _suspend(self, *, frozen: bool) -> None:
        if self._process.poll() is not None:
            raise WorkerFailed(f"{self.name} has ended already.", remedy="Start a new worker.")
        process = psutil.Process(self.pid)
        thawed_at = time.time()  # taken before it may say anything more
        self._befalls("freeze" if frozen else "thaw")
        process.suspend() if frozen else process.resume()
        # The signal takes a moment; a second one sent meanwhile may overtake it.
        wait_until(
            lambda: (process.status() == psutil.STATUS_STOPPED) is frozen, 5.0, interval_s=0.005
        )
        self._frozen = frozen
        if frozen:
            self._add(Event.FROZEN)
        else:
            self._take(WorkerEvent(self.name, Event.THAWED, thawed_at))

    @property
    def failure(self) -> WorkerFailed | None:
        """Why it ended, if it did so in a way that nobody asked for."""
        if not self.tally(Event.FAILED, Event.ENDED):
            return None
        for event in self.events:
            if event.event is Event.FAILED:
                words = str(event.details.get("message", "it failed"))
                remedy = str(event.details.get("remedy", ""))
                return WorkerFailed(f"{self.name}: {words}", remedy=remedy)
            if event.event is Event.ENDED:
                said = "\n".join(self._unread) or "nothing"
                return WorkerFailed(
                    f"{self.name} ended with exit code {event.details['exit_code']}. "
                    f"Its last words:\n{said}",
                    remedy="`./qprocessor.py --help` in a terminal tells the flags.",
                )
        return None

    def pane(self) -> Pane:
        """How it looks now."""
        with self._lock:
            lines, told = list(self._lines), self._lines_told
        return Pane(self.name, self._state(), lines, told - len(lines))

    def _state(self) -> str:
        if self._frozen and self.is_running:
            state = "frozen"
        elif self._process.poll() is None:
            state = "running" if self.is_consuming else "starting"
        elif self._killed:
            state = "killed"
        else:
            state = "ended" if self._process.returncode == 0 else "failed"
            if self.tally(Event.CRASHING):
                state = "crashed"
        counts = [f"{self.tally(event)} {event}" for event in (Event.RECEIVED, Event.DONE)]
        for event in (Event.LOST, Event.ACKNOWLEDGED):
            if self.tally(event):
                counts.append(f"{self.tally(event)} {event}")
        return ", ".join([state, *counts])

    def _listen(self) -> None:
        """Read its lines until it has ended; runs in a thread of its own."""
        stdout: IO[bytes] | None = self._process.stdout
        assert stdout is not None
        with stdout:
            for raw in stdout:
                line = raw.decode("utf-8", "replace").rstrip()
                event = parse_line(line, worker=self.name, now=time.time())
                if event is not None:
                    self._take(event)
                elif line:
                    self._unread.append(line)
                    self._say(line)
        code = self._process.wait()
        told = self.tally(Event.FAILED, Event.CRASHING) > 0
        explained = told or self._killed or self._asked
        if code != 0 and not explained:
            self._add(Event.ENDED, exit_code=code)
        self._ended(self.pid)
        self._changed()

    def _add(self, event: Event, **details: object) -> None:
        self._take(WorkerEvent(self.name, event, time.time(), details=details))

    def _take(self, event: WorkerEvent) -> None:
        with self._lock:
            self._events.append(event)
            self._tally[event.event] += 1
            if event.event is Event.RECEIVED:
                self._held += 1
            elif event.event is Event.ACKNOWLEDGED:
                self._held -= 1
            elif event.event in GIVES_BACK:
                self._held = 0
        if event.event not in DETAILS:
            self._say(str(event))

    def _say(self, line: str) -> None:
        with self._lock:
            self._lines.append(line if len(line) <= LINE_LENGTH else line[:LINE_LENGTH] + "…")
            self._lines_told += 1
        self._changed()

    def _nobody_left(self) -> bool:
        return not self.is_running

    def _give_up(self, reached: str, *, nobody_left: bool) -> None:
        if (failure := self.failure) is not None:
            raise failure
        if nobody_left:
            raise WorkerFailed(
                f"{self.name} has ended ({reached}), so the rest will not happen.",
                remedy="Start a new worker.",
            )

    def _show_now(self) -> None:
        self._changed()

    def __repr__(self) -> str:
        return f"<worker {self.name}: {self._state()}>"
