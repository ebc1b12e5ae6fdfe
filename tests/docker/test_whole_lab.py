"""`docker compose up` alone gives the whole lab: a broker, and notebooks that run on it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from labs.broker import compose, ports
from labs.broker.container import engine as docker_engine
from labs.broker.state import ROOT
from tests.support import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first time, all of pip's packages

NOTEBOOK = "notebooks/01-hello.ipynb"


@pytest.fixture
def whole_lab(tmp_path: Path, image: str, python_image: str) -> Iterator[Path]:
    """A checkout whose compose file was brought up, as a person would."""
    root = tmp_path / "a checkout"
    skip = shutil.ignore_patterns(
        ".git", ".venv", ".labs", ".env", ".cache", "__pycache__", ".*_cache"
    )
    shutil.copytree(ROOT, root, ignore=skip)
    subprocess.run(["sh", "container/make-env"], cwd=root, check=True)
    chosen: list[int] = []
    with (root / ".env").open("a") as settings:
        settings.write(f"RABBITMQ_IMAGE={image}\nPYTHON_IMAGE={python_image}\n")
        # Always the same name: so the image of the last run, with pip's packages, is built upon.
        settings.write("COMPOSE_PROJECT_NAME=queue-labs-test\n")
        for name in ("RABBITMQ_PORT", "RABBITMQ_MANAGEMENT_PORT", "NOTEBOOKS_PORT"):
            chosen.append(ports.free_port(avoid=chosen))
            settings.write(f"{name}={chosen[-1]}\n")
    try:
        compose.run(root, "up", "--detach", "--build")
        yield root
    finally:
        compose.run(root, "down", "--volumes")


def test_docker_compose_up_gives_notebooks_that_run_on_the_broker(whole_lab: Path) -> None:
    project = setting(whole_lab, "COMPOSE_PROJECT_NAME")
    labels: dict[str, str | list[str] | bool] = {
        "label": [
            f"com.docker.compose.project={project}",
            "com.docker.compose.service=notebooks",
        ]
    }
    (container,) = docker_engine().containers.list(filters=labels)

    def healthy() -> bool:
        container.reload()
        return bool(container.attrs["State"]["Health"]["Status"] == "healthy")

    wait_until(healthy, 120.0, what="the notebooks to answer", interval_s=1.0)
    name = str(container.id)
    execute = ("jupyter", "nbconvert", "--to", "notebook", "--execute", "--stdout", NOTEBOOK)
    ran = said("exec", name, *execute)
    assert '"output_type"' in ran, ran[-2000:]
    assert said("exec", name, "id", "-u").strip() != "0"

    url = f"http://127.0.0.1:{setting(whole_lab, 'NOTEBOOKS_PORT')}"
    printed = re.search(rf"{re.escape(url)}/lab\?token=(\w+)", said("logs", name))
    assert printed, "it prints where the notebooks are, and the token"
    contents = f"{url}/api/contents/notebooks"
    assert httpx.get(contents).status_code == httpx.codes.FORBIDDEN
    assert httpx.get(contents, params={"token": printed[1]}).status_code == httpx.codes.OK


def said(*command: str) -> str:
    """What a docker command printed."""
    done = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def setting(root: Path, name: str) -> str:
    found = re.findall(rf"^{name}=(.*)$", (root / ".env").read_text(), re.MULTILINE)
    return str(found[-1])  # of two lines, the last counts
