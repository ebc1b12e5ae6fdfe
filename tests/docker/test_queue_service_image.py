"""The queue service's image: servers behind a password, by anybody but root, from the same pins."""

from __future__ import annotations

import subprocess

import pytest

from labs.queue_service.client import QueueServiceClient
from labs.task_queue.errors import Unauthorised
from tests.docker.containers import build, pinned_and_wanted, serving, stops_when_asked
from tests.docker.images import docker

PASSWORD = "a-password-of-a-test"


def test_the_image_has_all_that_the_queue_service_needs_and_nothing_else() -> None:
    pinned, wanted = pinned_and_wanted("queue-service")

    assert all(any(one.startswith(name) for name in pinned) for one in wanted)
    assert {"cryptography", "starlette", "psycopg-binary", "argon2-cffi-bindings"} <= pinned
    assert not [name for name in pinned if name.startswith(("jupyter", "ipython", "boto"))]


@pytest.fixture(scope="module")
def built(python_image: str) -> str:
    return build("queue-service", python_image)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_in_a_container_is_healthy_used_and_stops_when_asked(built: str) -> None:
    environment = {"QUEUE_SERVICE_USER": "lab", "QUEUE_SERVICE_PASSWORD": PASSWORD}
    with serving(built, "serve", 8002, environment) as (name, address):
        with QueueServiceClient(address, user="lab", password=PASSWORD) as client:
            assert client.start(1, 7).created
        with QueueServiceClient(address) as stranger, pytest.raises(Unauthorised):
            stranger.stats()
        inside = ("exec", name, "sh", "container/queue-service/start")
        docker(*inside, "work", "--drain", "--", "true")
        assert "done" in docker(*inside, "status", "1")

        stops_when_asked(name)
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
