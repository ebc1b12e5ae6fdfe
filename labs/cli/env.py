"""`labs env`: the broker's URL for a shell."""

from __future__ import annotations

import shlex

import click

from labs.broker import locate
from labs.errors import BrokerMissing

FORMS = {
    "sh": "export AMQP_URL={}",
    "fish": "set -gx AMQP_URL {}",
    "powershell": "$env:AMQP_URL = {}",
    "url": "{}",
}


@click.command()
@click.option(
    "--shell",
    type=click.Choice(list(FORMS)),
    default="sh",
    help="sh (default) is bash and zsh too.",
)
def command(shell: str) -> None:
    """Print the broker's URL, password included, for a shell.

    \b
    eval "$(labs env)"                 in bash, zsh, sh
    labs env --shell fish | source     in fish
    labs env --shell url               the bare URL

    After it, your own programs find the broker in the environment's AMQP_URL, as
    in pika.URLParameters(os.environ["AMQP_URL"]).
    """
    found = locate.given() or locate.running()
    if found is None:
        raise BrokerMissing("No broker of this lab is running.", remedy="Run `labs up`.")
    url = found.address.url
    click.echo(FORMS[shell].format(url if shell == "url" else shlex.quote(url)))
