"""A learner's desk: a notebook is opened on it, run by a real kernel, and looked at.

`Desk` holds what a kernel finds in its environment (where the broker is, a
`LABS_HOME` of its own) and an administrator's view of the broker, to see what a
notebook leaves behind. `Desk.open` gives a `Run`: cells run in order, the kernel
can be killed, values are fetched from the living kernel, outputs read as text.
What goes in is a notebook's name; values, words and pictures come out.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

import labs
from labs.broker import processes
from labs.broker.address import Address
from labs.broker.management import Management
from labs.waiting import wait_until

ROOT = Path(labs.__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
CELL_TIMEOUT_S = 120
NOBODY = "amqp://nobody:not-a-word@127.0.0.1:1/"
NO_POSTGRES = """
from labs.errors import NotPossibleHere
from labs.task_queue import local_postgres

def find_binaries():
    raise NotPossibleHere("There is no PostgreSQL here.", remedy="Install one.")

local_postgres.find_binaries = find_binaries
"""
"""Code that makes PostgreSQL one that is not installed."""
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def read(name: str) -> NotebookNode:
    """The notebook as it is in the checkout."""
    found: NotebookNode = nbformat.read(NOTEBOOKS / f"{name}.ipynb", nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    return found


@dataclass(frozen=True)
class Desk:
    """Where a learner sits: what a kernel's environment says, and whose broker it is."""

    home: Path
    """The desk's own `.labs`."""
    address: Address
    """The broker, as the learner reaches it."""
    administrator: Address = field(repr=False)
    """The same vhost for somebody who may ask the management API everything."""
    environment: Mapping[str, str] = field(repr=False)
    own_broker: bool
    """Whether the broker is the lab's own, so that a notebook may restart it."""

    @contextmanager
    def open(self, name: str) -> Iterator[Run]:
        """Open a notebook with a fresh kernel, which ends with the block."""
        notebook = read(name)
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT_S,
            kernel_name="python3",
            resources={"metadata": {"path": str(NOTEBOOKS)}},
        )
        with client.setup_kernel(env=dict(self.environment)):
            yield Run(notebook, client)

    @contextmanager
    def run(self, name: str) -> Iterator[Run]:
        """Open a notebook and run it top to bottom; its kernel lives on to be asked."""
        with self.open(name) as run:
            run.all()
            yield run

    def run_half_and_kill(self, name: str) -> None:
        """Run the first half of a notebook's code cells, then kill the kernel while a worker runs.

        What the worker holds, its queue and its process are there when the notebook runs again.
        """
        with self.open(name) as run:
            run.half()
            run.execute('left = lab.workers("orphan", queue=lab.fresh("orphaned"), durable=True)')
            run.kill()
        assert len(self.left_behind()) >= 2, "a queue and a process outlive the kernel"

    def left_behind(self) -> list[str]:
        """The queues in the vhost and the processes of this desk that are there now, in words."""
        with Management(self.administrator) as management:
            queues = [f"queue {q['name']}" for q in management.queues(self.address.vhost)]
        return queues + self.running()

    def running(self) -> list[str]:
        """The workers and the stores of this desk that run now, in words."""
        running = processes.carrying("LABS_HOME", str(self.home))
        # A lab's own broker has this environment too; whoever runs qprocessor.py is a worker.
        lines = [" ".join(process.cmdline()) for process in running if process.is_running()]
        ours = (".py", "postgres", "local_s3", "weed", "queue-service")
        return [f"process {line}" for line in lines if any(word in line for word in ours)]


class Run:
    """One kernel working through one notebook."""

    def __init__(self, notebook: NotebookNode, client: NotebookClient) -> None:
        self.notebook = notebook
        self._client = client
        self._next = 0

    def all(self) -> None:
        """Run the cells that are left. A cell that fails, fails the test, with its words."""
        self._to(len(self.notebook.cells))

    def half(self) -> None:
        """Run the first half of the code cells."""
        code = [i for i, cell in enumerate(self.notebook.cells) if cell.cell_type == "code"]
        self._to(code[len(code) // 2])

    def until(self, cell_id: str) -> None:
        """Run all cells that are left before this one."""
        self._to(self._index(cell_id))

    def kill(self) -> None:
        """Kill the kernel (SIGKILL): it says no goodbye to anybody."""
        pid = int(self.execute("import os\nprint(os.getpid())"))
        kernel = processes.ProcessId.of(pid)
        os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: kernel is None or kernel.process() is None, 10, what="the kernel to be gone"
        )

    def value(self, expression: str) -> Any:
        """What an expression is in the kernel now, by way of JSON."""
        return json.loads(self.execute(f"import json\nprint(json.dumps({expression}))"))

    def execute(self, code: str) -> str:
        """Run code of the test's own in the kernel; what it prints."""
        cell = nbformat.v4.new_code_cell(code)  # type: ignore[no-untyped-call]
        self.notebook.cells.append(cell)
        try:
            self._client.execute_cell(cell, len(self.notebook.cells) - 1, store_history=False)
        finally:
            self.notebook.cells.pop()
        return _words(cell)

    def failing(self, code: str) -> str:
        """Run code that is meant to fail; what then stands under the cell."""
        cell = nbformat.v4.new_code_cell(code)  # type: ignore[no-untyped-call]
        self.notebook.cells.append(cell)
        with pytest.raises(CellExecutionError):
            self._client.execute_cell(cell, len(self.notebook.cells) - 1, store_history=False)
        self.notebook.cells.pop()
        return _words(cell)

    def words(self, cell_id: str | None = None) -> str:
        """The text that a cell (or all together) shows, as a person reads it in a terminal."""
        if cell_id is not None:
            return _words(self.notebook.cells[self._index(cell_id)])
        return "\n".join(_words(cell) for cell in self.notebook.cells)

    def pictures(self, cell_id: str | None = None) -> list[str]:
        """The text alternatives of the SVG pictures that a cell (or all together) shows."""
        cells = self.notebook.cells
        if cell_id is not None:
            cells = [cells[self._index(cell_id)]]
        return [
            unescape(label)
            for output in _outputs(cells)
            for opening in re.findall(r"<svg\b[^>]*>", output.get("data", {}).get("text/html", ""))
            for label in re.findall(r'aria-label="([^"]*)"', opening)
        ]

    def errors(self) -> list[str]:
        """The names of the errors that stand under cells."""
        outputs = _outputs(self.notebook.cells)
        return [output.ename for output in outputs if output.output_type == "error"]

    def everything(self) -> str:
        """All outputs as they would be in the file."""
        return json.dumps([dict(output) for output in _outputs(self.notebook.cells)], default=str)

    def _to(self, end: int) -> None:
        while self._next < end:
            self._client.execute_cell(self.notebook.cells[self._next], self._next)
            self._next += 1

    def _index(self, cell_id: str) -> int:
        ids = [cell.id for cell in self.notebook.cells]
        assert cell_id in ids, f"no cell {cell_id!r} among {ids}"
        return ids.index(cell_id)


def assert_clean(run: Run, desk: Desk) -> None:
    """Nothing failed, no password is shown, no queue and no process is left behind."""
    assert run.errors() == []
    everything = run.everything()
    assert desk.address.password not in everything
    assert desk.address.url not in everything
    assert desk.left_behind() == []


def kernel_environment(home: Path, address: Address | None = None) -> dict[str, str]:
    """What a kernel of the lab has in its environment; an `address` is given as AMQP_URL."""
    foreign = ("AMQP_", "LABS_", "QUEUE", "DELAY")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name == "LABS_RABBITMQ" or not name.startswith(foreign)
    }
    programs = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([programs, environment.get("PATH", "")])
    environment["LABS_HOME"] = str(home)
    if address is not None:
        environment["AMQP_URL"] = address.url
    return environment


def _outputs(cells: list[NotebookNode]) -> list[NotebookNode]:
    return [output for cell in cells for output in cell.get("outputs", [])]


def _words(cell: NotebookNode) -> str:
    parts = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "error":
            parts.append("\n".join(output.traceback))
        else:
            parts.append(output.data.get("text/plain", ""))
    return ANSI.sub("", "\n".join(parts))
