"""Where the broker is: the first of four places that holds.

1. `url`, or `AMQP_URL` in the environment: a class server, or any other.
2. The lab's own broker that runs already.
3. An installed RabbitMQ, started as a private node.
4. A Docker engine, through docker-compose.yml.

`with_` chooses between the last two. Whatever is found is left word of in `.labs/`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from labs.broker import state
from labs.broker.address import Address, parse_amqp_url
from labs.broker.binaries import installed
from labs.broker.install import nothing_installed
from labs.broker.node import PrivateNode, silent
from labs.broker.state import ROOT, FoundBroker, Source, labs_home
from labs.errors import BadInput, BrokerMissing

if TYPE_CHECKING:
    from labs.broker.container import ComposeBroker

Progress = Callable[[str], None]
MANAGEMENT_URL = "LABS_MANAGEMENT_URL"
"""The environment's name for a class server's management API, where it has one for learners."""


def locate(
    url: str | None = None, with_: str | None = None, *, progress: Progress | None = None
) -> FoundBroker:
    """Find the broker, starting one if need be, and leave word of it.

    Args:
        url: a broker's AMQP URL; none: the environment's.
        with_: `native` or `docker`: start it so, or not at all.
        progress: is told in words what takes its time.

    Raises:
        BadInput: the URL is none.
        BrokerMissing: there is nothing to start.
        BrokerFailed: it was started and did not become ready.
    """
    found = given(url)
    if found is None:
        found = _running(with_) or _started(with_, progress or silent)
    elif not url:
        return found  # the environment's word holds for this process alone
    state.remember(found)
    return found


def given(url: str | None = None) -> FoundBroker | None:
    """The broker that a URL names, `AMQP_URL` in the environment too; None without one.

    None too where the environment names our own broker, as after `labs env`: where
    that is may have changed since.
    """
    text = url or os.environ.get("AMQP_URL", "").strip()
    if not text:
        return None
    address = parse_amqp_url(text)
    if not url and _is_own(address):
        return None
    return FoundBroker(
        replace(address, management_url=os.environ.get(MANAGEMENT_URL)), Source.SERVER
    )


def running() -> FoundBroker | None:
    """The broker in use, if it runs: nothing is started. A class server counts as running."""
    known = state.recall()
    if known and known.source is Source.SERVER:
        return known
    node = own_node()
    if node.is_running() and (address := node.address):
        return FoundBroker(address, Source.NATIVE)
    if known and known.source is Source.DOCKER and own_container().is_running():
        return known
    return None


def running_broker() -> Address | None:
    """Where the broker in use is, if it runs."""
    found = running()
    return found.address if found else None


def own_node() -> PrivateNode:
    """The lab's private node, whether it runs or not."""
    return PrivateNode(labs_home() / "node")


def spare_node() -> PrivateNode:
    """The judge's own node, without management, which it may restart; it may not be running."""
    return PrivateNode(labs_home() / "judge-node", management=False)


def own_container() -> ComposeBroker:
    """The lab's own container, whether it runs or not."""
    from labs.broker.container import ComposeBroker  # its client takes time to import

    return ComposeBroker(ROOT)


def _is_own(address: Address) -> bool:
    known = state.recall()
    own = [own_node().address, known.address if known and known.is_ours else None]
    login = (address.username, address.password)
    return any(ours is not None and (ours.username, ours.password) == login for ours in own)


def _running(with_: str | None) -> FoundBroker | None:
    """The broker in use, if it runs and is of the kind that is asked for."""
    found = running()
    if found is None or with_ not in (None, str(found.source)):
        return None
    if found.source is Source.NATIVE:
        return FoundBroker(own_node().start(), Source.NATIVE)  # returns once it is ready
    return found


def _started(with_: str | None, progress: Progress) -> FoundBroker:
    if with_ not in (None, Source.NATIVE, Source.DOCKER):
        raise BadInput(f"There is no broker {with_!r}.", remedy="Say native or docker.")
    if with_ != Source.DOCKER and installed() is not None:
        return FoundBroker(own_node().start(progress), Source.NATIVE)
    if with_ == Source.NATIVE:
        raise nothing_installed("No RabbitMQ is installed on this machine.")
    from labs.broker.container import docker_available

    if docker_available() is None:
        raise (
            nothing_installed()
            if with_ is None
            else BrokerMissing(
                "No Docker engine answers.", remedy="Start Docker, or run `labs up --with native`."
            )
        )
    return FoundBroker(own_container().start(progress), Source.DOCKER)
