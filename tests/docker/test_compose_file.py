"""The compose file as compose reads it; no engine is needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from labs.broker import compose
from labs.broker.container import ComposeBroker, docker_available
from labs.broker.state import ROOT
from labs.broker.versions import configuration_for, series_of, supported
from labs.errors import BrokerFailed, BrokerMissing
from tests.conftest import missing
from tests.docker.images import had

COMPOSES = (["docker", "compose"], ["docker-compose"])


@pytest.fixture(params=COMPOSES, ids=" ".join)
def command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each compose: the plugin that people have today, and the older one of Debian 12."""
    wanted: list[str] = request.param
    if not shutil.which(wanted[0]):
        missing(f"no {wanted[0]} is installed")
    if wanted == ["docker", "compose"] and not answers(wanted):
        monkeypatch.setenv("DOCKER_CONFIG", str(request.getfixturevalue("a_later_debians_plugin")))
    assert answers(wanted)
    return wanted


def answers(command: list[str]) -> bool:
    return subprocess.run([*command, "version"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def a_later_debians_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Docker's settings with the plugin, which Debian 12 has no package of."""
    inside = had("4.0").folder / "root"
    script = "cd /tmp && apt-get update -qq && apt-get download -qq docker-compose"
    subprocess.run(["chroot", inside, "sh", "-ec", script], check=True, capture_output=True)
    package = next((inside / "tmp").glob("docker-compose_*.deb"))
    folder = tmp_path_factory.mktemp("docker config")
    subprocess.run(["dpkg", "-x", package, folder], check=True)
    package.unlink()
    (folder / "cli-plugins").symlink_to(folder / "usr" / "libexec" / "docker" / "cli-plugins")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout of only what compose reads, with no `.env`."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shutil.copytree(ROOT / "container", tmp_path / "container")
    return tmp_path


TASK_QUEUE = ("POSTGRES_", "S3_", "SEAWEEDFS_", "TASK_QUEUE_", "QUEUE_")
SECRETS = (
    "POSTGRES_PASSWORD",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "TASK_QUEUE_TOKEN",
    "QUEUE_SERVICE_PASSWORD",
)


def config(
    command: list[str], folder: Path, *more: str, profile: str = "kafka"
) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RABBITMQ_", "KAFKA_", "COMPOSE_", *TASK_QUEUE))
    }
    return subprocess.run(
        [*command, "--profile", profile, "config", *more],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def services_of(config: str, profile: str) -> dict[str, dict[str, Any]]:
    """The services that come with the profile; the older compose shows all of them."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(config)["services"]
    return {
        name: service
        for name, service in services.items()
        if profile in service.get("profiles", [profile])
    }


def ports_of(services: dict[str, dict[str, Any]]) -> list[object]:
    return [port for service in services.values() for port in service.get("ports") or []]


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
    published = ports_of(services_of(said.stdout, "kafka"))
    assert len(published) == 4
    assert all("127.0.0.1" in str(port) for port in published)


def test_kafka_and_the_two_queues_come_only_when_their_profiles_are_asked_for(
    command: list[str], folder: Path
) -> None:
    subprocess.run(["sh", "container/make-env"], cwd=folder, check=True)
    profiles = {
        "kafka": {"kafka"},
        "task-queue": {"postgres", "s3", "task-queue-server", "task-queue-controller"},
        "queue-service": {"postgres", "queue-service-1", "queue-service-2"},
    }

    for profile, more in profiles.items():
        said = config(command, folder, profile=profile)
        assert set(services_of(said.stdout, profile)) == {"rabbitmq", "notebooks"} | more


def test_the_task_queue_is_on_loopback_with_the_passwords_of_the_env_file(
    command: list[str], folder: Path
) -> None:
    subprocess.run(["sh", "container/make-env"], cwd=folder, check=True)
    lines = (folder / ".env").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines)

    said = config(command, folder, profile="task-queue")

    assert said.returncode == 0, said.stderr
    services = services_of(said.stdout, "task-queue")
    published = ports_of(services)
    assert len(published) == 6
    assert all("127.0.0.1" in str(port) for port in published)
    server, controller = services["task-queue-server"], services["task-queue-controller"]
    assert [server["command"], controller["command"][:1]] == [["server"], ["controller"]]
    assert server["environment"]["TASK_QUEUE_TOKEN"] == env["TASK_QUEUE_TOKEN"]
    assert "TASK_QUEUE_TOKEN" not in controller["environment"], "its jobs would see it"
    for service in (server, controller):
        settings = service["environment"]
        assert settings["SQL_QUEUE_POSTGRES_PASSWORD"] == env["POSTGRES_PASSWORD"]
        assert settings["AWS_SECRET_ACCESS_KEY"] == env["S3_SECRET_KEY"]
        assert service["user"] == f"{env['LAB_UID']}:{env['LAB_GID']}"
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == env["POSTGRES_PASSWORD"]
    assert services["s3"]["environment"]["AWS_ACCESS_KEY_ID"] == env["S3_ACCESS_KEY"]
    assert "-master.telemetry=false" in services["s3"]["command"], "it reports to its makers else"
    assert all(re.fullmatch("[0-9a-f]{16,}", env[name]) for name in SECRETS)


def test_the_queue_service_is_two_instances_on_one_database_on_loopback_behind_a_password(
    command: list[str], folder: Path
) -> None:
    subprocess.run(["sh", "container/make-env"], cwd=folder, check=True)
    lines = (folder / ".env").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines)

    said = config(command, folder, profile="queue-service")

    assert said.returncode == 0, said.stderr
    services = services_of(said.stdout, "queue-service")
    published = ports_of(services)
    assert len(published) == 6
    assert all("127.0.0.1" in str(port) for port in published)
    instances = [services["queue-service-1"], services["queue-service-2"]]
    assert [str(one["ports"]).count("8003") for one in instances] == [0, 1]
    first, second = (one["environment"] for one in instances)
    assert first == second
    assert first["QUEUE_SERVICE_PASSWORD"] == env["QUEUE_SERVICE_PASSWORD"]
    assert first["PGPASSWORD"] == env["POSTGRES_PASSWORD"]
    assert first["QUEUE_SERVICE_STORE"] == "postgresql://lab@postgres/tasks"
    for one in instances:
        assert one["command"] == ["serve"]
        assert one["user"] == f"{env['LAB_UID']}:{env['LAB_GID']}"


def test_an_env_file_from_before_the_task_queue_still_serves_the_rest(
    command: list[str], folder: Path
) -> None:
    (folder / ".env").write_text("RABBITMQ_PASSWORD=x\nLAB_UID=1000\nLAB_GID=1000\n")

    assert config(command, folder).returncode == 0


def test_what_can_be_set_for_the_task_queue_stands_in_make_env() -> None:
    words = (ROOT / "container" / "make-env").read_text()
    text = (ROOT / "docker-compose.yml").read_text()
    used = {name for name in re.findall(r"\$\{(\w+)", text) if name.startswith(TASK_QUEUE)}

    assert set(SECRETS) < used
    assert all(name in words for name in used)


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
