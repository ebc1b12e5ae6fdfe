"""`labs up`: find a broker or start one, and say where it is."""

from __future__ import annotations

import time

import click

from labs.broker import locate
from labs.broker.state import FoundBroker, Source
from labs.cli.output import Progress, progress, took

HOW = {
    Source.SERVER: "a server that is there already",
    Source.NATIVE: "a private node of the installed RabbitMQ",
    Source.DOCKER: "a container, through docker-compose.yml",
}


@click.command()
@click.option("--url", metavar="URL", help="A class server: amqp://user:password@host:port/vhost.")
@click.option(
    "--with", "with_", type=click.Choice(["native", "docker"]), help="Start it so, or not at all."
)
@click.option("--install", is_flag=True, help="Where no RabbitMQ is installed, install it (apt).")
def command(url: str | None, with_: str | None, install: bool) -> None:
    """Find or start a broker and say where it is.

    The first that holds: --url or the environment's AMQP_URL; the broker of this
    lab that runs already; an installed RabbitMQ, started as a private node that
    nobody else can reach; a Docker engine.

    Its URL is left in .labs/amqp-url, where ./qprocessor.py and the notebooks find
    it; `labs env` prints it for your own programs. `labs down` stops what was
    started.

    \b
    Examples:
      labs up
      labs up --with docker
      labs up --url amqp://ann:secret@mq.example.org:5672/ann
    """
    from labs.broker.connection import log_in

    begun = time.monotonic()
    with progress() as tell:
        if install:
            install_if_missing(url, with_, tell)
        found = locate.locate(url, with_, progress=tell)
        facts = log_in(found.address)
    click.echo(f"Ready: {facts.product} {facts.version}, {HOW[found.source]} ({took(begun)}).")
    describe(found)


def describe(found: FoundBroker) -> None:
    """Print where a broker is, in a few lines."""
    click.echo(f"  AMQP         {found.address.shown}")
    if found.address.management_url:
        click.echo(
            f"  management   {found.address.management_url}  (user {found.address.username}; "
            "`labs env` shows the password)"
        )
    click.echo("  to stop      labs down" if found.is_ours else "  to forget    labs down")


def install_if_missing(url: str | None, with_: str | None, tell: Progress) -> None:
    """Install the package where nothing else could be the broker, and it can be done.

    Raises:
        BrokerMissing: apt failed; with its words.
    """
    from labs.broker.binaries import installed

    if with_ == "docker" or locate.given(url) or locate.running() or installed():
        return
    from labs.broker.container import docker_available
    from labs.broker.install import can_install
    from labs.broker.install import install as install_package

    if can_install() and (with_ == "native" or docker_available() is None):
        click.echo(
            "No RabbitMQ is installed here: installing the package rabbitmq-server with apt-get. "
            "Its service stays off; the lab starts a node of its own.",
            err=True,
        )
        install_package(tell)
