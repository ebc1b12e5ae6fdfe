"""Everything that a lab needs, looked at once: each finding is fine, or comes with its cure.

The rows come in the order in which things depend on one another: a row that rests
on one that failed is left out of the look (`SKIPPED`), so that the first cure is
the one to try. Looking changes nothing, but for a queue of its own that goes with
its connection.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import metadata

from labs.broker import locate, ports
from labs.broker.address import Address
from labs.broker.binaries import installed
from labs.broker.connection import ServerFacts, log_in, try_permissions
from labs.broker.explain import explain, row_of
from labs.broker.install import HOW_TO_INSTALL
from labs.broker.management import Management
from labs.broker.node import AMQP_PORT, ROOM_NEEDED_B
from labs.broker.state import FoundBroker, Source, labs_home
from labs.broker.versions import NEWEST, OLDEST, series_of
from labs.errors import BadInput, BrokerUnreachable, ManagementFailed

HEARTBEAT_TOO_LONG_S = 120
MANAGEMENT_PORT, MANAGEMENT_TLS_PORT = 15672, 15671


class State(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    CAREFUL = "careful"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One row of the doctor's table: sentences for people."""

    name: str
    state: State
    what: str
    cure: str = ""


def examine(url: str | None = None) -> Iterator[Finding]:
    """Look at everything, the broker at `url` or the one in use; yield what is found, in order."""
    yield _python()
    yield _folder()
    yield _docker()
    try:
        found = locate.given(url) or locate.running()
    except BadInput as error:
        yield Finding("broker", State.BAD, str(error), error.remedy)
        return
    yield _broker(found)
    if found is None:
        return
    yield (port := _port(found.address))
    if port.state is State.BAD:
        yield from _skipped("login", "vhost", "permissions", "version", "heartbeat", "management")
        return
    yield from _logged_in(found.address)
    yield from _management(found)


def _python() -> Finding:
    what = f"{sys.version.split()[0]}, pika {metadata.version('pika')} ({sys.executable})"
    return Finding("Python", State.OK, what)


def _folder() -> Finding:
    home = labs_home()
    there = next(folder for folder in [home, *home.parents] if folder.exists())
    room = shutil.disk_usage(there).free
    if room < ROOM_NEEDED_B:
        return Finding(
            "folder",
            State.BAD,
            f"Only {room // 1_000_000} MB are free on the disk of {home}.",
            "Make room, or set LABS_HOME to a folder on another disk.",
        )
    try:
        (there / ".labs-doctor").touch()
        (there / ".labs-doctor").unlink()
    except OSError as error:
        return Finding(
            "folder",
            State.BAD,
            f"{there} can't be written to: {error.strerror}.",
            "Was it made as another user (root)? Give it back with chown, or set LABS_HOME.",
        )
    return Finding("folder", State.OK, f"{home}, {room // 1_000_000_000} GB free")


def _docker() -> Finding:
    from labs.broker.container import docker_available

    engine = docker_available()
    return Finding("Docker", State.OK, f"engine {engine}" if engine else "none, and not needed")


def _broker(found: FoundBroker | None) -> Finding:
    if found is None:
        have = installed()
        if have is None:
            return Finding("broker", State.BAD, "None runs, none is installed.", HOW_TO_INSTALL)
        what = f"None runs; RabbitMQ {have.version} is installed ({have.folder})."
        return Finding("broker", State.BAD, what, "Run `labs up`.")
    how = {
        Source.SERVER: "a server given by its URL",
        Source.NATIVE: "a private node, started by `labs up`",
        Source.DOCKER: "a container, started by `labs up`",
    }
    return Finding("broker", State.OK, f"{found.address.shown}: {how[found.source]}")


def _port(address: Address) -> Finding:
    try:
        socket.create_connection((address.host, address.port), timeout=5).close()
    except OSError as error:
        told = explain(error)
        what = f"{address.host}:{address.port}: {told.what} {told.cause}"
        return Finding("port", State.BAD, what, told.cure)
    what = f"{address.host}:{address.port} answers"
    if (
        address.port != AMQP_PORT
        and address.host == ports.LOOPBACK
        and not ports.is_free(AMQP_PORT)
    ):
        who = ports.holder(AMQP_PORT)
        return Finding(
            "port",
            State.CAREFUL,
            f"{what}; the usual {AMQP_PORT} is another program's{who and f' ({who})'}.",
            f"Programs that connect to {AMQP_PORT} by default meet that one: give them the URL "
            "that `labs env` prints.",
        )
    return Finding("port", State.OK, what)


def _logged_in(address: Address) -> Iterator[Finding]:
    try:
        facts = log_in(address)
    except BrokerUnreachable as error:
        yield from _refused(address, error)
        yield from _skipped("permissions", "version", "heartbeat")
        return
    yield Finding("login", State.OK, f"as {address.username!r}")
    yield Finding("vhost", State.OK, f"{address.vhost!r}")
    yield _permissions(address)
    yield _version(facts)
    yield _heartbeat(facts)


def _refused(address: Address, error: BrokerUnreachable) -> Iterator[Finding]:
    cause = error.__cause__ or error
    row, told = row_of(cause), explain(cause)
    bad = Finding("login", State.BAD, f"{told.what} {told.cause}", told.cure)
    if row is None or row.name not in ("E4", "E5"):
        yield bad
        yield from _skipped("vhost")
        return
    yield Finding("login", State.OK, f"as {address.username!r}")
    yield replace(bad, name="vhost", what=f"{bad.what}{_vhosts_to_choose(address)}")


def _vhosts_to_choose(address: Address) -> str:
    try:
        with Management(_with_management(address), timeout_s=3) as management:
            names = [str(vhost["name"]) for vhost in management.vhosts()]
    except ManagementFailed:
        return ""
    return f" You may enter: {', '.join(names)}." if names else ""


def _permissions(address: Address) -> Finding:
    refused = try_permissions(address)
    if refused is None:
        return Finding("permissions", State.OK, "declaring, publishing and consuming work")
    told = explain(refused)
    return Finding("permissions", State.CAREFUL, f"{told.what} {told.cause}", told.cure)


def _version(facts: ServerFacts) -> Finding:
    said = f"{facts.product} {facts.version}"
    lowest, highest = (".".join(map(str, series)) for series in (OLDEST, NEWEST))
    cure = f"The kit is tested with RabbitMQ {lowest} to {highest}; most of it may work."
    if facts.product != "RabbitMQ":
        return Finding("version", State.CAREFUL, f"{said} is no RabbitMQ.", cure)
    if not OLDEST <= series_of(facts.version) <= NEWEST:
        return Finding("version", State.CAREFUL, said, cure)
    return Finding("version", State.OK, said)


def _heartbeat(facts: ServerFacts) -> Finding:
    if facts.heartbeat_s == 0:
        return Finding(
            "heartbeat",
            State.CAREFUL,
            "off: a worker that froze keeps its messages for ever.",
            "Ask whoever runs the broker for a heartbeat of 10 to 60 s, or set one in the URL.",
        )
    after = f"every {facts.heartbeat_s} s: a frozen worker is noticed after about three of them"
    if facts.heartbeat_s > HEARTBEAT_TOO_LONG_S:
        cure = "A long heartbeat hides dead connections: 10 to 60 s is better (notebook 06)."
        return Finding("heartbeat", State.CAREFUL, after, cure)
    return Finding("heartbeat", State.OK, after)


def _management(found: FoundBroker) -> Iterator[Finding]:
    address = _with_management(found.address)
    try:
        with Management(address, timeout_s=3) as management:
            management.whoami()
            yield Finding("management", State.OK, f"{address.management_url}")
            if found.is_ours:
                yield _alarms(management)
    except ManagementFailed as error:
        if found.is_ours:
            yield Finding("management", State.BAD, str(error), "`labs restart` may cure it.")
        else:
            yield Finding(
                "management",
                State.CAREFUL,
                str(error),
                "Nothing needs it: pictures show less. If the class has one, set "
                f"{locate.MANAGEMENT_URL}.",
            )


def _alarms(management: Management) -> Finding:
    alarms = {"disk_free_alarm": "disk", "mem_alarm": "memory"}
    full = [name for node in management.nodes() for key, name in alarms.items() if node.get(key)]
    if not full:
        return Finding("alarms", State.OK, "none: publishers are not blocked")
    return Finding(
        "alarms",
        State.BAD,
        f"Too little {' and '.join(full)} is left: the broker blocks all who publish.",
        "Make room; `labs reset` deletes queues. It goes on by itself.",
    )


def _with_management(address: Address) -> Address:
    """The address with the management API's usual place, where none is known."""
    if address.management_url:
        return address
    usual = (
        f"https://{address.host}:{MANAGEMENT_TLS_PORT}"
        if address.tls
        else f"http://{address.host}:{MANAGEMENT_PORT}"
    )
    return replace(address, management_url=usual)


def _skipped(*names: str) -> Iterator[Finding]:
    for name in names:
        yield Finding(name, State.SKIPPED, "not looked at: see above")
