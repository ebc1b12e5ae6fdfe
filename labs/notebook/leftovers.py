"""What the notebooks leave outside their kernels, noted so that the next run can clean it up.

Each running worker has a small file in `.labs/workers/` that names the worker's
process and the kernel's, each by id and start time: ids are used again, the two
together are not. A kernel that is killed leaves its files; the next notebook
reads them and ends what they name. Nothing else is ever ended. The queues that
a notebook used stand in `.labs/notebook-queues.json`, by broker and notebook.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from labs.broker.files import read_json, write_private
from labs.broker.processes import ProcessId, kill


class WorkerNotes:
    """The folder of notes, one for each running worker of any notebook."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._me = ProcessId.of(os.getpid())

    def note(self, pid: int, notebook: str) -> None:
        """Remember a worker that this kernel has just started."""
        worker = ProcessId.of(pid)
        if worker is None or self._me is None:
            return  # it has ended already: nothing to remember
        note = {"notebook": notebook, "worker": asdict(worker), "kernel": asdict(self._me)}
        write_private(self._path(pid), json.dumps(note))

    def forget(self, pid: int) -> None:
        """The worker has ended."""
        self._path(pid).unlink(missing_ok=True)

    def end_left_behind(self, notebook: str) -> int:
        """End workers whose kernel is gone, and this kernel's own of `notebook`; say how many."""
        ended = 0
        for path in sorted(self.folder.glob("*.json")):
            note = read_json(path)
            worker, kernel = _process_id(note.get("worker")), _process_id(note.get("kernel"))
            ours = kernel == self._me and note.get("notebook") == notebook
            if kernel is not None and kernel.process() is not None and not ours:
                continue  # another notebook, alive: its workers are its own
            process = worker.process() if worker else None
            if process is not None:
                kill([process])
                ended += 1
            path.unlink(missing_ok=True)
        return ended

    def _path(self, pid: int) -> Path:
        return self.folder / f"{pid}.json"


class QueueNotes:
    """The queues that one notebook has used on one broker."""

    def __init__(self, path: Path, broker: str, notebook: str) -> None:
        self._path, self._broker, self._notebook = path, broker, notebook

    def noted(self) -> list[str]:
        """Their names."""
        names = read_json(self._path).get(self._broker, {}).get(self._notebook, [])
        return [str(name) for name in names]

    def note(self, queue: str) -> None:
        """Remember a queue."""
        if queue not in self.noted():
            self._write([*self.noted(), queue])

    def forget(self) -> None:
        """They are gone."""
        if self.noted():
            self._write([])

    def _write(self, names: list[str]) -> None:
        everything = read_json(self._path)
        everything.setdefault(self._broker, {})[self._notebook] = names
        write_private(self._path, json.dumps(everything, indent=1))


def _process_id(note: object) -> ProcessId | None:
    try:
        return ProcessId(int(note["pid"]), float(note["started"]))  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        return None  # half a note: it names nobody
