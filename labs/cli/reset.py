"""`labs reset`: back to a clean slate."""

from __future__ import annotations

import click

from labs.broker import locate
from labs.broker.address import Address
from labs.broker.connection import delete_queues
from labs.broker.files import read_json
from labs.broker.management import Management
from labs.broker.processes import ProcessId, kill
from labs.broker.state import labs_home
from labs.errors import BadInput, BrokerMissing, ManagementFailed

THE_BROKERS_OWN = "amq."


@click.command()
@click.argument("queues", metavar="[QUEUE]...", nargs=-1)
@click.option("--yes", is_flag=True, help="Do it without asking.")
def command(queues: tuple[str, ...], yes: bool) -> None:
    """Delete what exercises left in the broker.

    Ends workers that notebooks left running, and deletes the queues and exchanges
    of the vhost that the lab uses, with their messages: all of them, or only the
    QUEUEs named. It shows them and asks first. On a class server it deletes what
    your user may, in your vhost; without a management API there, name the queues.
    """
    found = locate.given() or locate.running()
    if found is None:
        raise BrokerMissing("No broker of this lab is running.", remedy="Run `labs up`.")
    exchanges: list[str] = []
    names = list(queues)
    if not names:
        names, exchanges = what_is_there(found.address)
    workers = left_workers()
    if not (names or exchanges or workers):
        click.echo("Nothing to do: no queues, no exchanges, no workers were left.")
        return
    for what, left in (("queues", names), ("exchanges", exchanges)):
        if left:
            click.echo(f"{what} in the vhost {found.address.vhost!r}: {', '.join(left)}")
    if workers:
        click.echo(f"workers that notebooks started: {len(workers)}")
    if not yes and not click.confirm("Delete all this, with its messages?"):
        click.echo("Nothing was changed.")
        return
    kill(process for worker in workers if (process := worker.process()))
    refused = delete_queues(found.address, names)
    if exchanges:
        with Management(found.address) as management:
            for exchange in exchanges:
                management.delete_exchange(found.address.vhost, exchange)
    for name, why in refused.items():
        click.echo(f"{name} stays: {why}", err=True)
    click.echo(f"Deleted: {len(names) - len(refused) + len(exchanges)}.")
    click.get_current_context().exit(1 if refused else 0)


def what_is_there(address: Address) -> tuple[list[str], list[str]]:
    """The queues and the exchanges of the vhost that somebody declared."""
    try:
        with Management(address) as management:
            queues = [str(queue["name"]) for queue in management.queues(address.vhost)]
            exchanges = [str(exchange["name"]) for exchange in management.exchanges(address.vhost)]
    except ManagementFailed as error:
        raise BadInput(
            f"Which queues there are is not known. {error}",
            remedy="Name the queues that you mean: labs reset hello work",
        ) from error
    return queues, [name for name in exchanges if name and not name.startswith(THE_BROKERS_OWN)]


def left_workers() -> list[ProcessId]:
    """The workers that notebooks noted and that still live."""
    left = []
    for note in sorted((labs_home() / "workers").glob("*.json")):
        try:
            worker = ProcessId(**read_json(note)["worker"])
        except (KeyError, TypeError):
            continue
        if worker.process() is not None:
            left.append(worker)
    return left
