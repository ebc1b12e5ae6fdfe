"""`docker compose --profile task-queue up`: a server and a controller, on PostgreSQL or on S3."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs.broker import compose
from labs.task_queue.client import ApiClient
from labs.task_queue.errors import Unauthorised
from labs.task_queue.stages import Stage
from tests.docker.containers import Lab
from tests.docker.images import docker
from tests.support import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first time, all of pip's packages

QUEUE = ("task-queue-server", "task-queue-controller")
SERVICES = ("postgres", "s3", *QUEUE)
LONG = """\
import pathlib, time
print("begun", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.05)
print("ended")
"""
SHOW = ("sh", "container/task-queue/start", "show")


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder of the test's own, which the controller sees."""
    folder = tmp_path / "scripts"
    folder.mkdir(mode=0o755)
    (folder / "hello.py").write_text("import sys\nprint('Hello', *sys.argv[1:])\n")
    (folder / "long.py").write_text(LONG)
    return folder


@pytest.fixture
def lab(
    tmp_path: Path, scripts: Path, python_image: str, postgres_image: str, seaweedfs_image: str
) -> Iterator[Lab]:
    settings = {
        "PYTHON_IMAGE": python_image,
        "POSTGRES_IMAGE": postgres_image,
        "SEAWEEDFS_IMAGE": seaweedfs_image,
        "TASK_QUEUE_SCRIPTS": str(scripts),
        "POSTGRES_PORT": None,
        "S3_PORT": None,
        "TASK_QUEUE_PORT": None,
    }
    root = tmp_path / "a checkout"
    with Lab(root, settings, profile="task-queue", services=SERVICES) as made:
        yield made


def test_a_task_is_run_to_its_end_through_restarts_on_postgresql_and_on_s3(
    lab: Lab, scripts: Path
) -> None:
    lab.up(*QUEUE)
    address, token = lab.address("TASK_QUEUE_PORT"), lab.setting("TASK_QUEUE_TOKEN")
    with ApiClient(address, token=token) as queue:
        queue.put({"hello": {"file_name": "hello.py", "args": ["Ada"]}})
        queue.put({"long": {"file_name": "long.py"}})
        wait_until(lambda: queue.lookup_status("long") is Stage.PROCESSING, 60, what="its start")
        lab.compose("restart", "postgres")
        restarted_while_it_runs(lab, scripts)
        assert outcome(queue, "hello") == (Stage.SUCCESS, "Hello Ada")
        assert outcome(queue, "long") == (Stage.SUCCESS, "begun\nended")
    with ApiClient(address) as stranger, pytest.raises(Unauthorised):
        stranger.sizes()
    lab.keeps_to_itself()

    lab.stops()
    lab.set("QUEUE_IMPLEMENTATION", "s3-json")
    lab.up_again(f"http://{address}/api/v1/queue/health")

    on_postgresql = ("exec", "--env", "QUEUE_IMPLEMENTATION=sql-json")
    server = lab.container("task-queue-server")
    assert "Hello Ada" in docker(*on_postgresql, server, *SHOW, "hello")
    with ApiClient(address, token=token) as queue:
        assert sum(queue.sizes().values()) == 0, "these are kept apart"
        queue.put({"stored": {"file_name": "hello.py", "args": ["S3"]}})
        assert outcome(queue, "stored") == (Stage.SUCCESS, "Hello S3")
        lab.compose("restart", "s3")
        assert outcome(queue, "stored") == (Stage.SUCCESS, "Hello S3")


def restarted_while_it_runs(lab: Lab, scripts: Path) -> None:
    """Restart the controller: its job, which runs, is waited for, and lost by nobody."""
    restart = [*compose.command(), *lab.words, "restart", "task-queue-controller"]
    asked = subprocess.Popen(restart, cwd=lab.root)
    try:
        controller = lab.container("task-queue-controller")
        wait_until(lambda: "Stopped" in docker("logs", controller), 60, what="the controller's end")
    finally:
        (scripts / "go").touch()
        assert asked.wait(120) == 0


def outcome(queue: ApiClient, id_: str) -> tuple[Stage, str]:
    """How a task has ended, and what its script wrote, or why it failed."""

    def ended() -> bool:
        return queue.lookup_status(id_) in (Stage.SUCCESS, Stage.FAIL)

    wait_until(ended, 60, what=f"the end of {id_}", interval_s=0.2)
    task = queue.lookup_task(id_)
    assert isinstance(task.result, dict), task.reason
    return task.stage, str(task.result["output"])
