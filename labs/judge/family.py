"""The processes of one program: its own, its children, and those that tried to get away.

They are found by the tree of processes, by the session, by a marker in the
environment that every child inherits, and by having been seen before. A stranger
that was given a dead one's id is none of them: a process is known by its start, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain

import psutil

from labs.broker.processes import lives
from labs.errors import WaitedTooLong
from labs.waiting import wait_until

MARKER = "LABS_TRIAL"
"""Each process of a trial has this in its environment."""
ROUNDS = 40
"""So often those born meanwhile are looked for, while the others are stopped or killed."""
ROUND_S = 0.05
STOPS_S = 0.2


class Family:
    """The processes of the program whose first one has the id `root`, and its session too.

    `root_is_there` tells whether that process has not been waited for yet: until then
    its id is its own.
    """

    def __init__(self, root: int, mark: str, root_is_there: Callable[[], bool]) -> None:
        self.root, self.mark = root, mark
        self._root_is_there = root_is_there
        self._known: dict[int, psutil.Process] = {}

    def living(self, *, thorough: bool = False) -> list[psutil.Process]:
        """Those that live now.

        `thorough`: those too that only their environment gives away; that takes longer.
        """
        found = {process.pid: process for process in self._those_known()}
        found |= {
            process.pid: process for process in self._of_session() if process.pid not in found
        }
        if thorough:
            found |= {process.pid: process for process in marked(self.mark)}
        children: dict[int, psutil.Process] = {}
        for process in list(found.values()):
            if process.pid in children:  # its own were found with it: each look is a long one
                continue
            with suppress(psutil.Error):
                children |= {child.pid: child for child in process.children(recursive=True)}
        found |= children
        self._known = {pid: p for pid, p in found.items() if pid != os.getpid() and lives(p)}
        return list(self._known.values())

    def suspend(self) -> None:
        """Stop them all (SIGSTOP), and wait a moment until the first one stands.

        Those that are known stand at once: to look for others takes long on a busy machine.
        """
        for process in chain(self._those_known(), self._and_those_born_meanwhile()):
            with suppress(psutil.Error):
                process.suspend()
        with suppress(WaitedTooLong, psutil.Error):  # a signal takes a moment to arrive
            wait_until(self._root_stands, STOPS_S, interval_s=0.001)

    def resume(self) -> None:
        """Let them all go on (SIGCONT)."""
        for process in self.living():
            with suppress(psutil.Error):
                process.resume()

    def kill(self) -> list[int]:
        """Kill them all; the ids of those that had left the session."""
        escaped: dict[int, None] = {}
        for _ in range(ROUNDS):
            living = self.living(thorough=True)
            if not living:
                break
            for process in living:
                with suppress(psutil.Error):
                    if process.pid != self.root and not self._in_session(process.pid):
                        escaped[process.pid] = None
                    process.kill()
            psutil.wait_procs([p for p in living if p.pid != self.root], timeout=ROUND_S)
            with suppress(WaitedTooLong):  # the first one is waited for by who started it
                wait_until(lambda: not self._root_is_there(), ROUND_S, interval_s=0.005)
        return list(escaped)

    def cpu_s(self) -> float:
        """The CPU time that they have used, in seconds."""
        used = 0.0
        for process in self.living():
            with suppress(psutil.Error):
                times = process.cpu_times()
                used += times.user + times.system
        return used

    def peers(self) -> list[str]:
        """Where they are connected to, as `host:port`; not to themselves."""
        found = []
        for process in self.living():
            with suppress(psutil.Error):
                found += [one for one in process.net_connections(kind="tcp") if one.raddr]
        own = {one.laddr for one in found}
        there = (one.raddr for one in found if one.status == psutil.CONN_ESTABLISHED)
        return sorted({f"{peer.ip}:{peer.port}" for peer in there if peer not in own})

    def _of_session(self) -> Iterator[psutil.Process]:
        if not self._root_is_there() and psutil.pid_exists(self.root):
            return  # the id was given to a stranger, who has a session of that number now
        for pid in psutil.pids():
            if self._in_session(pid):
                with suppress(psutil.Error):
                    yield psutil.Process(pid)

    def _those_known(self) -> list[psutil.Process]:
        known = list(self._known.values())
        if self._root_is_there():
            with suppress(psutil.Error):
                known.insert(0, psutil.Process(self.root))
        return known

    def _and_those_born_meanwhile(self) -> Iterator[psutil.Process]:
        seen: set[int] = set()
        living = self.living()
        for _ in range(ROUNDS):
            new = [process for process in living if process.pid not in seen]
            if not new:
                return
            yield from new
            seen.update(process.pid for process in new)
            if len(living) > 1:
                living = self.living()

    def _in_session(self, pid: int) -> bool:
        try:
            return os.getsid(pid) == self.root
        except OSError:
            return False

    def _root_stands(self) -> bool:
        return psutil.Process(self.root).status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)


def marked(mark: str) -> list[psutil.Process]:
    """The living processes whose marker is `mark`, or begins with it and a slash."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # gone meanwhile, or another user's
            value = process.environ().get(MARKER, "") if process.pid != os.getpid() else ""
            if value == mark or value.startswith(f"{mark}/"):
                found.append(process)
    return found
