"""Docker Compose as a command, and its failures in words."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from labs.errors import BrokerFailed, BrokerMissing

LAST_LINES = 15


class PublishedPortTaken(BrokerFailed):
    """Raised when somebody took a port between our look and Docker's bind."""


def run(root: Path, *arguments: str, without: Collection[str] = ()) -> None:
    """Run compose on the docker-compose.yml in `root`.

    The names in `without` are taken out of the environment: what stands in `.env`
    counts, even where this shell has such names of its own.

    Raises:
        BrokerMissing: there is no compose, or no engine.
        BrokerFailed: it failed; in words.
    """
    done = subprocess.run(
        [*command(), *arguments],
        cwd=root,
        env={name: value for name, value in os.environ.items() if name not in without},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise in_words(done.stderr + done.stdout)


def command() -> list[str]:
    """`docker compose`, else the older `docker-compose`.

    Raises:
        BrokerMissing: neither is installed.
    """
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise BrokerMissing(
        "Docker is here, but Docker Compose is not.",
        remedy="Install the package docker-compose-v2, docker-compose-plugin or docker-compose.",
    )


def in_words(said: str) -> BrokerMissing | BrokerFailed:
    """What compose printed when it failed, as a sentence and a cure."""
    lowered = said.lower()

    def says(*phrases: str) -> bool:
        return any(phrase in lowered for phrase in phrases)

    if says("port is already allocated", "address already in use", "ports are not available"):
        return PublishedPortTaken(
            "A port that the container was to be reached at has just been taken.",
            remedy="Try again; or set other ports in .env.",
        )
    if says("cannot connect to the docker daemon", "couldn't connect to docker", "docker.sock"):
        return no_engine(said)
    if says(
        "pull access denied", "manifest unknown", "no matching manifest", "failed to resolve",
        "no such host", "i/o timeout", "handshake timeout", "toomanyrequests", "error pulling",
        "connection refused", "not found: manifest", "repository does not exist",
    ):  # fmt: skip
        return BrokerFailed(
            f"Docker could not fetch the image. It said: {last_lines(said, 3)}",
            remedy="Is the network there? Or name an image that is: RABBITMQ_IMAGE=… in .env.",
        )
    return BrokerFailed(
        f"Docker Compose failed. The last it said:\n{last_lines(said, LAST_LINES)}",
        remedy="`docker compose up rabbitmq` in the checkout shows all of it.",
    )


def no_engine(said: str) -> BrokerMissing:
    if "permission denied" in said.lower():
        return BrokerMissing(
            "There is a Docker engine, but you may not talk to it.",
            remedy="Join its group and log in anew: sudo usermod -aG docker $USER",
        )
    return BrokerMissing(
        "No Docker engine answers.",
        remedy="Start Docker Desktop, or the service: sudo systemctl start docker",
    )


def last_lines(text: str, number: int) -> str:
    return "\n".join([line for line in text.splitlines() if line.strip()][-number:])
