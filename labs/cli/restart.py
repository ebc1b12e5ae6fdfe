"""`labs restart`: restart the lab's own broker."""

from __future__ import annotations

import time

import click

from labs.broker import locate, state
from labs.broker.state import FoundBroker, Source
from labs.cli.output import progress, took
from labs.cli.up import describe
from labs.errors import BadInput, BrokerMissing


@click.command()
def command() -> None:
    """Restart the lab's own broker.

    What survives: durable queues, and the persistent messages in them. What does
    not: transient queues and messages, and every connection. Workers that run
    notice it; try one with --reconnect. Notebook 04 explains why.
    """
    found = locate.given() or locate.running()
    if found is None:
        raise BrokerMissing("No broker of this lab is running.", remedy="Run `labs up`.")
    if not found.is_ours:
        raise BadInput(
            f"{found.address.shown} is not this lab's own broker: it is not ours to restart.",
            remedy="Use a broker of your own for this: unset AMQP_URL, `labs down`, `labs up`.",
        )
    begun = time.monotonic()
    broker = locate.own_node() if found.source is Source.NATIVE else locate.own_container()
    with progress() as tell:
        tell("RabbitMQ stops")
        address = broker.restart(tell)
    again = FoundBroker(address, found.source)
    state.remember(again)
    click.echo(f"Restarted ({took(begun)}).")
    describe(again)
