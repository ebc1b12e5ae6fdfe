"""A RabbitMQ of one's own, from the installed programs, with no rights and no traces elsewhere.

Everything is under one folder: the data, the logs, the Erlang cookie, the
configuration, and `node.json`, which says what runs. All listens on loopback only,
the port mapper (epmd) and the distribution port too. Its user has a random
password; `guest` is never made.

`start` returns once an AMQP handshake and a login succeeded; `stop` leaves no
process behind. Each process carries the folder's path in its environment, so that
even one that a crash made us forget is found and ended, and never a stranger's.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from labs.broker import ports, processes
from labs.broker.address import Address
from labs.broker.binaries import Binaries, installed
from labs.broker.files import read_json, write_private
from labs.broker.processes import ProcessId
from labs.errors import BrokerFailed, BrokerMissing, BrokerUnreachable
from labs.waiting import wait_until

MARKER = "LABS_NODE"
USERNAME = "lab"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
START_ATTEMPTS = 4
AMQP_PORT, MANAGEMENT_PORT = 5672, 15672

Progress = Callable[[str], None]


@dataclass(frozen=True)
class NodePorts:
    """The four loopback ports of a node."""

    amqp: int
    management: int
    distribution: int
    epmd: int


class PortTaken(BrokerFailed):
    """Raised when somebody took one of the node's ports between the look and the bind."""


class PrivateNode:
    """One RabbitMQ node whose whole life is in the folder `home`.

    `amqp_port` and `management_port` insist on a port; without them the usual
    ones are taken where they are free. `extra_config` is lines for rabbitmq.conf.
    """

    def __init__(
        self,
        home: Path,
        *,
        binaries: Binaries | None = None,
        amqp_port: int | None = None,
        management_port: int | None = None,
        extra_config: str = "",
    ) -> None:
        self.home = home.absolute()
        self._binaries = binaries
        self._amqp_port = amqp_port
        self._management_port = management_port
        self._extra_config = extra_config
        self._child: subprocess.Popen[bytes] | None = None

    # What one does with it.

    def start(self, progress: Progress | None = None) -> Address:
        """Make the node run and return its address; one that runs already is left alone.

        `progress` is told in words what is being done.

        Raises:
            BrokerMissing: no RabbitMQ is installed.
            BrokerFailed: it did not start; with the last lines of its log.
        """
        return self._start(progress or (lambda _: None), [AMQP_PORT], [MANAGEMENT_PORT])

    def stop(self) -> None:
        """Stop the node in an orderly way, and whatever belongs to it."""
        if server := self._server():
            _signal(server, signal.SIGTERM)
            _gone(server, STOP_TIMEOUT_S)
        self._end_rest()

    def kill(self) -> None:
        """Kill the node as a power cut would (SIGKILL): nothing is saved, no goodbye is said."""
        if server := self._server():
            processes.kill([server])
        self._end_rest()

    def restart(self, progress: Progress | None = None) -> Address:
        """Stop in an orderly way and start on the same ports."""
        before = self._ports()
        self.stop()
        if before is None:
            return self.start(progress)
        return self._start(progress or (lambda _: None), [before.amqp], [before.management])

    def wipe(self) -> None:
        """Stop the node and delete its folder: queues, messages, users, logs."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def is_running(self) -> bool:
        """Whether the node's process lives."""
        return self._server() is not None

    @property
    def address(self) -> Address | None:
        """Where the node is, or would be again; None before its first start."""
        its_ports, password = self._ports(), self._password()
        if its_ports is None or password is None:
            return None
        return Address(
            host=ports.LOOPBACK,
            port=its_ports.amqp,
            username=USERNAME,
            password=password,
            management_url=f"http://{ports.LOOPBACK}:{its_ports.management}",
        )

    @property
    def log(self) -> Path:
        """The node's log."""
        return self.home / "log" / "node.log"

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of what the node said: of its log, and of its output before that."""
        said: list[str] = []
        for path in (self.log, self.home / "log" / "console.log"):
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            said = [line for line in text.splitlines() if line.strip()][-lines:]
            if said:
                break
        return "\n".join(said)

    def control(self, *arguments: str, timeout_s: float = 60.0) -> str:
        """Run `rabbitmqctl` on the node and return what it printed (about a second a call).

        Raises:
            BrokerFailed: it failed; with its words.
        """
        its_ports = self._ports()
        if its_ports is None:
            raise BrokerFailed("The node was never started.", remedy="Run `labs up`.")
        done = subprocess.run(
            self._installed().command("rabbitmqctl", "-n", "lab@localhost", *arguments),
            env=self._environment(its_ports),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            raise BrokerFailed(f"rabbitmqctl {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    # How it is done.

    def _start(self, progress: Progress, amqp: list[int], management: list[int]) -> Address:
        with self._locked():
            running = self.address if self.is_running() else None
            if running is not None:
                self._wait_until_ready(running)
                return running
            self._installed()
            self._end_rest()
            for attempt in range(1, START_ATTEMPTS + 1):
                its_ports = self._choose_ports(amqp, management)
                try:
                    return self._start_on(its_ports, progress)
                except PortTaken:
                    if attempt == START_ATTEMPTS:
                        raise
                    progress("a port was taken meanwhile: trying others")
        raise AssertionError("unreachable")

    def _start_on(self, its_ports: NodePorts, progress: Progress) -> Address:
        self._write_files(its_ports)
        environment = self._environment(its_ports)
        try:
            self._launch(its_ports, environment)
            address = self.address
            assert address is not None
            progress(f"RabbitMQ {self._installed().version} starts on port {its_ports.amqp}")
            self._wait_until_ready(address)
        except BaseException:
            self.kill()
            raise
        return address

    def _launch(self, its_ports: NodePorts, environment: dict[str, str]) -> None:
        console = self.home / "log" / "console.log"
        self.log.unlink(missing_ok=True)
        with console.open("wb") as output:

            def spawn(command: list[str]) -> subprocess.Popen[bytes]:
                return subprocess.Popen(
                    command,
                    env=environment,
                    cwd=self.home,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a Ctrl-C at the terminal is not for the node
                )

            binaries = self._installed()
            if epmd := binaries.epmd():
                prefix = binaries.command("epmd")[:-1]
                # Ours is started first: else the node starts one that outlives it.
                spawn([*prefix, str(epmd), "-port", str(its_ports.epmd)])
            self._child = spawn(binaries.command("rabbitmq-server"))
        server = ProcessId.of(self._child.pid)
        self._remember(its_ports, server)

    def _wait_until_ready(self, address: Address) -> None:
        from labs.broker.connection import log_in  # pika is imported when it is needed

        deadline = time.monotonic() + START_TIMEOUT_S

        def ready() -> bool:
            if not self.is_running():
                self._explain_death()
            if ports.is_free(address.port):
                return False
            try:
                log_in(address, timeout_s=5.0)
            except BrokerUnreachable:
                if time.monotonic() >= deadline:
                    raise
                return False
            return True

        wait_until(ready, START_TIMEOUT_S, what="RabbitMQ to be ready", interval_s=0.1)

    def _explain_death(self) -> None:
        said = self.log_tail()
        kind = PortTaken if "eaddrinuse" in said else BrokerFailed
        raise kind(
            f"RabbitMQ did not start. The last it said:\n{said}",
            remedy=f"The whole log is {self.log}.",
        )

    def _choose_ports(self, amqp: list[int], management: list[int]) -> NodePorts:
        chosen_amqp = self._amqp_port or ports.free_port(amqp)
        chosen_management = self._management_port or ports.free_port(
            management, avoid=[chosen_amqp]
        )
        taken = [chosen_amqp, chosen_management]
        distribution = ports.free_port(avoid=taken)
        return NodePorts(
            amqp=chosen_amqp,
            management=chosen_management,
            distribution=distribution,
            epmd=ports.free_port(avoid=[*taken, distribution]),
        )

    def _write_files(self, its_ports: NodePorts) -> None:
        for folder in ("data", "log", "etc", "tmp"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        cookie = self.home / ".erlang.cookie"
        if not cookie.exists():
            write_private(cookie, secrets.token_hex(16).upper())
        cookie.chmod(0o400)
        password = self._password() or secrets.token_urlsafe(18)
        write_private(self.home / "login.json", json.dumps({"password": password}))
        write_private(self.home / "etc" / "enabled_plugins", "[rabbitmq_management].\n")
        write_private(self.home / "etc" / "rabbitmq.conf", self._configuration(its_ports, password))
        self._remember(its_ports, None)

    def _configuration(self, its_ports: NodePorts, password: str) -> str:
        from labs.broker.versions import configuration_for

        return "\n".join(
            [
                f"listeners.tcp.1 = {ports.LOOPBACK}:{its_ports.amqp}",
                f"management.tcp.ip = {ports.LOOPBACK}",
                f"management.tcp.port = {its_ports.management}",
                f"default_user = {USERNAME}",
                f"default_pass = {password}",
                # The management page shows what happens nearly when it happens.
                "collect_statistics_interval = 500",
                configuration_for(self._installed().version),
                self._extra_config,
                "",
            ]
        )

    def _environment(self, its_ports: NodePorts) -> dict[str, str]:
        kept = ("PATH", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
        inside = self._installed().inside
        etc = self.home / "etc"
        return {name: os.environ[name] for name in kept if name in os.environ} | {
            MARKER: str(self.home),
            "LANG": "C.UTF-8",
            "HOME": inside(self.home),
            # The launching script makes way for the server, so that its process id is the server's.
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_EPMD_ADDRESS": ports.LOOPBACK,
            "ERL_EPMD_PORT": str(its_ports.epmd),
            "RABBITMQ_NODENAME": "lab@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": ports.LOOPBACK,
            "RABBITMQ_NODE_PORT": str(its_ports.amqp),
            "RABBITMQ_DIST_PORT": str(its_ports.distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ("-kernel inet_dist_use_interface {127,0,0,1}"),
            "RABBITMQ_MNESIA_BASE": inside(self.home / "data"),
            "RABBITMQ_LOG_BASE": inside(self.home / "log"),
            "RABBITMQ_LOGS": inside(self.log),
            "RABBITMQ_PID_FILE": inside(self.home / "data" / "pid"),
            "RABBITMQ_CONFIG_FILE": inside(etc / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": inside(etc / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": inside(etc / "env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": inside(etc / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": inside(self.home / "tmp" / "config"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": inside(self.home / "tmp" / "plugins"),
        }

    def _installed(self) -> Binaries:
        found = self._binaries or installed()
        if found is None:
            raise BrokerMissing("No RabbitMQ is installed on this machine.")
        self._binaries = found
        return found

    # What it remembers, and what it finds when it remembers nothing.

    def _remember(self, its_ports: NodePorts, server: ProcessId | None) -> None:
        known = {"ports": asdict(its_ports), "server": asdict(server) if server else None}
        write_private(self.home / "node.json", json.dumps(known))

    def _known(self) -> dict[str, Any]:
        return read_json(self.home / "node.json")

    def _ports(self) -> NodePorts | None:
        try:
            return NodePorts(**self._known()["ports"])
        except (KeyError, TypeError):
            return None

    def _password(self) -> str | None:
        password = read_json(self.home / "login.json").get("password")
        return password if isinstance(password, str) else None

    def _server(self) -> psutil.Process | None:
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        try:
            return ProcessId(**self._known()["server"]).process()
        except (KeyError, TypeError):
            return None

    def _end_rest(self) -> None:
        processes.end(processes.carrying(MARKER, str(self.home)), timeout_s=STOP_TIMEOUT_S)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl

        self.home.parent.mkdir(parents=True, exist_ok=True)
        with self.home.with_name(self.home.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _signal(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _gone(process: psutil.Process, timeout_s: float) -> bool:
    _, alive = psutil.wait_procs([process], timeout=timeout_s)
    return not alive
