"""A Docker engine, the stand-ins for the images (`images`), and checkouts to bring up with them.

An engine that runs is used; else root starts one for the tests, with a socket of its own, and ends
it by its process id.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labs.broker.container import ComposeBroker, docker_available
from labs.broker.state import ROOT
from labs.errors import NotPossibleHere
from labs.task_queue.local_s3 import find_binary
from tests.brokers.trees import cache_folder
from tests.conftest import missing
from tests.docker import images
from tests.support import wait_until


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Docker engine that answers: its version."""
    if version := docker_available():
        yield version
        return
    dockerd = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    if dockerd is None or os.geteuid() != 0:
        missing("no Docker engine runs, and none can be started here")
    folder = tmp_path_factory.mktemp("docker")
    with pytest.MonkeyPatch.context() as environment, (folder / "log").open("wb") as log:
        environment.setenv("DOCKER_HOST", f"unix://{folder}/docker.sock")
        process = subprocess.Popen(
            [
                *(str(dockerd), "--host", os.environ["DOCKER_HOST"]),
                *("--data-root", str(cache_folder().parent / "docker")),
                *("--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:

            def answers() -> str:
                if process.poll() is not None:
                    last = (folder / "log").read_text(errors="replace").splitlines()[-5:]
                    missing("dockerd does not start here:\n" + "\n".join(last))
                return docker_available() or ""

            yield wait_until(answers, 60.0, what="dockerd to answer")
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="session")
def image(engine: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The stand-in for RabbitMQ's image."""
    assert engine
    return images.rabbitmq(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def python_image(engine: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The stand-in for the official image of Python."""
    assert engine
    scratch = tmp_path_factory.mktemp("image")
    # What this machine trusts, it trusts too: its package registry may be a mirror.
    bundle = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    trusted = scratch / "ca-certificates.crt"
    shutil.copy(bundle, trusted)
    return images.stand_in("python", scratch, trusted)


@pytest.fixture(scope="session")
def postgres_image(engine: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The stand-in for PostgreSQL's official image."""
    assert engine
    return images.stand_in("postgres", tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def seaweedfs_image(engine: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The stand-in for SeaweedFS's image."""
    assert engine
    try:
        binary = find_binary()
    except NotPossibleHere as error:
        missing(f"{error} {error.remedy}")
    return images.stand_in("seaweedfs", tmp_path_factory.mktemp("image"), binary)


@pytest.fixture
def checkout(tmp_path: Path, image: str) -> Iterator[Path]:
    """A checkout of the test's own, so that this one's `.env` stays as it is."""
    with copied(tmp_path / "a checkout", image) as root:
        yield root


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[ComposeBroker]:
    """A broker in a container, for the tests that leave it as it is."""
    with copied(tmp_path_factory.mktemp("compose") / "a checkout", image) as root:
        broker = ComposeBroker(root)
        broker.start()
        yield broker


@contextmanager
def copied(root: Path, image: str) -> Iterator[Path]:
    """What Docker and `labs` need of this checkout, in a folder of its own; wiped afterwards."""
    root.mkdir()
    for name in ("docker-compose.yml", "qprocessor.py"):
        shutil.copy(ROOT / name, root)
    for name in ("container", "labs"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / ".env").write_text(f"RABBITMQ_IMAGE={image}\n")
    yield root
    ComposeBroker(root).wipe()
