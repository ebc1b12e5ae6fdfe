"""The task queue's image: a server and a controller, by anybody but root, from the same pins."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
import tomllib
from collections.abc import Iterator

import pytest

from labs.broker import ports
from labs.broker.state import ROOT
from labs.task_queue.client import ApiClient
from labs.task_queue.stages import Stage
from tests.docker.conftest import docker
from tests.support import wait_until

NEEDED = ("python3", "container/needed.py", "task-queue")
TOKEN = "a-token-of-a-test"
IMAGE = "queue-labs/task-queue-test"
ANYBODY = "12345:12345"


def test_the_image_has_all_that_the_task_queue_needs_and_no_jupyter() -> None:
    said = subprocess.run(NEEDED, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pinned = {line.split("==")[0] for line in said.splitlines() if "==" in line}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"]["task-queue"]

    assert all(any(one.startswith(name) for name in pinned) for one in wanted)
    assert {"starlette", "h11", "psycopg-binary", "pydantic-core"} <= pinned
    assert not [name for name in pinned if "jupyter" in name or "ipython" in name]
    assert all("--hash=sha256:" in block for block in said.split("==")[1:])


@pytest.fixture(scope="module")
def built(python_image: str) -> str:
    """The image, built as docker-compose.yml builds it."""
    docker("build", "--file", "container/task-queue/Dockerfile", "--tag", IMAGE,
           "--build-arg", f"BASE={python_image}", ".")  # fmt: skip
    return IMAGE


@pytest.fixture
def server(built: str) -> Iterator[tuple[str, str]]:
    """The container of a server, as an ordinary user, and its address."""
    port = ports.free_port()
    name = f"task-queue-test-{secrets.token_hex(4)}"
    docker("run", "--detach", "--name", name, "--user", ANYBODY,
           "--publish", f"127.0.0.1:{port}:8001", "--env", f"TASK_QUEUE_TOKEN={TOKEN}",
           "--env", "SQL_QUEUE_CONNECTION_STRING=sqlite:////home/queue/tasks.db",
           "--env", "SQL_QUEUE_NAME=test", built, "server")  # fmt: skip
    yield name, f"127.0.0.1:{port}"
    docker("rm", "--force", name)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_in_a_container_is_healthy_used_and_stops_when_asked(
    server: tuple[str, str],
) -> None:
    name, address = server
    health = ("inspect", "--format", "{{.State.Health.Status}}", name)
    wait_until(lambda: docker(*health).strip() == "healthy", 90, what="health", interval_s=0.5)
    with ApiClient(address, token=TOKEN) as client:
        client.put({"a": {"file_name": "hello.py", "args": ["Ada"]}})
        assert client.size(Stage.WAITING) == 1
    scripts = ("--worker-interface", "process", "--path-to-scripts")
    looked = docker("exec", name, "sh", "container/task-queue/start", "controller", *scripts,
                    "container/task-queue/scripts", "--once", "--json")  # fmt: skip
    assert json.loads(looked.splitlines()[-1])["started"] == ["a"]
    assert docker("exec", name, "id", "-u").strip() == "12345"

    begun = time.monotonic()
    docker("stop", "--time", "60", name)
    assert time.monotonic() - begun < 60, "it was not killed"
    assert docker("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
    assert TOKEN not in docker("logs", name)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_roles_of_the_image_teach_and_a_server_wants_a_token(built: str) -> None:
    assert "labs task-queue controller --worker-interface" in docker(
        "run", "--rm", built, "controller", "--help"
    )
    refused = subprocess.run(
        ["docker", "run", "--rm", built, "server"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "there is no token" in refused.stderr
