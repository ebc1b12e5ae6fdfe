"""`docker compose --profile queue-service up`: two instances on a PostgreSQL, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from labs.queue_service.client import QueueServiceClient
from labs.queue_service.keys import load_private, make_pair, sign_token
from labs.task_queue.errors import Unauthorised
from tests.docker.containers import Lab, of_each

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first time, all of pip's packages

INSTANCES = ("queue-service-1", "queue-service-2")
SERVICES = ("postgres", *INSTANCES)


@pytest.fixture
def token(tmp_path: Path) -> str:
    """Of a pair of keys of the test's own."""
    private, _ = make_pair(tmp_path)
    return sign_token(load_private(private), subject="a person", scopes=("sdapi",))


@pytest.fixture
def lab(tmp_path: Path, token: str, python_image: str, postgres_image: str) -> Iterator[Lab]:
    assert token
    key = (tmp_path / "public.pem").read_text().strip().replace("\n", "\\n")
    settings = {
        "PYTHON_IMAGE": python_image,
        "POSTGRES_IMAGE": postgres_image,
        "POSTGRES_PASSWORD": "p@ss/w#rd:1",
        "POSTGRES_PORT": None,
        "QUEUE_SERVICE_PORT": None,
        "QUEUE_SERVICE_PORT_2": None,
        "QUEUE_SERVICE_PUBLIC_KEYS": f'"{key}"',
    }
    root = tmp_path / "a checkout"
    with Lab(root, settings, profile="queue-service", services=SERVICES) as made:
        yield made


def test_both_instances_take_password_and_token_and_what_they_took_outlives_the_containers(
    lab: Lab, token: str
) -> None:
    lab.up(*INSTANCES)
    first, second = map(lab.address, ("QUEUE_SERVICE_PORT", "QUEUE_SERVICE_PORT_2"))
    password = lab.setting("QUEUE_SERVICE_PASSWORD")
    stats = f"http://{second}/v1/queue/stats"
    with (
        QueueServiceClient(first, user="lab", password=password) as one,
        QueueServiceClient(second, user="lab", password=password) as other,
    ):
        one.start(1, 777)
        one.start(2, 777)
        assert not other.start(1, 777).created, "the other instance has it, too"
        (claimed,) = other.claim("worker-1")

        lab.compose("restart", "postgres")

        one.ack(claimed)
        assert other.find("1").message.state == "done"
    with QueueServiceClient(first) as stranger, pytest.raises(Unauthorised):
        stranger.stats()
    assert httpx.get(stats).status_code == httpx.codes.UNAUTHORIZED
    brought = {"Authorization": f"Bearer {token}"}
    assert httpx.get(stats, headers=brought).json()["counts"]["queued"] == 1
    lab.keeps_to_itself()

    lab.stops()
    lab.compose("down")
    lab.up_again(f"http://{second}/v1/ready")

    with QueueServiceClient(second, user="lab", password=password) as client:
        assert client.find("1").message.state == "done"
        (woken,) = client.claim("worker-1")
        assert woken.build_id == 2

    lab.compose("restart", "queue-service-1")
    lab.compose("stop", "queue-service-1")
    code = of_each([lab.container("queue-service-1")], "{{.State.ExitCode}}")
    assert code != ["137"], "while it starts it heeds the wish, too, and is not killed"
