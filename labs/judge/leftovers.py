"""What a check makes outside its own process, noted so that the next one can clean up after it.

Each running check has one small file in `.labs/judge/`, which names the judge's
process (by id and start time), the mark of its programs, and the vhosts, queues and
folders that it made. A check that ends removes them and the file; one that was
killed leaves the file, and the next check removes what it names. Nothing else is
ever touched.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labs.broker.files import read_json, write_private
from labs.broker.processes import ProcessId
from labs.broker.state import labs_home


class Note:
    """The file of one check; `add` before making something, `remove` after it is gone."""

    def __init__(self, mark: str, broker: str, folder: Path | None = None) -> None:
        me = ProcessId.of(os.getpid())
        self._path = (folder or notes_folder()) / f"{mark}.json"
        self._lock = threading.Lock()
        self._known: dict[str, Any] = {
            "judge": asdict(me) if me else None,
            "mark": mark,
            "broker": broker,
        }

    def add(self, kind: str, name: str) -> None:
        """Remember that this is about to be made."""
        with self._lock:
            self._known.setdefault(kind, []).append(name)
            self._write()

    def remove(self, kind: str, name: str) -> None:
        """It is gone."""
        with self._lock:
            self._known[kind].remove(name)
            self._write()

    def forget(self) -> None:
        """Nothing is left of the check; what could not be removed stays noted."""
        with self._lock:
            if not any(isinstance(value, list) and value for value in self._known.values()):
                self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        write_private(self._path, json.dumps(self._known))


def notes_folder() -> Path:
    """Where the notes of running checks are."""
    return labs_home() / "judge"


def left_by_killed_checks() -> Sequence[tuple[Path, Mapping[str, Any]]]:
    """The notes whose check is not running any more, and what they say."""
    left = []
    for path in sorted(notes_folder().glob("*.json")):
        said = read_json(path)
        try:
            judge = ProcessId(**said["judge"])
        except (KeyError, TypeError):
            path.unlink(missing_ok=True)  # half a note: it names nobody
            continue
        if judge.process() is None:
            left.append((path, said))
    return left


def remove_folders(said: Mapping[str, Any]) -> None:
    """Delete the folders that the note names."""
    for folder in said.get("folders", []):
        shutil.rmtree(folder, ignore_errors=True)


def keep_for_later(path: Path, said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Note only what is left on the broker: another one may be in use for long, or for ever."""
    left = {key: value for key, value in said.items() if key not in ("mark", "folders")}
    write_private(path, json.dumps(left))
    return left
