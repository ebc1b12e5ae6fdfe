"""`labs status`: where the broker is and what its queues hold."""

from __future__ import annotations

from typing import Any

import click

from labs.broker import locate
from labs.broker.address import Address
from labs.broker.connection import ServerFacts, count_all, log_in
from labs.broker.state import FoundBroker
from labs.cli.output import print_json
from labs.cli.up import HOW, describe
from labs.errors import BrokerMissing, BrokerUnreachable, ManagementFailed

NOT_RUNNING = BrokerMissing.exit_code
UNREACHABLE = BrokerUnreachable.exit_code


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def command(as_json: bool) -> None:
    """Say where the broker is and what its queues hold.

    The exit code is 0 when a broker is there, 3 when none of this lab runs, 4
    when one should be there and does not answer.
    """
    found = locate.given() or locate.running()
    if found is None:
        if as_json:
            print_json({"running": False})
        else:
            click.echo("No broker of this lab is running. Start one with `labs up`.")
        click.get_current_context().exit(NOT_RUNNING)
    facts = log_in(found.address)
    queues = queues_of(found.address)
    if as_json:
        print_json(as_data(found, facts, queues))
        return
    click.echo(f"{facts.product} {facts.version}, {HOW[found.source]}.")
    describe(found)
    show_queues(queues)


def queues_of(address: Address) -> list[dict[str, Any]] | None:
    """Name and counts of each queue; None where the management API doesn't tell."""
    from labs.broker.management import Management

    try:
        with Management(address, timeout_s=3) as management:
            listed = management.queues(address.vhost)
    except ManagementFailed:
        return None
    # The API's figures lag by seconds; AMQP's are exact, and know nothing of what workers hold.
    exact = count_all(address, [queue["name"] for queue in listed])
    return [
        {
            "name": queue["name"],
            "ready": exact[queue["name"]].ready,
            "unacknowledged": queue.get("messages_unacknowledged", 0),
            "consumers": exact[queue["name"]].consumers,
            "durable": queue.get("durable", False),
        }
        for queue in listed
        if queue["name"] in exact
    ]


def as_data(
    found: FoundBroker, facts: ServerFacts, queues: list[dict[str, Any]] | None
) -> dict[str, Any]:
    """All of it for a script; the password is not in it (`labs env` has it)."""
    return {
        "running": True,
        "source": str(found.source),
        "url": found.address.shown,
        "host": found.address.host,
        "port": found.address.port,
        "vhost": found.address.vhost,
        "username": found.address.username,
        "management_url": found.address.management_url,
        "product": facts.product,
        "version": facts.version,
        "heartbeat_s": facts.heartbeat_s,
        "queues": queues,
    }


def show_queues(queues: list[dict[str, Any]] | None) -> None:
    """Print the queues as a table."""
    if queues is None:
        click.echo("Its queues are not known: the management API doesn't tell.")
        return
    if not queues:
        click.echo("It has no queues.")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("queue", overflow="fold")
    for name in ("ready", "unacknowledged", "consumers"):
        table.add_column(name, justify="right")
    for queue in queues:
        counts = (str(queue[name]) for name in ("ready", "unacknowledged", "consumers"))
        table.add_row(queue["name"], *counts)
    Console().print(table)
