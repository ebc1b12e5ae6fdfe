"""A worker that runs scripts of one folder, each task a process of this machine.

A body names a script, `{"file_name": "resize.py", "args": ["cat.png"]}`, or a whole command,
`{"command": ["resize.py", "cat.png"]}`, whose first word is a script of the folder or one of the
`programs` that are allowed. What lies outside of the folder is not run, by whatever path or link.
The exit code is the verdict: 0 is success, all else is failure, whatever was written. Each job
has a keeper (`keeper`) and a folder in `state` (`process_run`), so jobs go on when the controller
dies, and the next one with the same `state` finds them. Finished ones' output is kept there.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, Field

from labs.errors import BadInput
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import LONGEST_DELAY_S, Json, admitted_count, admitted_number
from labs.task_queue.workers.base import JobRefused, Report, WorkerUnreachable
from labs.task_queue.workers.process_run import Run

TIMEOUT_S = 24 * 3600.0
OUTPUT_LIMIT = 1_000_000
"""Bytes of a job's output that are kept: the last ones."""
ENDED_KEPT = 1000
"""So many finished jobs' folders are kept."""


class Script(BaseModel):
    """A body that names a script. Other keys are somebody else's, as `resources`."""

    file_name: str
    args: list[str] | None = None

    @property
    def words(self) -> list[str]:
        """The command as words."""
        return [self.file_name, *(self.args or [])]


class Command(BaseModel):
    """A body that gives a whole command."""

    command: list[str] = Field(min_length=1)

    @property
    def words(self) -> list[str]:
        """The command as words."""
        return self.command


class ProcessWorker:
    """Runs the scripts of a folder.

    Args:
        path_to_scripts: the folder; jobs run in it.
        state: where jobs are kept in mind, on this machine. None: `.jobs` in the folder.
        timeout_s: a job that takes longer is ended, with all of its process group.
        output_limit: bytes of a job's output that are kept, the last ones.
        programs: names of programs that may be run though they lie elsewhere, such as `convert`.

    Raises:
        BadInput: there is no such folder, or the state can't be written.
        BadTask: a number can't be meant.
    """

    def __init__(
        self,
        path_to_scripts: str | Path,
        *,
        state: str | Path | None = None,
        timeout_s: float = TIMEOUT_S,
        output_limit: int = OUTPUT_LIMIT,
        programs: Collection[str] = (),
    ) -> None:
        self._folder = Path(path_to_scripts).resolve()
        if not self._folder.is_dir():
            raise BadInput(
                f"There is no folder {path_to_scripts} with scripts.",
                remedy="Make it, or give the path of another.",
            )
        self._state = Path(state).resolve() if state is not None else self._folder / ".jobs"
        self._timeout_s = admitted_number(timeout_s, "timeout_s", 0.001, LONGEST_DELAY_S)
        self._output_limit = admitted_count(output_limit, "output_limit", 2)
        self._programs = frozenset(programs)
        self._runs: dict[str, Run] = {}

    @property
    def backend(self) -> str:
        """Named by what is written in the state's folder, and goes where that goes."""
        file = self._state / "id"
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                return file.read_text()
            half = self._state / f"id.{secrets.token_hex(4)}"
            half.write_text(f"processes-{secrets.token_hex(8)}")
            with suppress(FileExistsError):  # somebody was quicker: theirs counts
                file.hardlink_to(half)
            half.unlink()
            return file.read_text()
        except OSError as error:
            raise BadInput(
                f"The jobs can't be kept in mind in {self._state}: {error.strerror}.",
                remedy="Give `state` as a folder that can be written.",
            ) from error

    def take_up(self, sent: Collection[str], doubtful: Collection[str]) -> None:
        """Find the jobs of an earlier life; see `workers.base.Restartable`."""
        folders = self._state / "runs"
        newest: dict[str, Path] = {}
        for folder in sorted(folders.iterdir(), key=_began) if folders.is_dir() else []:
            newest[folder.name.partition("-")[0]] = folder
        for id_ in (*sent, *doubtful):
            if id_ not in self._runs and (found := newest.get(_digest(id_))):
                run = Run(found)
                if id_ in sent or run.was_started:
                    self._runs[id_] = run
                else:
                    shutil.rmtree(found, ignore_errors=True)

    def send_job(self, queue_item_id: str, queue_item_body: Json, /) -> None:
        """Start a process.

        Raises:
            ValidationError: the body says not what to run.
            JobRefused: it can't be run.
            WorkerUnreachable: the machine has no process, or no room, to spare.
        """
        kind = (
            Command
            if isinstance(queue_item_body, dict) and "command" in queue_item_body
            else Script
        )
        command = self._command(kind.model_validate(queue_item_body).words)
        if queue_item_id in self._runs:
            raise JobRefused(
                f"The job {queue_item_id!r:.80} is here already.", remedy="Delete it first."
            )
        run = Run(self._state / "runs" / f"{_digest(queue_item_id)}-{time.time_ns()}")
        try:
            run.start(
                command,
                working_folder=self._folder,
                environment=_environment(queue_item_id),
                timeout_s=self._timeout_s,
                output_limit=self._output_limit,
            )
        except OSError as error:
            shutil.rmtree(run.folder, ignore_errors=True)
            raise WorkerUnreachable(
                f"No process can be started at present: {error.strerror}.",
                remedy=f"Make room, or end others. The jobs' folder is {self._state}.",
            ) from error
        self._runs[queue_item_id] = run

    def poll_all_status(self) -> dict[str, Stage]:
        """How the jobs stand."""
        return {id_: run.stage for id_, run in self._runs.items()}

    def explain(self, queue_item_id: str, /) -> Report:
        """The exit code, and the last of the output, as result or reason."""
        return self._runs[queue_item_id].report()

    def delete_job(self, queue_item_id: str, /) -> None:
        """Forget a job, and end it if it runs; its output is kept.

        Raises:
            WorkerUnreachable: it can't be ended.
        """
        if run := self._runs.get(queue_item_id):
            run.end()
            del self._runs[queue_item_id]
            ended = self._state / "ended"
            ended.mkdir(exist_ok=True)
            with suppress(OSError):  # moved already, by another controller of this state
                run.folder.rename(ended / run.folder.name)
            for oldest in sorted(ended.iterdir(), key=_began)[:-ENDED_KEPT]:
                shutil.rmtree(oldest, ignore_errors=True)

    def output(self, queue_item_id: str) -> Path | None:
        """The file with the last of a job's output, also when it is deleted; None: not any more."""
        if queue_item_id in self._runs:
            return self._runs[queue_item_id].folder / "output"
        found = (self._state / "ended").glob(f"{_digest(queue_item_id)}-*")
        newest = max(found, key=_began, default=None)
        return newest / "output" if newest else None

    def _command(self, words: list[str]) -> list[str]:
        if not all(map(_can_be_given, words)):
            raise JobRefused(
                "A word of the command can't be given to a program.",
                remedy="Leave out what is no text (NUL, half characters).",
            )
        name, *arguments = words
        if name in self._programs:
            return words
        path = self._script(name)
        if path.suffix == ".py":
            return [sys.executable, str(path), *arguments]
        if not os.access(path, os.X_OK):
            raise JobRefused(
                f"{name!r:.200} is no program.", remedy="Name it *.py, or make it executable."
            )
        return [str(path), *arguments]

    def _script(self, name: str) -> Path:
        try:
            path = (self._folder / name).resolve()
            inside = path.is_relative_to(self._folder) and not path.is_relative_to(self._state)
            if inside and path.is_file():
                return path
        except (OSError, RuntimeError):  # too long a name, a loop of links
            inside = True
        if inside:
            raise JobRefused(
                f"There is no script {name!r:.200} in the folder.", remedy="Is its name right?"
            )
        raise JobRefused(
            f"The script {name!r:.200} lies outside of the folder, and is not run.",
            remedy="Put it into the folder; a link that leads out of it won't do.",
        )


ProcessQueueWorker = ProcessWorker
"""The known name."""


def _digest(id_: str) -> str:
    return hashlib.sha256(id_.encode()).hexdigest()[:40]


def _began(folder: Path) -> str:
    return folder.name.partition("-")[2].zfill(20)


def _can_be_given(word: str) -> bool:
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        return False


def _environment(id_: str) -> Mapping[str, str]:
    return {} if "\0" in id_ else {"TASK_ID": id_}
