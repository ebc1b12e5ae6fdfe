"""Three RabbitMQs that are one cluster, private and on loopback only, to lose a node of.

They find each other by their names (classic peer discovery), share a cookie and a port
mapper, and are otherwise nodes as `labs.broker` makes them: without management, in folders of
their own. `cluster.kill(node)` is a power cut.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from labs.broker import ports, processes
from labs.broker.address import Address
from labs.broker.binaries import Binaries
from labs.broker.connection import log_in
from labs.broker.files import write_private
from labs.broker.nodefiles import MARKER, USERNAME, NodeFiles, NodePorts
from labs.errors import BrokerUnreachable
from labs.waiting import wait_until

SIZE = 3
START_TIMEOUT_S = 180.0


class Cluster:
    """Three nodes whose whole life is in the folder `home`, for the length of a `with` block."""

    def __init__(self, home: Path, binaries: Binaries) -> None:
        self.home = home
        self._binaries = binaries
        self._files = [NodeFiles(home / f"n{number}", management=False) for number in range(SIZE)]
        taken: list[int] = []
        for _ in range(2 * SIZE + 1):
            taken.append(ports.free_port(avoid=taken))
        self._ports = [NodePorts(taken[2 * n], 0, taken[2 * n + 1], taken[-1]) for n in range(SIZE)]
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def names(self) -> list[str]:
        """The nodes' names, as the broker knows them."""
        return [f"n{number}@localhost" for number in range(SIZE)]

    @property
    def addresses(self) -> list[Address]:
        """Where the nodes are, in the order of their names."""
        password = self._files[0].password() or ""
        return [
            Address(host=ports.LOOPBACK, port=each.amqp, username=USERNAME, password=password)
            for each in self._ports
        ]

    def __enter__(self) -> Self:
        for files, its_ports in zip(self._files, self._ports, strict=True):
            files.home.mkdir(parents=True)
            for shared in (".erlang.cookie", "login.json"):
                if (first := self._files[0].home / shared).exists():
                    write_private(files.home / shared, first.read_text())
            files.write(its_ports, self._binaries, self._formation())
        try:
            if epmd := self._binaries.epmd_command(self._ports[0].epmd):
                self._spawn(0, epmd)
            for number in range(SIZE):
                self._spawn(number, self._binaries.command("rabbitmq-server"))
            wait_until(self._is_ready, START_TIMEOUT_S, what="the cluster", interval_s=0.2)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for files in reversed(self._files):  # the first has the port mapper
            processes.kill(processes.carrying(MARKER, str(files.home)))
        for child in self._children:
            child.wait()

    def kill(self, name: str) -> None:
        """Kill this node as a power cut would."""
        server = self._children[-SIZE:][self.names.index(name)]
        server.kill()
        server.wait()

    def control(self, *arguments: str, through: str) -> str:
        """Run `rabbitmqctl` on this node and return what it printed."""
        number = self.names.index(through)
        return subprocess.run(
            self._binaries.command("rabbitmqctl", "-n", through, *arguments),
            env=self._environment(number),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    def _formation(self) -> str:
        lines = ["cluster_formation.peer_discovery_backend = classic_config"]
        for number, name in enumerate(self.names, 1):
            lines.append(f"cluster_formation.classic_config.nodes.{number} = {name}")
        return "\n".join(lines)

    def _environment(self, number: int) -> dict[str, str]:
        environment = self._files[number].environment(self._ports[number], self._binaries)
        return environment | {"RABBITMQ_NODENAME": self.names[number]}

    def _spawn(self, number: int, command: list[str]) -> None:
        files = self._files[number]
        with files.console.open("ab") as output:
            self._children.append(
                subprocess.Popen(
                    command,
                    env=self._environment(number),
                    cwd=files.home,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def _is_ready(self) -> bool:
        for child, files in zip(self._children[-SIZE:], self._files, strict=True):
            assert child.poll() is None, f"a node ended:\n{files.log_tail(20)}"
        if any(ports.is_free(address.port) for address in self.addresses):
            return False
        try:
            for address in self.addresses:
                log_in(address)
        except BrokerUnreachable:
            return False
        said = self.control("cluster_status", "--formatter", "json", through=self.names[0])
        return all(said.count(name) > 1 for name in self.names)
