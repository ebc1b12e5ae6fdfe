"""The compose file as compose reads it; no engine is needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from labs.broker import compose
from labs.broker.container import ComposeBroker, docker_available
from labs.broker.state import ROOT
from labs.broker.versions import configuration_for, series_of, supported
from labs.errors import BrokerFailed, BrokerMissing
from tests.conftest import missing
from tests.docker.conftest import had

COMPOSES = (["docker", "compose"], ["docker-compose"])


@pytest.fixture(params=COMPOSES, ids=" ".join)
def command(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Each compose: the plugin that people have today, and the older one of Debian 12."""
    wanted: list[str] = request.param
    if not shutil.which(wanted[0]):
        missing(f"no {wanted[0]} is installed")
    if wanted == ["docker", "compose"] and not answers(wanted):
        plugins = tmp_path_factory.mktemp("docker config") / "cli-plugins"
        plugins.mkdir()
        shutil.copy(plugin_of_a_later_debian(tmp_path_factory.mktemp("plugin")), plugins)
        monkeypatch.setenv("DOCKER_CONFIG", str(plugins.parent))
    assert answers(wanted)
    return wanted


def answers(command: list[str]) -> bool:
    return subprocess.run([*command, "version"], capture_output=True).returncode == 0


def plugin_of_a_later_debian(folder: Path) -> Path:
    """The plugin, which Debian 12 has no package of, taken out of a later release's."""
    inside = had("4.0").folder / "root"
    script = "cd /tmp && apt-get update -qq && apt-get download -qq docker-compose"
    subprocess.run(["chroot", inside, "sh", "-ec", script], check=True, capture_output=True)
    package = next((inside / "tmp").glob("docker-compose_*.deb"))
    subprocess.run(["dpkg", "-x", package, folder], check=True)
    package.unlink()
    return folder / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-compose"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout of only what compose reads, with no `.env`."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shutil.copytree(ROOT / "container", tmp_path / "container")
    return tmp_path


def config(command: list[str], folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RABBITMQ_", "KAFKA_", "COMPOSE_"))
    }
    return subprocess.run(
        [*command, "--profile", "kafka", "config", *more],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_an_env_file_compose_says_how_to_make_one(command: list[str], folder: Path) -> None:
    said = config(command, folder)

    assert said.returncode != 0
    assert "run sh container/make-env once and try again" in said.stderr


def test_once_it_is_made_compose_reads_the_file_and_publishes_on_loopback_alone(
    command: list[str], folder: Path
) -> None:
    subprocess.run(["sh", "container/make-env"], cwd=folder, check=True)

    said = config(command, folder)

    assert said.returncode == 0, said.stderr
    published = re.findall(r"- (\S+:\d+:\d+)(?:/tcp)?$|host_ip: (\S+)", said.stdout, re.MULTILINE)
    assert len(published) == 4
    assert all("127.0.0.1" in short or long == "127.0.0.1" for short, long in published)


def test_kafka_comes_only_when_its_profile_is_asked_for(command: list[str], folder: Path) -> None:
    subprocess.run(["sh", "container/make-env"], cwd=folder, check=True)
    services = yaml.safe_load((folder / "docker-compose.yml").read_text())["services"]

    assert {name for name, service in services.items() if "profiles" in service} == {"kafka"}
    said = config(command, folder, "--services")
    assert set(said.stdout.split()) == {"rabbitmq", "notebooks", "kafka"}


def test_the_image_and_the_port_of_kafka_can_be_set_and_clients_are_told_that_port(
    command: list[str], folder: Path
) -> None:
    subprocess.run(["sh", "container/make-env"], cwd=folder, check=True)
    with (folder / ".env").open("a") as env:
        env.write("KAFKA_IMAGE=apache/kafka:3.9.1\nKAFKA_PORT=29092\n")

    said = config(command, folder)

    assert said.returncode == 0, said.stderr
    kafka = yaml.safe_load(said.stdout)["services"]["kafka"]
    assert kafka["image"] == "apache/kafka:3.9.1"
    assert "29092" in str(kafka["ports"])
    told = kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert told.startswith("OUTSIDE://localhost:29092,")
    assert kafka["healthcheck"]["test"][-1] == "kafka:19092"
    assert told.endswith("INSIDE://kafka:19092")


def test_what_can_be_set_for_kafka_stands_in_make_env() -> None:
    words = (ROOT / "container" / "make-env").read_text()
    used = re.findall(r"\$\{(KAFKA_\w+)", (ROOT / "docker-compose.yml").read_text())

    assert set(used) == {"KAFKA_IMAGE", "KAFKA_PORT"}
    assert all(name in words for name in used)


def test_make_env_writes_a_password_for_its_owner_alone_and_never_another(folder: Path) -> None:
    subprocess.run(["sh", "container/make-env"], cwd=folder, check=True)
    first = (folder / ".env").read_text()

    subprocess.run(["sh", "container/make-env"], cwd=folder, check=True)

    assert (folder / ".env").read_text() == first
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    assert re.search(r"^RABBITMQ_PASSWORD=[0-9a-f]{32}$", first, re.MULTILINE)


def test_the_image_is_pinned_to_a_version_that_the_kit_knows_and_configured_for_it() -> None:
    pinned = re.search(r"rabbitmq:([\d.]+)-management", (ROOT / "docker-compose.yml").read_text())
    assert pinned
    assert supported(pinned[1])
    assert series_of(pinned[1]) == (4, 3)

    configuration = (ROOT / "container" / "rabbitmq.conf").read_text()

    assert configuration_for(pinned[1]) in configuration


def test_no_secret_goes_into_git_or_into_the_image() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()
    assert not [name for name in allowed if name.startswith((".env", ".labs", ".git"))]


def test_without_an_engine_a_sentence_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/nobody-listens")

    with pytest.raises(BrokerMissing, match="No Docker engine answers") as refused:
        ComposeBroker(folder).start()

    assert docker_available() is None
    assert not ComposeBroker(folder).is_running()
    assert "Start Docker" in refused.value.remedy


SAID: dict[str, tuple[type[Exception], str]] = {
    "Error response from daemon: driver failed programming external connectivity on endpoint x: "
    "Bind for 0.0.0.0:5672 failed: port is already allocated": (
        compose.PublishedPortTaken,
        "just been taken",
    ),
    "Error starting userland proxy: listen tcp4 127.0.0.1:5672: bind: address already in use": (
        compose.PublishedPortTaken,
        "just been taken",
    ),
    "permission denied while trying to connect to the Docker daemon socket at "
    "unix:///var/run/docker.sock": (BrokerMissing, "you may not talk to it"),
    "no matching manifest for windows/amd64 in the manifest list entries": (
        BrokerFailed,
        "could not fetch the image",
    ),
    "services.rabbitmq.ports contains an invalid type": (BrokerFailed, "Docker Compose failed"),
}


@pytest.mark.parametrize("said", SAID, ids=lambda said: said[-30:])
def test_what_docker_says_comes_out_in_words(said: str) -> None:
    kind, words = SAID[said]

    error = compose.in_words(said)

    assert type(error) is kind
    assert words in str(error)
    assert error.remedy
