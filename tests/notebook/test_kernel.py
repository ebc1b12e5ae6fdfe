"""In a real kernel: what is alive ends in the file, errors are sentences, nothing outlives it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from labs.broker.address import Address
from labs.broker.processes import lives
from tests.support import wait_until

Cell = Any  # nbformat's cells are dictionaries with attributes

BEGIN = """
import pika
from labs.notebook import Lab
lab = Lab("in-a-kernel")
"""
SHARE = """
queue = lab.fresh("work")
with lab.watch(queue) as watch, lab.workers(2, queue=queue, delay=0.01) as workers:
    lab.timeline(workers, live=True)
    lab.plot(watch, live=True)
    with pika.BlockingConnection(pika.URLParameters(lab.url)) as connection:
        channel = connection.channel()
        for number in range(6):
            channel.basic_publish("", queue, f"m{number}".encode())
    workers.wait_until_done(6)
"""


@pytest.fixture
def checkout_on_path(vhost: Address, labs_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that start from now on see this checkout and the test's broker."""
    assert labs_home
    monkeypatch.setenv("AMQP_URL", vhost.url)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def run(*sources: str) -> list[Cell]:
    """Run these cells from top to bottom in a new kernel, errors and all."""
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    for source in sources:
        cell = nbformat.v4.new_code_cell(source.strip())  # type: ignore[no-untyped-call]
        notebook.cells.append(cell)
    NotebookClient(notebook, timeout=60, allow_errors=True, kernel_name="python3").execute()
    return list(notebook.cells)


def shown(cell: Cell) -> str:
    """All that a cell shows, as text."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "error":
            parts.append("\n".join(output.traceback))
        else:
            parts.append(output.data.get("text/plain", ""))
    return "\n".join(parts)


@pytest.mark.usefixtures("checkout_on_path")
def test_the_last_state_of_what_was_alive_stays_in_the_file() -> None:
    begin, share, clean_up = run(BEGIN, SHARE, "lab.clean_up()")
    assert "RabbitMQ" in shown(begin)
    panes, timeline, plot = share.outputs[:3]  # then how far the waiting is, if it takes long
    assert "alice (ended, 3 received, 3 done)" in panes.data["text/plain"]
    assert "Done m4" in panes.data["text/html"]
    assert "alice: done 3 (m0, m2, m4); stopped at" in timeline.data["text/plain"]
    assert timeline.data["image/svg+xml"].startswith("<svg")
    assert "Consumers: at most 2, 0 at the end." in plot.data["text/plain"]
    assert "queue work deleted" in shown(clean_up)


@pytest.mark.usefixtures("checkout_on_path")
def test_an_error_is_a_sentence_with_its_line_and_the_cell_still_fails() -> None:
    begin, refused, unknown, own, other = run(
        BEGIN,
        "def connect():\n    pika.BlockingConnection(pika.ConnectionParameters(port=1))\nconnect()",
        "%tb",
        "lab.workers(queue='work', no_such_flag=1)",
        "{}['missing']",
    )
    assert not [output for output in begin.outputs if output.output_type == "error"]
    for cell in (refused, own, other):
        assert [o for o in cell.outputs if o.output_type == "error"], cell.source
    assert "at line 2:  pika.BlockingConnection" in shown(refused)
    assert "What to do:" in shown(refused)
    assert "blocking_connection.py" not in shown(refused)
    assert "blocking_connection.py" in shown(unknown)
    assert "No such option" in shown(own)
    assert "worker.py" not in shown(own)
    assert "KeyError" in shown(other)


@pytest.fixture
def kernel(checkout_on_path: None) -> Iterator[KernelManager]:
    """A kernel that the test may kill."""
    assert checkout_on_path is None
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=dict(os.environ))
    yield manager
    manager.shutdown_kernel(now=True)


def begin_work(kernel: KernelManager) -> list[psutil.Process]:
    """Start a worker in the kernel, outside any `with`; return the kernel's process and its."""
    client = kernel.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    said: list[str] = []
    code = BEGIN + (
        "import os\nleft = lab.workers(queue=lab.fresh('work'))\n"
        "print('pids', os.getpid(), left['alice'].pid)"
    )

    def listen(message: dict[str, Any]) -> None:
        said.append(str(message["content"].get("text", "")))

    client.execute_interactive(code, timeout=60, output_hook=listen)
    client.stop_channels()
    return [psutil.Process(int(pid)) for pid in "".join(said).split("pids")[1].split()]


def test_workers_die_with_their_kernel(kernel: KernelManager) -> None:
    _, worker = begin_work(kernel)
    kernel.shutdown_kernel()
    wait_until(lambda: not lives(worker), 30)


def test_after_a_killed_kernel_the_next_run_ends_what_it_left(kernel: KernelManager) -> None:
    its_process, worker = begin_work(kernel)
    its_process.kill()
    wait_until(lambda: not lives(its_process), 30)
    assert lives(worker)
    (begin,) = run(BEGIN)
    assert "1 worker stopped, queue work deleted" in shown(begin)
    assert not lives(worker)
