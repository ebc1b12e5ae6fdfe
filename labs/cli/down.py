"""`labs down`: stop the broker that `labs up` started, and the lab's Kafka."""

from __future__ import annotations

import click

from labs.broker import locate, state
from labs.broker.state import Source
from labs.cli import kafka
from labs.cli.output import progress


@click.command()
@click.option("--wipe", is_flag=True, help="Delete its data too: queues, messages, users.")
def command(wipe: bool) -> None:
    """Stop the broker that `labs up` started, and the spare one that `labs check` restarts.

    The Kafka that `labs kafka up` started is ended too, with what is in it.

    No process of it stays behind. Durable queues and persistent messages are
    there again after the next `labs up`, unless you --wipe them. A class server
    is not stopped: the lab only forgets about it.
    """
    known = state.recall()
    node = locate.own_node()
    was_running = node.is_running()
    with progress() as tell:
        if was_running:
            tell("RabbitMQ stops")
        # Even if no process is known: what a crash made us forget is found and ended.
        node.wipe() if wipe else node.stop()
        if state.is_torn() or (known and known.source is Source.DOCKER):
            tell("the container stops")
            container = locate.own_container()
            was_running = was_running or container.is_running()
            container.wipe() if wipe else container.stop()
    if kafka.end():
        click.echo("The lab's Kafka is stopped.")
    spare = locate.spare_node()
    spare.wipe() if wipe else spare.stop()
    state.forget()
    if known and known.source is Source.SERVER:
        click.echo(f"Forgot {known.address.shown}; it goes on running.")
    elif was_running:
        click.echo("Stopped." if not wipe else "Stopped, and all its data deleted.")
    else:
        click.echo("No broker of this lab was running." + (" Its data are deleted." * wipe))
