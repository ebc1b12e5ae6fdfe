"""What a private node is told: its ports, its configuration, its environment.

All of it is written under the node's own folder, and the environment holds nothing
of the caller's RabbitMQ or Erlang settings, so that a node is the same in every
shell.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from labs.broker import ports
from labs.broker.binaries import Binaries
from labs.broker.files import read_json, write_private
from labs.broker.versions import configuration_for

MARKER = "LABS_NODE"
"""Each process of a node has this in its environment, with the node's folder as value."""
USERNAME = "lab"
NODENAME = "lab@localhost"


@dataclass(frozen=True)
class NodePorts:
    """The four loopback ports of a node."""

    amqp: int
    management: int
    distribution: int
    epmd: int


@dataclass(frozen=True)
class NodeFiles:
    """The files under a node's folder `home`."""

    home: Path
    management: bool = True
    """Whether the node has the management plugin."""

    @property
    def log(self) -> Path:
        """RabbitMQ's log."""
        return self.home / "log" / "node.log"

    @property
    def console(self) -> Path:
        """What the node printed: all there is when it fails before it has a log."""
        return self.home / "log" / "console.log"

    @property
    def state(self) -> Path:
        """Which process runs, on which ports."""
        return self.home / "node.json"

    @property
    def data(self) -> Path:
        """Queues, messages, users."""
        return self.home / "data"

    def password(self) -> str | None:
        """The password of the node's user; None before the first start."""
        password = read_json(self.home / "login.json").get("password")
        return password if isinstance(password, str) and password else None

    def write(self, its_ports: NodePorts, binaries: Binaries, extra_config: str) -> None:
        """Write all that the node reads; the cookie and the password stay what they were."""
        for folder in (self.data, self.home / "log", self.home / "etc", self.home / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        cookie = self.home / ".erlang.cookie"
        if not cookie.exists():
            write_private(cookie, secrets.token_hex(16).upper())
        password = self.password() or secrets.token_urlsafe(18)
        write_private(self.home / "login.json", json.dumps({"password": password}))
        plugins = "rabbitmq_management" if self.management else ""
        write_private(self.home / "etc" / "enabled_plugins", f"[{plugins}].\n")
        configuration = [
            f"listeners.tcp.1 = {ports.LOOPBACK}:{its_ports.amqp}",
            # The first user, made in place of guest when the data folder is new.
            f"default_user = {USERNAME}",
            f"default_pass = {password}",
            # The management page shows what happens nearly when it happens.
            "collect_statistics_interval = 500",
            configuration_for(binaries.version),
            extra_config,
        ]
        if self.management:  # without the plugin these would be unknown, and the node not start
            configuration += [
                f"management.tcp.ip = {ports.LOOPBACK}",
                f"management.tcp.port = {its_ports.management}",
            ]
        write_private(self.home / "etc" / "rabbitmq.conf", "\n".join(configuration) + "\n")

    def management_url(self, its_ports: NodePorts) -> str | None:
        """The management API's root; None without the plugin."""
        return f"http://{ports.LOOPBACK}:{its_ports.management}" if self.management else None

    def environment(self, its_ports: NodePorts, binaries: Binaries) -> dict[str, str]:
        """The whole environment of the node and of `rabbitmqctl` for it."""
        kept = ("PATH", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
        inside = binaries.inside
        etc = self.home / "etc"
        return {name: os.environ[name] for name in kept if name in os.environ} | {
            MARKER: str(self.home),
            "LANG": "C.UTF-8",  # else a folder's name beyond ASCII is misread
            "HOME": inside(self.home),  # the Erlang cookie is there
            # The launching script makes way for the server: its process id is the server's.
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_CRASH_DUMP": inside(self.home / "log" / "erl_crash.dump"),
            "ERL_EPMD_ADDRESS": ports.LOOPBACK,
            "ERL_EPMD_PORT": str(its_ports.epmd),
            "RABBITMQ_NODENAME": NODENAME,
            "RABBITMQ_NODE_IP_ADDRESS": ports.LOOPBACK,
            "RABBITMQ_NODE_PORT": str(its_ports.amqp),
            "RABBITMQ_DIST_PORT": str(its_ports.distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": inside(self.data),
            "RABBITMQ_LOG_BASE": inside(self.home / "log"),
            "RABBITMQ_LOGS": inside(self.log),
            "RABBITMQ_PID_FILE": inside(self.home / "tmp" / "pid"),
            "RABBITMQ_CONFIG_FILE": inside(etc / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": inside(etc / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": inside(etc / "env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": inside(etc / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": inside(self.home / "tmp" / "config"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": inside(self.home / "tmp" / "plugins"),
        }

    def log_tail(self, lines: int) -> str:
        """The last lines of the log, or of the output where there is no log yet."""
        for path in (self.log, self.console):
            if said := [line for line in _text(path).splitlines() if line.strip()]:
                return "\n".join(said[-lines:])
        return ""

    def said(self) -> str:
        """All that the node said since its last start."""
        return _text(self.console) + _text(self.log)

    def forget_what_was_said(self) -> None:
        """Begin new logs."""
        self.log.unlink(missing_ok=True)
        self.console.unlink(missing_ok=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
