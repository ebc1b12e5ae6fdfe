"""A RabbitMQ of one's own, from the installed programs, with no rights and no traces elsewhere.

Everything is under one folder: data, logs, the Erlang cookie, configuration, and
`node.json`, which says what runs. All of it listens on loopback only, the port
mapper (epmd) and the distribution port too. Its user has a random password;
`guest` is never made.

`start` returns once an AMQP handshake and a login succeeded; `stop` leaves no
process behind. Each process carries the folder's path in its environment, so that
even one that a crash made us forget is found and ended, and never a stranger's.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import psutil

from labs.broker import ports, processes
from labs.broker.address import Address
from labs.broker.binaries import Binaries, installed
from labs.broker.deaths import AFRESH, PortTaken, death_of
from labs.broker.files import read_json, write_private
from labs.broker.nodefiles import MARKER, NODENAME, USERNAME, NodeFiles, NodePorts
from labs.broker.processes import ProcessId
from labs.errors import BrokerFailed, BrokerMissing, BrokerUnreachable, WaitedTooLong
from labs.waiting import wait_until

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
START_ATTEMPTS = 4
AMQP_PORT, MANAGEMENT_PORT = 5672, 15672
ROOM_NEEDED_B = 100_000_000
"""Below 50 MB RabbitMQ lets nobody publish; what it writes to start comes on top."""

Progress = Callable[[str], None]


def silent(_: str) -> None:
    """Progress told to nobody."""


class PrivateNode:
    """One RabbitMQ node whose whole life is in the folder `home`.

    `amqp_port` and `management_port` insist on a port; without them the usual
    ones are taken where they are free. `extra_config` is lines for rabbitmq.conf.
    Without `management` there is no management API, and the node starts and
    restarts in less time.
    """

    def __init__(
        self,
        home: Path,
        *,
        binaries: Binaries | None = None,
        amqp_port: int | None = None,
        management_port: int | None = None,
        extra_config: str = "",
        management: bool = True,
    ) -> None:
        self.home = home.absolute()
        self.files = NodeFiles(self.home, management)
        self._binaries = binaries
        self._amqp_port = amqp_port
        self._management_port = management_port
        self._extra_config = extra_config
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, progress: Progress | None = None) -> Address:
        """Make the node run and return its address; one that runs already is left alone.

        `progress` is told in words what is being done.

        Raises:
            BrokerMissing: no RabbitMQ is installed.
            BrokerFailed: it did not start; with the last lines of its log.
        """
        usual, last = NodePorts(AMQP_PORT, MANAGEMENT_PORT, 0, 0), self._ports()
        # Where the usual ones are taken, those it had last: who knew it there finds it again.
        return self._start(progress or silent, [usual, last] if last else [usual])

    def stop(self) -> None:
        """Stop the node in an orderly way, and whatever belongs to it."""
        if server := self._server():
            processes.end([server], timeout_s=STOP_TIMEOUT_S)
        self._end_rest()

    def kill(self) -> None:
        """Kill the node as a power cut would (SIGKILL): nothing is saved, no goodbye is said."""
        if server := self._server():
            processes.kill([server])
        self._end_rest()

    def restart(self, progress: Progress | None = None) -> Address:
        """Stop in an orderly way and start, on the same ports if nobody took them meanwhile."""
        before = self._ports()
        self.stop()
        if before is None:
            return self.start(progress)
        return self._start(progress or silent, [before])

    def restart_inside(self) -> None:
        """Stop and start RabbitMQ in an orderly way, in the same process: quicker than `restart`.

        Raises:
            BrokerFailed: it did not come back; with its words.
        """
        self.control("eval", "rabbit:stop(), rabbit:start().")
        if (address := self.address) is not None:
            self._wait_until_ready(address)

    def wipe(self) -> None:
        """End the node and delete its folder: queues, messages, users, logs."""
        self.kill()  # nothing is to be saved
        shutil.rmtree(self.home, ignore_errors=True)
        self._lock_file.unlink(missing_ok=True)

    def is_running(self) -> bool:
        """Whether the node's process lives."""
        return self._server() is not None

    @property
    def pid(self) -> int | None:
        """The id of the node's process; None when it does not run."""
        server = self._server()
        return server.pid if server else None

    @property
    def address(self) -> Address | None:
        """Where the node is, or would be again; None before its first start."""
        its_ports, password = self._ports(), self.files.password()
        if its_ports is None or password is None:
            return None
        return Address(
            host=ports.LOOPBACK,
            port=its_ports.amqp,
            username=USERNAME,
            password=password,
            management_url=self.files.management_url(its_ports),
        )

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of what the node said."""
        return self.files.log_tail(lines)

    def control(self, *arguments: str, answer: str = "", timeout_s: float = 60.0) -> str:
        """Run `rabbitmqctl` on the node and return what it printed (about a second a call).

        `answer` is what it reads: a password is no argument, which everybody could see.

        Raises:
            BrokerFailed: it failed; with its words.
        """
        its_ports = self._ports()
        if its_ports is None:
            raise BrokerFailed("The node was never started.", remedy="Run `labs up`.")
        binaries = self._installed()
        done = subprocess.run(
            binaries.command("rabbitmqctl", "-n", NODENAME, *arguments),
            env=self.files.environment(its_ports, binaries),
            input=answer,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            raise BrokerFailed(f"rabbitmqctl {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def _start(self, progress: Progress, preferred: list[NodePorts]) -> Address:
        self._check_folder()
        with self._locked(progress):
            running = self.address if self.is_running() else None
            if running is not None:
                self._wait_until_ready(running)
                return running
            self._installed()
            self._end_rest()
            self._check_room()
            for attempt in range(1, START_ATTEMPTS + 1):
                try:
                    return self._start_on(self._choose_ports(preferred), progress)
                except PortTaken:
                    if attempt == START_ATTEMPTS:
                        raise
                    progress("somebody took a port meanwhile: trying others")
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _start_on(self, its_ports: NodePorts, progress: Progress) -> Address:
        try:
            self.files.write(its_ports, self._installed(), self._extra_config)
            self._remember(its_ports, None)
            progress(f"RabbitMQ {self._installed().version} starts on port {its_ports.amqp}")
            self._launch(its_ports)
            address = self.address
            assert address is not None, "its ports and password have just been written"
            self._wait_until_ready(address)
        except BaseException:  # a Ctrl-C too: what is half started must not stay
            self.kill()
            raise
        return address

    def _launch(self, its_ports: NodePorts) -> None:
        binaries = self._installed()
        environment = self.files.environment(its_ports, binaries)
        self.files.forget_what_was_said()
        with self.files.console.open("wb") as output:

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

            # The port mapper is started first, as ours: else the node starts one that outlives it.
            epmd = binaries.epmd_command(its_ports.epmd)
            self._children = [spawn(epmd)] if epmd else []
            server = spawn(binaries.command("rabbitmq-server"))
            self._children.append(server)
        self._remember(its_ports, ProcessId.of(server.pid))

    def _wait_until_ready(self, address: Address) -> None:
        from labs.broker.connection import log_in  # pika takes time to import: when needed

        last_word: list[BrokerUnreachable] = []
        mended = False

        def ready() -> bool:
            nonlocal mended
            if not self.is_running() or any(child.poll() for child in self._children):
                raise death_of(self.files)
            if ports.is_free(address.port):
                return False
            try:
                log_in(address)
            except BrokerUnreachable as refused:
                last_word[:] = [refused]
                if "ACCESS_REFUSED" in repr(refused.__cause__) and not mended:
                    # The data are older than the password: login.json was lost or torn.
                    mended = True
                    with suppress(BrokerFailed):  # or it was somebody else's broker that refused
                        self.control("change_password", USERNAME, answer=address.password)
                return False
            return True

        try:
            wait_until(ready, START_TIMEOUT_S, interval_s=0.1)
        except WaitedTooLong:
            raise BrokerFailed(
                f"RabbitMQ runs and was not ready after {START_TIMEOUT_S:g} s. "
                f"{last_word[0] if last_word else ''} "
                f"The last lines of its log:\n{self.log_tail(12)}",
                remedy=f"`labs restart` may cure it; else: {AFRESH}",
            ) from None

    def _check_folder(self) -> None:
        if found := re.search(r"""['"`$\\\n]""", str(self.home)):
            raise BrokerFailed(
                f"RabbitMQ can't work in a folder with {found[0]!r} in its path: {self.home}",
                remedy="Move the checkout, or set LABS_HOME to a folder with a plainer path.",
            )

    def _check_room(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        room = shutil.disk_usage(self.home).free
        if room < ROOM_NEEDED_B:
            raise BrokerFailed(
                f"Only {room // 1_000_000} MB are free on the disk of {self.home}; RabbitMQ needs "
                f"{ROOM_NEEDED_B // 1_000_000} MB, or it lets nobody publish.",
                remedy="Make room, or set LABS_HOME to a folder on another disk.",
            )

    def _choose_ports(self, preferred: list[NodePorts]) -> NodePorts:
        for wanted in (self._amqp_port, self._management_port):
            if wanted is not None and not ports.is_free(wanted):
                who = ports.holder(wanted)
                raise BrokerFailed(
                    f"Port {wanted} is taken by another program{who and f' ({who})'}.",
                    remedy="Leave the choice to the kit, or end that program.",
                )
        amqp = self._amqp_port or ports.free_port(one.amqp for one in preferred)
        management = self._management_port or ports.free_port(
            (one.management for one in preferred), avoid=[amqp]
        )
        chosen = [amqp, management]
        chosen.append(ports.free_port(avoid=chosen))
        chosen.append(ports.free_port(avoid=chosen))
        return NodePorts(*chosen)

    def _installed(self) -> Binaries:
        self._binaries = self._binaries or installed()
        if self._binaries is None:
            raise BrokerMissing("No RabbitMQ is installed here.", remedy="Run `labs up`.")
        return self._binaries

    def _remember(self, its_ports: NodePorts, server: ProcessId | None) -> None:
        known = {"ports": asdict(its_ports), "server": asdict(server) if server else None}
        write_private(self.files.state, json.dumps(known))

    def _ports(self) -> NodePorts | None:
        try:
            return NodePorts(**read_json(self.files.state)["ports"])
        except (KeyError, TypeError):
            return None

    def _server(self) -> psutil.Process | None:
        for child in self._children:
            child.poll()  # lets a child of ours that ended be gone
        try:
            return ProcessId(**read_json(self.files.state)["server"]).process()
        except (KeyError, TypeError):
            return None

    def _end_rest(self) -> None:
        processes.end(processes.carrying(MARKER, str(self.home)), timeout_s=STOP_TIMEOUT_S)

    @property
    def _lock_file(self) -> Path:
        return self.home.with_name(f"{self.home.name}.lock")

    @contextmanager
    def _locked(self, progress: Progress) -> Iterator[None]:
        """Only one at a time may start this node; who comes second finds it running."""
        import fcntl  # not on Windows, where there is no private node either

        self.home.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress("another command is starting the broker: waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
