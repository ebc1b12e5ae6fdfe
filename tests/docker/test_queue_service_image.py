"""The queue service's image: servers behind a password, by anybody but root, from the same pins."""

from __future__ import annotations

import secrets
import subprocess
import time
import tomllib
from collections.abc import Iterator

import pytest

from labs.broker import ports
from labs.broker.state import ROOT
from labs.queue_service.client import QueueServiceClient
from labs.task_queue.errors import Unauthorised
from tests.docker.conftest import docker
from tests.support import wait_until

NEEDED = ("python3", "container/needed.py", "queue-service")
PASSWORD = "a-password-of-a-test"
IMAGE = "queue-labs/queue-service-test"
ANYBODY = "12345:12345"


def test_the_image_has_all_that_the_queue_service_needs_and_nothing_else() -> None:
    said = subprocess.run(NEEDED, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pinned = {line.split("==")[0] for line in said.splitlines() if "==" in line}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"]["queue-service"]

    assert all(any(one.startswith(name) for name in pinned) for one in wanted)
    assert {"cryptography", "starlette", "psycopg-binary", "argon2-cffi-bindings"} <= pinned
    assert not [name for name in pinned if name.startswith(("jupyter", "ipython", "boto"))]
    assert all("--hash=sha256:" in block for block in said.split("==")[1:])


@pytest.fixture(scope="module")
def built(python_image: str) -> str:
    """The image, built as docker-compose.yml builds it."""
    docker("build", "--file", "container/queue-service/Dockerfile", "--tag", IMAGE,
           "--build-arg", f"BASE={python_image}", ".")  # fmt: skip
    return IMAGE


@pytest.fixture
def server(built: str) -> Iterator[tuple[str, str]]:
    """The container of a server, as an ordinary user, and its address."""
    port = ports.free_port()
    name = f"queue-service-test-{secrets.token_hex(4)}"
    docker("run", "--detach", "--name", name, "--user", ANYBODY,
           "--publish", f"127.0.0.1:{port}:8002", "--env", "QUEUE_SERVICE_USER=lab",
           "--env", f"QUEUE_SERVICE_PASSWORD={PASSWORD}", built, "serve")  # fmt: skip
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
    with QueueServiceClient(address, user="lab", password=PASSWORD) as client:
        assert client.start(1, 7).created
    with QueueServiceClient(address) as stranger, pytest.raises(Unauthorised):
        stranger.stats()
    inside = ("exec", name, "sh", "container/queue-service/start")
    docker(*inside, "work", "--drain", "--", "true")
    assert "done" in docker(*inside, "status", "1")
    assert docker("exec", name, "id", "-u").strip() == "12345"

    begun = time.monotonic()
    docker("stop", "--time", "60", name)
    assert time.monotonic() - begun < 60, "it was not killed"
    assert docker("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
    assert PASSWORD not in docker("logs", name)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_image_teaches_and_a_server_lets_no_strangers_in(built: str) -> None:
    assert "labs queue-service start 1 777" in docker("run", "--rm", built)
    assert "labs queue-service serve --own-keys" in docker("run", "--rm", built, "serve", "--help")
    refused = subprocess.run(
        ["docker", "run", "--rm", built, "serve"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "nothing keeps strangers out" in refused.stderr
