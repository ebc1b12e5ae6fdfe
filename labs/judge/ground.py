"""Where a trial runs: a virtual host of its own, or the nearest thing that this broker allows.

`Fresh` is a fresh vhost with its own user and a random password. `Spare` is the same
on a spare private node of the judge's, which nobody else uses, so that it may be
restarted; it goes on running between checks, and `labs down` ends it. `Shared` is
for a class server where we are no administrator: names of the run's own in the
learner's vhost. What a ground cannot do it says with `NotPossibleHere`.

Each is a context manager: entering makes it, leaving removes all that came of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import IO, Protocol, Self

from labs.broker import locate
from labs.broker.address import Address
from labs.broker.binaries import installed
from labs.broker.connection import delete_queues
from labs.broker.management import Management
from labs.broker.node import PrivateNode
from labs.broker.state import FoundBroker, Source
from labs.errors import LabError, ManagementFailed, NotPossibleHere
from labs.judge.leftovers import Note
from labs.waiting import wait_until

BUSY_TIMEOUT_S = 180.0


class Ground(Protocol):
    """What a trial needs of a broker."""

    address: Address
    """Where the program is to go (by way of the proxy), with a password of its own."""
    queue: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def restart(self) -> str:
        """Restart the broker in an orderly way; returns how, in words."""

    def connections(self) -> Sequence[str]:
        """The names of the program's connections that the broker could close now."""

    def close_connections(self) -> None:
        """Let the broker close them."""

    def unacknowledged(self, queue: str) -> int | None:
        """How many messages of the queue are unacknowledged now; None: it can't be known."""


class Fresh:
    """A fresh vhost with its own user, through the management API, as an administrator."""

    def __init__(
        self,
        admin: Address,
        queue: str,
        note: Note,
        *,
        restart: Callable[[], str] | None = None,
    ) -> None:
        self._admin, self._note, self._restart = admin, note, restart
        self.queue = queue
        name = f"labs-check-{secrets.token_hex(6)}"
        self.address = replace(admin, vhost=name, username=name, password=secrets.token_urlsafe(18))

    def __enter__(self) -> Self:
        name = self.address.vhost
        self._note.add("vhosts", name)
        with Management(self._admin) as management:
            management.create_vhost(name)
            management.create_user(name, self.address.password)
            management.set_permissions(name, name)
        return self

    def __exit__(self, *_: object) -> None:
        remove_vhost(self._admin, self.address.vhost)
        self._note.remove("vhosts", self.address.vhost)

    def restart(self) -> str:
        """Restart it, where the broker is the kit's own."""
        if self._restart is None:
            raise NotPossibleHere("This broker is not ours to restart.")
        return self._restart()

    def connections(self) -> Sequence[str]:
        """Those of the trial's user."""
        with Management(self._admin) as management:
            return [str(one["name"]) for one in management.connections_of(self.address.username)]

    def close_connections(self) -> None:
        """Let the broker close all connections of the trial's user."""
        with Management(self._admin) as management:
            management.close_connections_of(self.address.username, "closed by the judge")

    def unacknowledged(self, queue: str) -> int | None:
        """Exact now: the broker asks the queue."""
        with Management(self._admin) as management:
            for one in management.queue_totals(self.address.vhost):
                if one.get("name") == queue:
                    count = one.get("messages_unacknowledged")
                    return None if count is None else int(count)
        return None


class Spare:
    """A fresh vhost on a private node that is the judge's own; made through `rabbitmqctl`."""

    def __init__(self, node: PrivateNode, queue: str, note: Note) -> None:
        self._node, self._note = node, note
        self.queue = queue
        self._name = f"labs-check-{secrets.token_hex(6)}"
        self.address = Address()

    def __enter__(self) -> Self:
        self._lock = self._take_turns()
        node_address = self._node.start()
        password = secrets.token_urlsafe(18)
        self._note.add("spare_vhosts", self._name)
        self._node.control(
            "eval",
            f'N = <<"{self._name}">>, A = <<"labs">>, All = <<".*">>, '
            f'rabbit_vhost:add(N, A), rabbit_auth_backend_internal:add_user(N, <<"{password}">>, A)'
            ", rabbit_auth_backend_internal:set_permissions(N, N, All, All, All, A).",
        )
        self.address = replace(
            node_address, vhost=self._name, username=self._name, password=password
        )
        return self

    def __exit__(self, *_: object) -> None:
        try:
            remove_spare_vhost(self._node, self._name)
            self._note.remove("spare_vhosts", self._name)
        finally:
            self._lock.close()

    def restart(self) -> str:
        """Stop and start RabbitMQ inside its process."""
        self._node.restart_inside()
        return "the judge's spare broker was stopped in an orderly way and started again"

    def connections(self) -> Sequence[str]:
        """It has no management API."""
        raise NotPossibleHere("The spare broker has no management API.")

    def close_connections(self) -> None:
        """The same."""
        self.connections()

    def unacknowledged(self, queue: str) -> int | None:
        """Not known without a management API."""
        del queue
        return None

    def _take_turns(self) -> IO[str]:
        """The lock on the node, so that nobody restarts it under another check's program."""
        import fcntl  # not on Windows, where there is no private node either

        self._node.home.parent.mkdir(parents=True, exist_ok=True)
        lock = self._node.home.with_name(f"{self._node.home.name}.turn").open("w")

        def taken() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        wait_until(taken, BUSY_TIMEOUT_S, what="another check to be done with the spare broker")
        return lock


class Shared:
    """Names of the run's own in a vhost that is the learner's, on a server that is not ours."""

    def __init__(self, address: Address, queue: str, note: Note) -> None:
        self.address, self._note = address, note
        self.queue = f"{queue}-{secrets.token_hex(4)}"

    @property
    def _queues(self) -> list[str]:
        return [self.queue, f"{self.queue}.failed"]

    def __enter__(self) -> Self:
        for queue in self._queues:
            self._note.add("queues", queue)
        return self

    def __exit__(self, *_: object) -> None:
        delete_queues(self.address, self._queues)
        for queue in self._queues:
            self._note.remove("queues", queue)

    def restart(self) -> str:
        """Never: others use it."""
        raise NotPossibleHere("A class server is not restarted: others use it.")

    def connections(self) -> Sequence[str]:
        """Not without an administrator's rights."""
        raise NotPossibleHere("Closing a connection at the broker needs an administrator there.")

    def close_connections(self) -> None:
        """The same."""
        self.connections()

    def unacknowledged(self, queue: str) -> int | None:
        """Not known without an administrator's rights."""
        del queue
        return None


def ground_for(found: FoundBroker, queue: str, note: Note, *, restarts: bool = False) -> Ground:
    """The best ground that this broker allows; `restarts`: one that can be restarted, if any.

    Raises:
        NotPossibleHere: it is to be restarted, and no broker may be.
    """
    if restarts and installed() is not None:
        return Spare(locate.spare_node(), queue, note)
    if restarts and found.source is not Source.DOCKER:
        raise NotPossibleHere(
            "The broker must be restarted, and no RabbitMQ is installed here for that.",
            remedy="Install RabbitMQ (`labs doctor` says how), or use the lab's own container.",
        )
    if restarts:
        return Fresh(found.address, queue, note, restart=_restart_container)
    if found.source is not Source.SERVER or is_administrator(found.address):
        return Fresh(found.address, queue, note)
    return Shared(found.address, queue, note)


def is_administrator(address: Address) -> bool:
    """Whether the management API is there and this user may make vhosts and users."""
    if not address.management_url:
        return False
    try:
        with Management(address) as management:
            tags = management.whoami().get("tags", "")
    except ManagementFailed:
        return False
    return "administrator" in (tags.split(",") if isinstance(tags, str) else tags)


def remove_vhost(admin: Address, name: str) -> None:
    """Delete the vhost and the user of that name, with all in it and all its connections."""
    with Management(admin) as management:
        management.delete_user(name)
        management.delete_vhost(name)


def remove_spare_vhost(node: PrivateNode, name: str) -> None:
    """The same on the spare node; where it does not run, later."""
    if node.is_running():
        with suppress(LabError):
            node.control(
                "eval",
                f'N = <<"{name}">>, A = <<"labs">>, '
                "catch rabbit_auth_backend_internal:delete_user(N, A), "
                "catch rabbit_vhost:delete(N, A).",
            )


def _restart_container() -> str:
    locate.own_container().restart()
    return "the lab's container was stopped in an orderly way and started again"
