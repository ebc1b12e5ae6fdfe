"""A Docker engine, and a stand-in for RabbitMQ's image made from Debian's package.

An engine that runs is used; else root starts one for the tests, with a socket of
its own, and ends it by its process id. No image can be counted on to be pulled: the
stand-in is made from the tree that `make test-brokers` uses, and has what the
official one has: the user `rabbitmq`, conf.d, the plugins file, the programs on the
PATH. Images are kept between runs, with the trees.
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
from tests.brokers.trees import CannotFetch, Tree, cache_folder, fetch, tree_of
from tests.conftest import missing
from tests.support import wait_until

DEFAULTS = "loopback_users.guest = false\nlog.console = true\n"
"""What the official image has in conf.d/10-defaults.conf."""

IMAGE_CHANGES = (
    "USER rabbitmq",
    "ENV HOME=/var/lib/rabbitmq",
    "ENV LANG=C.UTF-8",
    "ENV PATH=/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "VOLUME /var/lib/rabbitmq",
    'CMD ["rabbitmq-server"]',
)


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


def docker(*words: str) -> str:
    """What docker says."""
    ran = subprocess.run(["docker", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"docker {words[0]}: {ran.stdout[-1500:]}{ran.stderr[-1500:]}"
    return ran.stdout + ran.stderr


def had(series: str) -> Tree:
    """The tree with this series of RabbitMQ, fetched if need be."""
    found = tree_of(series, cache_folder())
    try:
        fetch(found, print)
    except CannotFetch as error:
        missing(f"{error} {error.remedy}")
    return found


@pytest.fixture(scope="session")
def image(engine: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The stand-in for the image that docker-compose.yml names."""
    assert engine
    tree = had("4.3")
    name = f"queue-labs/rabbitmq-stand-in:{tree.binaries.version}-management"
    if image_exists(name):
        return name
    extra = tmp_path_factory.mktemp("image")
    settings = extra / "etc" / "rabbitmq" / "conf.d" / "10-defaults.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(DEFAULTS)
    import_tree(
        tree.folder / "root", name, IMAGE_CHANGES, "-C", str(extra), "./etc/rabbitmq/conf.d"
    )
    return name


@pytest.fixture(scope="session")
def python_image(engine: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The stand-in for the official image of Python: Debian's, in a venv that is first on PATH."""
    assert engine
    debian, name = "queue-labs/debian-stand-in", "queue-labs/python-stand-in"
    if not image_exists(debian):
        import_tree(had("4.0").folder / "root", debian, ("ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin",))
    folder = tmp_path_factory.mktemp("python")
    # What this machine trusts, it trusts too: its package registry may be a mirror.
    bundle = Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")
    shutil.copy(bundle, folder / "ca-certificates.crt")
    (folder / "Dockerfile").write_text(
        f"FROM {debian}\n"
        "RUN apt-get update -qq"
        " && apt-get install -qq --yes --no-install-recommends python3-venv"
        " && python3 -m venv /opt/python\n"
        "COPY ca-certificates.crt /etc/ssl/certs/\n"
        "ENV PATH=/opt/python/bin:/usr/bin:/bin PIP_CERT=/etc/ssl/certs/ca-certificates.crt\n"
    )
    built = subprocess.run(
        ["docker", "build", "--tag", name, str(folder)], capture_output=True, text=True, check=False
    )
    if built.returncode:
        missing("the stand-in for Python's image can't be built:\n" + built.stdout[-600:])
    return name


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


def image_exists(name: str) -> bool:
    asked = subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False)
    return asked.returncode == 0


def import_tree(root: Path, name: str, changes: tuple[str, ...], *more: str) -> None:
    """Make an image of a folder, without its caches."""
    skip = ["--exclude=./proc/*", "--exclude=./var/cache/*", "--exclude=./usr/share/doc/*"]
    tar = subprocess.Popen(
        ["tar", "-c", *skip, "-C", str(root), ".", *more], stdout=subprocess.PIPE
    )
    options = [option for change in changes for option in ("--change", change)]
    subprocess.run(
        ["docker", "import", *options, "-", name], stdin=tar.stdout, check=True, capture_output=True
    )
    assert tar.wait() == 0
