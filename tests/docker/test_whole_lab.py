"""`docker compose up` alone gives the whole lab: a broker, and notebooks that run on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.docker.containers import Lab
from tests.docker.images import docker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first time, all of pip's packages

NOTEBOOK = "notebooks/01-hello.ipynb"


@pytest.fixture
def lab(tmp_path: Path, image: str, python_image: str) -> Iterator[Lab]:
    chosen = dict.fromkeys(("RABBITMQ_PORT", "RABBITMQ_MANAGEMENT_PORT", "NOTEBOOKS_PORT"))
    images = {"RABBITMQ_IMAGE": image, "PYTHON_IMAGE": python_image}
    with Lab(tmp_path / "a checkout", {**images, **chosen}) as made:
        yield made


def test_docker_compose_up_gives_notebooks_that_run_on_the_broker(lab: Lab) -> None:
    lab.up("notebooks")
    name = lab.container("notebooks")
    execute = ("jupyter", "nbconvert", "--to", "notebook", "--execute", "--stdout", NOTEBOOK)
    ran = docker("exec", name, *execute)
    assert '"output_type"' in ran, ran[-2000:]
    assert docker("exec", name, "id", "-u").strip() != "0"

    url = f"http://{lab.address('NOTEBOOKS_PORT')}"
    printed = re.search(rf"{re.escape(url)}/lab\?token=(\w+)", docker("logs", name))
    assert printed, "it prints where the notebooks are, and the token"
    contents = f"{url}/api/contents/notebooks"
    assert httpx.get(contents).status_code == httpx.codes.FORBIDDEN
    assert httpx.get(contents, params={"token": printed[1]}).status_code == httpx.codes.OK
