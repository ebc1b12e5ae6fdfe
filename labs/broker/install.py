"""What to do where no RabbitMQ is installed: install it, or say exactly how.

Only Debian and Ubuntu are helped by us, where one is root or sudo asks for no
password, and never silently. The package's service is not to start: the kit's
brokers are private, and a second RabbitMQ on 5672 would only be in the way. Debian's
way to say so is a `policy-rc.d` that exits 101 while the package is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labs.errors import BrokerMissing

HOW_TO_INSTALL = """\
Install one of these, then run the same command again:
  Debian, Ubuntu   sudo apt-get install rabbitmq-server
  Fedora           sudo dnf install rabbitmq-server
  macOS            brew install rabbitmq
  Windows          winget install Docker.DockerDesktop   (and work in WSL, or with Docker alone)
  Docker           labs up --with docker   (where a Docker engine runs)
Or use a class server: labs up --url amqp://user:password@host:5672/vhost"""
POLICY = Path("/usr/sbin/policy-rc.d")
NOT_AT_BOOT = (
    "deb-systemd-helper disable rabbitmq-server.service; update-rc.d rabbitmq-server disable"
)
NO_SERVICES = "#!/bin/sh\nexit 101\n"

Progress = Callable[[str], None]


def nothing_installed(why: str = "No RabbitMQ and no Docker engine was found.") -> BrokerMissing:
    """The exception that says how to get a broker."""
    return BrokerMissing(why, remedy=HOW_TO_INSTALL)


def can_install() -> bool:
    """Whether we may install the package: Debian's apt, as root or by sudo without a password."""
    if shutil.which("apt-get") is None:
        return False
    if os.geteuid() == 0:
        return True
    if shutil.which("sudo") is None:
        return False
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return asked.returncode == 0


def install(progress: Progress) -> None:
    """Install Debian's package rabbitmq-server, its service neither started nor enabled.

    Raises:
        BrokerMissing: apt failed; with its last lines.
    """
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    progress("apt-get installs rabbitmq-server")
    with _services_stay_off(sudo):
        done = _apt(sudo, "install", "--yes", "--no-install-recommends", "rabbitmq-server")
        if done.returncode:
            progress("apt-get knows too little: updating its lists")
            _apt(sudo, "update")
            done = _apt(sudo, "install", "--yes", "--no-install-recommends", "rabbitmq-server")
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-6:])
        raise nothing_installed(f"apt-get could not install rabbitmq-server:\n{said}")
    subprocess.run([*sudo, "sh", "-c", NOT_AT_BOOT], capture_output=True, check=False)


def _apt(sudo: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
    return subprocess.run(
        [*sudo, *quiet, "apt-get", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def _services_stay_off(sudo: list[str]) -> Iterator[None]:
    """Let no package start a service for the length of the block; a policy of the house returns."""
    kept = POLICY.with_name("policy-rc.d.before-queue-labs")

    def run(*command: str, text: str = "") -> None:
        subprocess.run([*sudo, *command], input=text, text=True, check=True, capture_output=True)

    had_one = POLICY.exists()
    if had_one:
        run("mv", str(POLICY), str(kept))
    try:
        run("tee", str(POLICY), text=NO_SERVICES)
        run("chmod", "755", str(POLICY))
        yield
    finally:
        run("rm", "-f", str(POLICY))
        if had_one:
            run("mv", str(kept), str(POLICY))
