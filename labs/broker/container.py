"""RabbitMQ in a container, through the checkout's docker-compose.yml.

What compose must know (project name, password, ports) is written to `.env` beside
that file, which is never committed. Compose makes and removes the container, so
that `docker compose` at a terminal means the same one; Docker's own API tells what
becomes of it. Ready is a login that succeeded, as with a private node.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import docker
from docker.context import ContextAPI
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from labs.broker import compose, ports
from labs.broker.address import Address
from labs.broker.deaths import telling
from labs.broker.files import write_private
from labs.errors import BrokerFailed, BrokerMissing, BrokerUnreachable
from labs.waiting import wait_until

USERNAME = "lab"
SERVICE = "rabbitmq"
AMQP_PORT, MANAGEMENT_PORT, NOTEBOOKS_PORT = 5672, 15672, 8888
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30
CALL_TIMEOUT_S = 60
LOG_LINES = 300
START_ATTEMPTS = 3

PROJECT, PASSWORD = "COMPOSE_PROJECT_NAME", "RABBITMQ_PASSWORD"
PORT, MANAGEMENT = "RABBITMQ_PORT", "RABBITMQ_MANAGEMENT_PORT"
NOTEBOOKS = "NOTEBOOKS_PORT"
OURS = (PROJECT, PASSWORD, PORT, MANAGEMENT, NOTEBOOKS, "COMPOSE_FILE")

Progress = Callable[[str], None]


def docker_available() -> str | None:
    """The version of the Docker engine that answers; None when none does."""
    try:
        return str(engine().version()["Version"])
    except BrokerMissing:
        return None


def engine() -> docker.DockerClient:
    """A client of the engine that the `docker` command would talk to.

    Raises:
        BrokerMissing: no engine answers, or this user may not talk to it.
    """
    try:
        if os.environ.get("DOCKER_HOST"):
            client = docker.from_env(timeout=CALL_TIMEOUT_S)
        else:  # Docker Desktop, Colima and rootless Docker have sockets of their own
            client = docker.DockerClient(
                base_url=ContextAPI.get_current_context().Host or None, timeout=CALL_TIMEOUT_S
            )
        client.ping()
    except (DockerException, OSError) as error:
        raise compose.no_engine(str(error)) from error
    return client


class ComposeBroker:
    """The `rabbitmq` service of the docker-compose.yml in the folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._env_file = self.root / ".env"

    # What one does with it.

    def start(self, progress: Progress | None = None) -> Address:
        """Make the container run and return the broker's address; one that runs is left alone.

        Raises:
            BrokerMissing: there is no engine, or no compose.
            BrokerFailed: the container did not start; with its last words.
        """
        tell = progress or (lambda _: None)
        engine()  # says at once, and better than compose, when there is none
        if self.is_running():
            return self._ready(tell)
        for attempt in range(1, START_ATTEMPTS + 1):
            self._settle_settings()
            tell("Docker starts RabbitMQ; the first time it fetches the image, which takes minutes")
            try:
                self._compose("up", "--detach", "--no-build", SERVICE)
                break
            except compose.PublishedPortTaken:
                if attempt == START_ATTEMPTS:
                    raise
                tell("a port was taken meanwhile: trying others")
        return self._ready(tell)

    def stop(self) -> None:
        """Stop the container in an orderly way; the data stay in its volume."""
        if container := self._container():
            container.stop(timeout=STOP_TIMEOUT_S)

    def restart(self, progress: Progress | None = None) -> Address:
        """Stop in an orderly way and start on the same ports."""
        container = self._container()
        if container is None:
            return self.start(progress)
        container.restart(timeout=STOP_TIMEOUT_S)
        return self._ready(progress or (lambda _: None))

    def wipe(self) -> None:
        """Remove the container and its volume: queues, messages, users."""
        if docker_available() is not None and PASSWORD in self._settings():
            self._compose("down", "--volumes", "--remove-orphans")

    def is_running(self) -> bool:
        """Whether the container runs."""
        try:
            container = self._container()
        except BrokerMissing:
            return False  # without an engine nothing runs in it
        return container is not None and container.status == "running"

    @property
    def address(self) -> Address | None:
        """Where the broker is, or would be again; None before its first start."""
        settings = self._settings()
        if PASSWORD not in settings:
            return None
        return Address(
            host=ports.LOOPBACK,
            port=int(settings.get(PORT, AMQP_PORT)),
            username=USERNAME,
            password=settings[PASSWORD],
            management_url=f"http://{ports.LOOPBACK}:{settings.get(MANAGEMENT, MANAGEMENT_PORT)}",
        )

    # What compose is told.

    def _settings(self) -> dict[str, str]:
        try:
            lines = self._env_file.read_text(encoding="utf-8").splitlines()
        except OSError:
            return {}
        pairs = (line.split("=", 1) for line in lines if "=" in line and line[:1] != "#")
        return {name.strip(): value.strip() for name, value in pairs}

    def _settle_settings(self) -> None:
        """See to it that `.env` has a name, a password, and ports that are free."""
        settings = self._settings()
        new = {
            PROJECT: settings.get(PROJECT) or self._default_project(),
            PASSWORD: settings.get(PASSWORD) or secrets.token_hex(16),
        }
        avoid: list[int] = []
        for name, usual in ((PORT, AMQP_PORT), (MANAGEMENT, MANAGEMENT_PORT)):
            wanted = settings.get(name, "")
            wishes = [int(wanted)] if wanted.isdigit() else []
            avoid.append(ports.free_port([*wishes, usual], avoid=avoid))
            new[name] = str(avoid[-1])
        if NOTEBOOKS not in settings:  # that container may be running, on this very port
            new[NOTEBOOKS] = str(ports.free_port([NOTEBOOKS_PORT], avoid=avoid))
        if hasattr(os, "getuid") and os.getuid() != 0:
            new |= {"LAB_UID": str(os.getuid()), "LAB_GID": str(os.getgid())}
        settings |= new
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        write_private(self._env_file, text)

    def _default_project(self) -> str:
        # By the folder's whole path: two checkouts of the same name are two labs.
        return "queue-labs-" + hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    def _compose(self, *arguments: str) -> None:
        compose.run(self.root, *arguments, without=OURS)

    # What becomes of it.

    def _container(self) -> Container | None:
        project = self._settings().get(PROJECT) or self._default_project()
        labels = [
            f"com.docker.compose.project={project}",
            f"com.docker.compose.service={SERVICE}",
        ]
        found = engine().containers.list(all=True, filters={"label": labels})
        return found[0] if found else None

    def _ready(self, tell: Progress) -> Address:
        from labs.broker.connection import log_in  # pika is imported when it is needed

        address, container = self.address, self._container()
        if address is None or container is None:
            raise BrokerFailed("The container was removed while it started.")
        tell(f"RabbitMQ starts in a container, on port {address.port}")
        password_was_set = False

        def ready() -> bool:
            nonlocal password_was_set
            health = _health(container)
            if health not in ("starting", "healthy"):
                raise _did_not_start(container, health)
            try:
                log_in(address, timeout_s=5.0)
            except BrokerUnreachable:
                if health == "healthy" and not password_was_set:
                    # The data are older than .env: a password is read at their first start only.
                    password_was_set = True
                    _set_password(container, address.password)
                return False
            return True

        wait_until(ready, START_TIMEOUT_S, what="RabbitMQ to be ready", interval_s=0.3)
        return address


def _health(container: Container) -> str:
    """`starting`, `healthy` or `unhealthy` while it runs; else Docker's word for its state."""
    try:
        container.reload()
    except NotFound:
        return "removed"
    state = container.attrs["State"]
    if state["Status"] == "restarting":  # docker-compose.yml lets it try a few times
        return "starting"
    if state["Status"] not in ("running", "created"):
        return str(state["Status"])
    return str(state.get("Health", {}).get("Status", "starting"))


def _did_not_start(container: Container, health: str) -> BrokerFailed:
    try:
        log = b"".join(container.logs(tail=LOG_LINES, stream=True)).decode(errors="replace")
    except (APIError, NotFound):
        log = ""
    return BrokerFailed(
        f"The container of RabbitMQ is {health}. From its log:\n{telling(log)}",
        remedy="`labs down --wipe` and `labs up --with docker` begin anew, with no data.",
    )


def _set_password(container: Container, password: str) -> None:
    result = container.exec_run(
        ["sh", "-c", 'rabbitmqctl change_password lab "$LAB_PASSWORD"'],
        environment={"LAB_PASSWORD": password},
    )
    if result.exit_code:
        raise BrokerFailed(
            "The broker's data are of another lab: its user can't be given the password in .env.",
            remedy="`labs down --wipe` deletes them; then `labs up --with docker` again.",
        )
