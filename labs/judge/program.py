"""A learner's program as a process: started unchanged, listened to, killed with all its children.

The judge's only user of subprocesses. The program runs in a session of its own, with
the judge's variables added to the environment and PYTHONUNBUFFERED taken out of it.
What it prints goes to the journal, a `line` event a line, in the order of reading:
`drain` reads without waiting, from any thread, so that whoever is about to record a
frame can first record what was printed before it.

What is done to it (kill, freeze, thaw) is done to its whole family of processes.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from labs.errors import BadInput
from labs.journal import Event, Journal
from labs.judge.family import MARKER, Family

LINES_KEPT, LINE_LENGTH_KEPT = 20_000, 2_000
BYTES_READ = 8_000_000
"""What prints more lines or bytes than these is flooding; it is read on, and forgotten."""
PROCESSES_ALLOWED = 64
STDERR_LINES, STDERR_LINE_LENGTH = 40, 500
CHUNK_B, CHUNKS_AT_ONCE = 65_536, 16
TICK_S = 0.05
LOOK_EVERY = 20  # ticks: once a second
STOP_TIMEOUT_S = 5.0


class CannotStart(BadInput):
    """Raised when the learner's command can't be run at all: no such file, no permission."""


class Program:
    """One run of one copy. Use it once: a copy that is started again is a new Program."""

    def __init__(
        self,
        command: Sequence[str],
        copy: str,
        environment: Mapping[str, str],
        journal: Journal,
        *,
        mark: str,
        cwd: Path | None = None,
        reads_input: bool = False,
        secret: str = "",
    ) -> None:
        self.command, self.copy = tuple(command), copy
        self._secret = secret
        self.mark = mark
        self.flooded = self.forked = False
        self.lines = self.bytes = 0
        self._environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        self._environment |= {**environment, MARKER: mark}
        self._journal, self._cwd, self._reads_input = journal, cwd, reads_input
        self._process: subprocess.Popen[bytes] | None = None
        self._family: Family | None = None
        self._lock = threading.Lock()
        self._rest = b""
        self._over = self._asked = self._closing = False
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._stderr_rest = b""
        self._gone = threading.Event()
        self._listener = threading.Thread(target=self._listen, name=f"labs-{copy}", daemon=True)

    # --- Its life --------------------------------------------------------------------------

    def start(self) -> None:
        """Start the command.

        Raises:
            CannotStart: there is no such program, or it may not be run; with a remedy.
        """
        try:
            self._process = subprocess.Popen(
                self.command,
                env=self._environment,
                cwd=self._cwd,
                stdin=subprocess.PIPE if self._reads_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # a Ctrl-C at the terminal is the judge's business
            )
        except (OSError, ValueError, IndexError) as error:
            raise cannot_start(self.command, self._cwd, error) from error
        self._family = Family(self.pid, self.mark, lambda: not self._gone.is_set())
        for pipe in (self._out, self._err):
            os.set_blocking(pipe.fileno(), False)
        data = {"pid": self.pid, "command": list(self.command)}
        self._journal.append("started", copy=self.copy, data=data)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The id of its first process, which is its session's too."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Whether its first process is there, or its last words are still being read."""
        return self._process is not None and not self._gone.is_set()

    @property
    def status(self) -> int | None:
        """Its exit code; negative: the signal that ended it; None while it runs."""
        return self._process.returncode if self._process else None

    @property
    def stderr_tail(self) -> str:
        """The last lines that it wrote on standard error."""
        return "\n".join(self._stderr)

    def wait_until_exited(self, timeout_s: float) -> bool:
        """Wait for its end; whether it came within `timeout_s` seconds."""
        return self._process is None or self._gone.wait(timeout_s)

    # --- What it reads and prints ----------------------------------------------------------

    def write_line(self, text: str, end: str = "\n") -> None:
        """Write a line to its standard input; one that nobody reads any more is lost."""
        pipe = self._popen.stdin
        assert pipe is not None, "only a producer is given input"
        self._journal.append("input", copy=self.copy, data={"text": text})
        with suppress(OSError, ValueError):  # it has ended, or closed its input
            pipe.write((text + end).encode())

    def close_input(self) -> None:
        """End its standard input."""
        if (pipe := self._popen.stdin) is not None and not pipe.closed:
            self._journal.append("note", "end-of-input", copy=self.copy)
            with suppress(OSError):
                pipe.close()

    def drain(self) -> None:
        """Record what it has printed up to now; from any thread, without waiting."""
        with self._lock:
            for _ in range(CHUNKS_AT_ONCE):
                if self._over or self._process is None:
                    return
                try:
                    read = os.read(self._out.fileno(), CHUNK_B)
                except BlockingIOError:
                    return
                self._over = not read
                self._take(read)

    def _take(self, read: bytes) -> None:
        self.bytes += len(read)
        *whole, self._rest = (self._rest + read).split(b"\n")
        for line in whole:
            self._say(line)
        if len(self._rest) > CHUNK_B:  # a line without end
            self._rest = self._rest[:CHUNK_B]
        if self._over and self._rest:
            self._say(self._rest, partial=True)
            self._rest = b""
        if self.bytes > BYTES_READ or self.lines > LINES_KEPT:
            self.flooded = True

    def _say(self, line: bytes, *, partial: bool = False) -> None:
        self.lines += 1
        if self.lines > LINES_KEPT:
            return
        data: dict[str, Any] = {"text": self._text(line)[:LINE_LENGTH_KEPT]}
        if partial:
            data["partial"] = True
        self._journal.append("line", copy=self.copy, data=data)

    def _text(self, line: bytes) -> str:
        """A line as text, without the password, which a program may print with its URL."""
        text = line.decode("utf-8", "replace")
        return text.replace(self._secret, "…") if self._secret else text

    def _listen(self) -> None:
        """Read both outputs until both have ended or nobody wants to know any more."""
        poll, open_pipes = select.poll(), {self._out.fileno(), self._err.fileno()}
        for descriptor in open_pipes:
            poll.register(descriptor, select.POLLIN)
        ticks = 0
        while not self._closing and (open_pipes or not self._gone.is_set()):
            for descriptor, _ in poll.poll(TICK_S * 1000):
                if descriptor == self._out.fileno():
                    self.drain()
                    ended = self._over
                else:
                    ended = self._read_stderr()
                if ended:
                    poll.unregister(descriptor)
                    open_pipes.discard(descriptor)
            ticks += 1
            if ticks % LOOK_EVERY == 1:
                self._look()
            self._notice_end()
        self._notice_end()

    def _notice_end(self) -> None:
        if self._gone.is_set() or self._popen.poll() is None:
            return
        self.drain()
        self._read_stderr()
        data = {"status": self._popen.returncode, "asked": self._asked}
        self._journal.append("exited", copy=self.copy, data=data)
        self._gone.set()

    def _read_stderr(self) -> bool:
        """Keep the last lines; whether standard error has ended."""
        try:
            read = os.read(self._err.fileno(), CHUNK_B)
        except BlockingIOError:
            return False
        *whole, rest = (self._stderr_rest + read).split(b"\n")
        self._stderr_rest = rest[-CHUNK_B:]
        if not read and self._stderr_rest:
            whole, self._stderr_rest = [self._stderr_rest], b""
        self._stderr.extend(self._text(line).rstrip("\r")[:STDERR_LINE_LENGTH] for line in whole)
        return not read

    # --- What is done to it ----------------------------------------------------------------

    def freeze(self, data: Mapping[str, Any] | None = None) -> Event:
        """Stop all its processes (SIGSTOP); what was printed before stands before the signal."""
        self.pause()
        return self._journal.append("signal", "freeze", copy=self.copy, data=data)

    def pause(self) -> None:
        """Stop all its processes, record what they had printed, and tell nobody."""
        if self._family:
            self._family.suspend()
        self.drain()

    def resume(self) -> None:
        """Let all its processes go on, and tell nobody."""
        if self._family:
            self._family.resume()

    def thaw(self) -> Event:
        """Let all its processes go on (SIGCONT)."""
        event = self._journal.append("signal", "thaw", copy=self.copy)
        self.resume()
        return event

    def kill(self, data: Mapping[str, Any] | None = None) -> list[int]:
        """Kill all its processes at once (SIGKILL), and wait until they are gone.

        Returns the ids of children that had escaped its session, and were killed too.
        """
        self.pause()
        self._asked = True
        self._journal.append("signal", "kill", copy=self.copy, data=data)
        return self._kill_family()

    def ask_to_end(self) -> None:
        """Ask it to end: SIGTERM, to its whole group, as Ctrl-C goes to it too."""
        if self.is_running:
            self._asked = True
            self._journal.append("signal", "terminate", copy=self.copy)
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGTERM)

    def end(self) -> list[int]:
        """See to it that nothing of it is left; the ids of those that had outlived it."""
        if self._process is None:
            return []
        self._asked = True
        escaped = self._kill_family()
        self._closing = True
        self._listener.join(2.0)
        for pipe in (self._popen.stdin, self._out, self._err):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        return escaped

    def _kill_family(self) -> list[int]:
        escaped = self._family.kill() if self._family else []
        self.wait_until_exited(STOP_TIMEOUT_S)
        return escaped

    # --- Its processes ---------------------------------------------------------------------

    def cpu_s(self) -> float:
        """The CPU time that its living processes have used, in seconds."""
        return self._family.cpu_s() if self._family else 0.0

    def peers(self) -> list[str]:
        """Where its processes are connected to, as `host:port`."""
        return self._family.peers() if self._family else []

    def processes(self) -> int:
        """How many processes it has."""
        return len(self._family.living()) if self._family else 0

    def _look(self) -> None:
        """Know the children, so that they are found when their parent is gone; count them."""
        if self.processes() > PROCESSES_ALLOWED:
            self.forked = True

    @property
    def _popen(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the program has not been started"
        return self._process

    @property
    def _out(self) -> IO[bytes]:
        assert self._popen.stdout is not None
        return self._popen.stdout

    @property
    def _err(self) -> IO[bytes]:
        assert self._popen.stderr is not None
        return self._popen.stderr


def cannot_start(command: Sequence[str], cwd: Path | None, error: Exception) -> CannotStart:
    """Why the operating system does not run the command, in words."""
    name = command[0] if command else ""
    file = (cwd or Path()) / name
    is_file = "/" in name and file.is_file()
    if not name:
        return CannotStart(
            "No command was given.", remedy="Write it after --, such as -- python my.py"
        )
    if isinstance(error, PermissionError):
        if file.is_dir():
            return CannotStart(f"{name} is a folder, no program.", remedy="Name the file in it.")
        return CannotStart(
            f"{name} may not be executed.",
            remedy=f"Run chmod +x {name}, or name what runs it: python {name}",
        )
    if isinstance(error, FileNotFoundError) and is_file:
        return CannotStart(
            f"{name} is there, but the program named in its first line (#!) is not.",
            remedy=f"Mend that line, or name what runs it: python {name}",
        )
    if isinstance(error, FileNotFoundError):
        where = f"no file {name}" if "/" in name else f"no program {name} on the PATH"
        return CannotStart(
            f"The command can't be started: there is {where}.",
            remedy="Look at the spelling and at the folder that you are in.",
        )
    if is_file:  # no #! line: "Exec format error"
        return CannotStart(
            f"{name} is nothing that this machine can run by itself.",
            remedy=f"Name what runs it: python {name}; or begin it with #!/usr/bin/env python3",
        )
    return CannotStart(f"The command can't be started: {error}.", remedy="Look at its spelling.")
