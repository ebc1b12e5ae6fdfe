"""The task queue's image: a server and a controller, by anybody but root, from the same pins."""

from __future__ import annotations

import json
import subprocess

import pytest

from labs.task_queue.client import ApiClient
from labs.task_queue.stages import Stage
from tests.docker.containers import build, pinned_and_wanted, serving, stops_when_asked
from tests.docker.images import docker

TOKEN = "a-token-of-a-test"


def test_the_image_has_all_that_the_task_queue_needs_and_no_jupyter() -> None:
    pinned, wanted = pinned_and_wanted("task-queue")

    assert all(any(one.startswith(name) for name in pinned) for one in wanted)
    assert {"starlette", "h11", "psycopg-binary", "pydantic-core"} <= pinned
    assert not [name for name in pinned if "jupyter" in name or "ipython" in name]


@pytest.fixture(scope="module")
def built(python_image: str) -> str:
    return build("task-queue", python_image)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_in_a_container_is_healthy_used_and_stops_when_asked(built: str) -> None:
    environment = {
        "TASK_QUEUE_TOKEN": TOKEN,
        "SQL_QUEUE_CONNECTION_STRING": "sqlite:////home/queue/tasks.db",
        "SQL_QUEUE_NAME": "test",
    }
    with serving(built, "server", 8001, environment) as (name, address):
        with ApiClient(address, token=TOKEN) as client:
            client.put({"a": {"file_name": "hello.py", "args": ["Ada"]}})
            assert client.size(Stage.WAITING) == 1
        scripts = ("--worker-interface", "process", "--path-to-scripts")
        looked = docker("exec", name, "sh", "container/task-queue/start", "controller", *scripts,
                        "container/task-queue/scripts", "--once", "--json")  # fmt: skip
        assert json.loads(looked.splitlines()[-1])["started"] == ["a"]

        stops_when_asked(name)
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
