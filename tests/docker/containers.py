"""What the tests of our images and of the compose file's profiles do with containers."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from labs.broker import compose, ports
from labs.broker.state import ROOT
from tests.docker.images import docker
from tests.support import wait_until

ANYBODY = "12345:12345"
HEALTHY_S = 120.0


def pinned_and_wanted(extra: str) -> tuple[set[str], list[str]]:
    """The packages that an image gets, all with hashes, and those that the extra asks for."""
    said = subprocess.run(
        ["python3", "container/needed.py", extra],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert all("--hash=sha256:" in block for block in said.split("==")[1:])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0] for line in said.splitlines() if "==" in line}
    return pinned, project["optional-dependencies"][extra]


def build(system: str, python_image: str) -> str:
    """The image of a system, built as docker-compose.yml builds it."""
    tag = f"queue-labs/{system}-test"
    docker("build", "--file", f"container/{system}/Dockerfile", "--tag", tag,
           "--build-arg", f"BASE={python_image}", ".")  # fmt: skip
    return tag


@contextmanager
def serving(
    image: str, command: str, port: int, environment: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """A server of the image, as an ordinary user, when it is healthy: container and address."""
    name = f"{image.partition('/')[2]}-{secrets.token_hex(4)}"
    outside = ports.free_port()
    settings = [word for item in environment.items() for word in ("--env", "=".join(item))]
    docker("run", "--detach", "--name", name, "--user", ANYBODY,
           "--publish", f"127.0.0.1:{outside}:{port}", *settings, image, command)  # fmt: skip
    try:
        wait_until_healthy(name)
        assert docker("exec", name, "id", "-u").strip() == ANYBODY.partition(":")[0]
        yield name, f"127.0.0.1:{outside}"
    finally:
        docker("rm", "--force", name)


def wait_until_healthy(*names: str) -> None:
    """Return when their health checks say so."""

    def healthy() -> bool:
        return set(of_each(names, "{{.State.Health.Status}}")) == {"healthy"}

    wait_until(healthy, HEALTHY_S, what=f"the health of {', '.join(names)}", interval_s=0.3)


def wait_until_it_answers(url: str) -> None:
    """Return when the server says 200 there."""

    def answers() -> bool:
        try:
            return httpx.get(url).status_code == httpx.codes.OK
        except httpx.TransportError:  # Docker's own proxy takes calls for who is not there yet
            return False

    wait_until(answers, HEALTHY_S, what=f"an answer of {url}", interval_s=0.2)


def stops_when_asked(name: str) -> None:
    """Assert that it stops, and is not killed."""
    begun = time.monotonic()
    docker("stop", "--time", "60", name)
    assert time.monotonic() - begun < 60, "it was not killed"
    assert of_each([name], "{{.State.ExitCode}}") == ["0"]


def of_each(names: Sequence[str], template: str) -> list[str]:
    """What the engine knows of each container."""
    return docker("inspect", "--format", template, *names).split()


class Lab:
    """A checkout of the test's own, in which `docker compose up` is typed, as a person would.

    Args:
        profile: the compose file's, if one is meant.
        services: that are brought up; else all.
        settings: more of `.env`; where a value is None, a free port is chosen.
    """

    def __init__(
        self,
        root: Path,
        settings: Mapping[str, str | None],
        *,
        profile: str | None = None,
        services: Sequence[str] = (),
    ) -> None:
        self.root, self.services = root, services
        self.words = [] if profile is None else ["--profile", profile]
        skip = shutil.ignore_patterns(
            ".git", ".venv", ".labs", ".env", ".cache", "__pycache__", ".*_cache"
        )
        shutil.copytree(ROOT, root, ignore=skip)
        subprocess.run(["sh", "container/make-env"], cwd=root, check=True)
        # Always the same name: so the images of the last run, with pip's packages, are built upon.
        self.project = "-".join(["queue-labs-test", *self.words[1:]])
        self.set("COMPOSE_PROJECT_NAME", self.project)
        chosen: list[int] = []
        for name, value in settings.items():
            if value is None:
                chosen.append(ports.free_port(avoid=chosen))
            self.set(name, str(chosen[-1]) if value is None else value)

    def __enter__(self) -> Lab:
        """A run that was killed has left nothing."""
        self.compose("down", "--volumes")
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays but the images."""
        self.compose("down", "--volumes")

    def up(self, *healthy: str) -> None:
        """Build it and bring it up; return when these services are healthy."""
        self.compose("up", "--detach", "--build", *self.services)
        wait_until_healthy(*map(self.container, healthy))

    def up_again(self, url: str) -> None:
        """Bring up what does not run, or has changed; return when a server answers there."""
        self.compose("up", "--detach", *self.services)
        wait_until_it_answers(url)

    def compose(self, *words: str) -> None:
        """What is typed."""
        compose.run(self.root, *self.words, *words)

    def container(self, service: str) -> str:
        """The container of a service, also when it has stopped."""
        filters = []
        for label in (f"project={self.project}", f"service={service}"):
            filters += ["--filter", f"label=com.docker.compose.{label}"]
        return docker("ps", "--all", "--quiet", *filters).strip()

    def set(self, name: str, value: str) -> None:
        """Write a line of `.env`."""
        with (self.root / ".env").open("a") as file:
            file.write(f"{name}={value}\n")

    def setting(self, name: str) -> str:
        """What `.env` says."""
        return self._settings()[name]

    def _settings(self) -> dict[str, str]:
        lines = (self.root / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)  # of two, the last counts

    def address(self, port: str) -> str:
        """Where a service is reached whose port has this name in `.env`."""
        return f"127.0.0.1:{self.setting(port)}"

    def keeps_to_itself(self) -> None:
        """Assert: on loopback alone, nothing is root's, no secret is seen in logs or in `ps`."""
        ends = ("_PASSWORD", "_KEY", "_TOKEN")
        secret = [value for name, value in self._settings().items() if name.endswith(ends)]
        for service in self.services:
            name = self.container(service)
            hosts = "{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{end}}{{end}}"
            assert set(of_each([name], hosts)) <= {ports.LOOPBACK}, service
            processes = docker("top", name, "-eo", "uid,pid,args")
            assert not re.search(r"^ *0 ", processes, re.MULTILINE), processes
            seen = processes + docker("logs", name)
            assert not [one for one in secret if one in seen], service

    def stops(self) -> None:
        """Assert that all of it stops when asked, and nothing is killed."""
        self.compose("stop")
        names = [self.container(service) for service in self.services]
        assert of_each(names, "{{.State.ExitCode}}") == ["0"] * len(names)
