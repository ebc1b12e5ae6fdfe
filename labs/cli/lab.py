"""`labs lab`, which is `make lab`: a broker, the proof that it works, and the notebooks.

It stays in the foreground. Ctrl-C (or a closed terminal) stops what it started:
JupyterLab always, the broker only if it was not running before.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
import webbrowser
from types import FrameType

import click

from labs.broker import locate, state
from labs.broker.address import Address
from labs.broker.connection import connected, in_words
from labs.broker.state import ROOT, FoundBroker, Source, labs_home
from labs.cli.output import Progress, progress, took
from labs.cli.up import HOW, install_if_missing
from labs.errors import BrokerFailed
from labs.jupyter import JupyterLab

PROOF_TIMEOUT_S = 30


@click.command()
@click.option("--url", metavar="URL", help="A class server: amqp://user:password@host:port/vhost.")
@click.option(
    "--with", "with_", type=click.Choice(["native", "docker"]), help="Start the broker so."
)
@click.option(
    "--port", default=8888, show_default=True, help="For the notebooks; or the next free."
)
@click.option("--browser/--no-browser", default=True, help="Open the notebooks in your browser.")
def command(url: str | None, with_: str | None, port: int, browser: bool) -> None:
    """Open the lab: a broker, one message to prove that it works, and the notebooks.

    It stays here until you press Ctrl-C, which stops what it started and nothing
    else: a broker that was running before goes on.

    \b
    Examples:
      labs lab
      labs lab --no-browser --port 9999
      labs lab --url amqp://ann:secret@mq.example.org:5672/ann
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _as_ctrl_c)
    begun = time.monotonic()
    ran_before = locate.running()
    found: FoundBroker | None = None
    notebooks: JupyterLab | None = None
    try:
        with progress() as tell:
            install_if_missing(url, with_, tell)
            found = locate.locate(url, with_, progress=tell)
            tell("One message goes through one worker")
            prove(found.address)
            tell("JupyterLab starts")
            notebooks = JupyterLab(
                ROOT,
                labs_home() / "jupyter",
                port=port,
                environment={**os.environ, "AMQP_URL": found.address.url},
            )
            notebooks.start()
        describe(found, notebooks, begun)
        if browser and _has_screen():
            webbrowser.open(notebooks.url)
        notebooks.wait()
    except KeyboardInterrupt:
        click.echo("\nStopping.")
    finally:
        with progress() as tell:
            _stop(tell, notebooks, found if found != ran_before else None)


def prove(address: Address) -> None:
    """Send one message through one qprocessor.py.

    Raises:
        BrokerUnreachable: the broker would not take the message.
        BrokerFailed: the worker did not do it; with what it said.
    """
    queue, body = f"labs-proof-{secrets.token_hex(4)}", "hello"
    flags = ["--queue", queue, "--acknowledge", "--delay", "0", "--max-messages", "1"]
    with in_words(address), connected(address) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        try:
            channel.basic_publish(exchange="", routing_key=queue, body=body.encode())
            ran = subprocess.run(
                [sys.executable, str(ROOT / "qprocessor.py"), *flags, "--idle-timeout", "20"],
                env={**os.environ, "AMQP_URL": address.url},
                capture_output=True,
                text=True,
                timeout=PROOF_TIMEOUT_S,
                check=False,
            )
        finally:
            channel.queue_delete(queue)
    if ran.returncode != 0 or f"Done {body}" not in ran.stdout:
        raise BrokerFailed(
            f"The broker is there, but a message did not get through:\n{ran.stdout}{ran.stderr}",
            remedy="`labs doctor` looks at everything that this needs.",
        )


def describe(found: FoundBroker, notebooks: JupyterLab, begun: float) -> None:
    """Say in a few lines where all is and how to stop."""
    click.echo(f"The lab is open ({took(begun)}); one message went through one worker.")
    click.echo(f"  Broker      {found.address.shown}, {HOW[found.source]}")
    if found.address.management_url:
        click.echo(
            f"  Management  {found.address.management_url} "
            f"(user {found.address.username}; `labs env` shows the password)"
        )
    click.echo(f"  Notebooks   {notebooks.url}")
    click.echo("  Terminals   source .venv/bin/activate, then ./qprocessor.py --help")
    keeps = found.source is Source.SERVER
    click.echo(f"  To stop     Ctrl-C{' (the server goes on)' if keeps else ''}")


def _stop(tell: Progress, notebooks: JupyterLab | None, started: FoundBroker | None) -> None:
    if notebooks is not None:
        tell("JupyterLab stops")
        notebooks.stop()
    if started is not None and started.is_ours:
        tell("The broker stops; its durable queues are kept")
        own = locate.own_node() if started.source is Source.NATIVE else locate.own_container()
        own.stop()
        state.forget()


def _has_screen() -> bool:
    """Whether a browser can open a window: a text browser would take over this terminal."""
    if sys.platform == "darwin":
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _as_ctrl_c(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
