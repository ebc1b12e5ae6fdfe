"""`labs queue-service claim`, `extend`, `ack`, `nack`, and `work`: a worker at a terminal.

`work` runs a command for each message and holds the claim meanwhile; a build that is stopped, or
a claim that is lost, ends its command. The others are single verbs, for scripts in any language.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from shutil import which as on_path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import click

from labs.cli.queue_service_wiring import (
    CLUSTER,
    as_data,
    completes,
    json_of,
    message_ids,
    plain,
    service_options,
    the_service,
)
from labs.cli.task_queue_wiring import logging_to_stderr
from labs.errors import BadInput

if TYPE_CHECKING:
    from labs.queue_service.client_claims import Work
    from labs.queue_service.client_verbs import Verbs
    from labs.queue_service.operations import Held

LOOK_S = 0.1
POLL_S = 1.0
"""So long a claim waits on the service: as soon a wish to stop is heeded."""
FINISHING = b"What runs is finished; once more, and it is ended.\n"
END_WITHIN_S = 5.0
"""Before a command that is not wanted any more is killed."""
ID = click.argument("id", metavar="ID", shell_complete=completes(message_ids("running")))
OWNER = click.option("--owner", metavar="NAME", required=True, help="Who has claimed it.")
MOVE = click.option(
    "--move", metavar="N", type=int, help="Of the claim, as it was said; else of the one there is."
)
LEASE = click.option(
    "--lease",
    "lease_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="It is held so long, if it is not extended.",
)
REASON = click.option("--reason", metavar="TEXT", default="", help="Kept with the message.")


@click.command()
@click.argument("n", type=click.IntRange(min=1), default=1)
@click.option("--owner", metavar="NAME", required=True, help="Who claims: one name a worker.")
@LEASE
@CLUSTER
@click.option(
    "--wait",
    "wait_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=0.0,
    help="For one.",
)
@service_options
def claim(n: int, owner: str, lease_s: float, cluster: str, wait_s: float, **which: Any) -> None:
    """Claim up to N messages that nothing blocks: one line of JSON for each.

    \b
    Examples:
      labs queue-service claim --owner worker-1
      labs queue-service claim 10 --owner worker-1 --lease 300 --wait 30 --cluster arm
    """
    with the_service(**which) as service:
        for one in service.claim(owner, n, lease_s=lease_s, cluster=cluster, wait_s=wait_s):
            click.echo(json.dumps(as_data(one)))


@click.command()
@ID
@OWNER
@MOVE
@LEASE
@service_options
def extend(id: str, owner: str, move: int | None, lease_s: float, **which: Any) -> None:
    """Hold a claimed message longer. The exit code is 17 if it is yours no more."""
    with the_service(**which) as service:
        ends = service.extend(_held(service, id, owner, move), lease_s)
    click.echo(ends.isoformat())


@click.command()
@ID
@OWNER
@MOVE
@click.option("--result", metavar="JSON", help="Kept with the message.")
@service_options
def ack(id: str, owner: str, move: int | None, result: str | None, **which: Any) -> None:
    """Say that a claimed build is done. The exit code is 17 if it is yours no more."""
    value = None if result is None else json_of(result, "--result")
    with the_service(**which) as service:
        click.echo(service.ack(_held(service, id, owner, move), value))


@click.command()
@ID
@OWNER
@MOVE
@REASON
@click.option("--requeue", is_flag=True, help="It was not tried: the attempt does not count.")
@click.option("--final", is_flag=True, help="More attempts would not help.")
@service_options
def nack(
    id: str,
    owner: str,
    move: int | None,
    reason: str,
    requeue: bool,
    final: bool,
    **which: Any,
) -> None:
    """Say that the attempt of a claimed build has failed: it is queued again, or failed."""
    with the_service(**which) as service:
        held = _held(service, id, owner, move)
        click.echo(service.nack(held, reason, requeue=requeue, final=final))


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--owner", metavar="NAME", help="Who claims; else this machine and process.")
@LEASE
@CLUSTER
@click.option("--drain", is_flag=True, help="End when there is nothing to claim.")
@service_options
def work(
    words: tuple[str, ...],
    owner: str | None,
    lease_s: float,
    cluster: str,
    drain: bool,
    **which: Any,
) -> None:
    """Run COMMAND for one message after the other, and say what came of it.

    The command finds BUILD_ID, JOB_ID, MESSAGE_ID and ATTEMPT in its environment, and the
    message as JSON on its standard input. Exit status 0: the build is done; another: the
    attempt has failed. Its lease is extended while it runs; if the build is stopped, the
    command is ended. Ctrl-C: what runs is finished, and no more claimed; once more: it is
    ended, and handed back.

    \b
    Examples:
      labs queue-service work -- ./build.sh
      labs queue-service work --cluster arm --owner arm-1 -- sh -c 'make -C jobs/$JOB_ID'
    """
    from labs.stopping import Stop, signals_stop

    if on_path(words[0]) is None:
        raise BadInput(f"There is no command {words[0]!r}.", remedy="Look for a slip of the pen.")

    def heed() -> None:
        stop.want()
        os.write(2, FINISHING)  # not by print, in the midst of which we may be

    named = owner or f"{socket.gethostname()}/{os.getpid()}"
    stop = Stop()
    with logging_to_stderr(False), the_service(**which) as service, signals_stop(heed):
        builds = service.claims(
            named,
            lease_s=lease_s,
            cluster=cluster,
            wait_s=POLL_S,
            wanted=lambda: not stop.wanted,
            drain=drain,
        )
        click.echo(f"Working as {named}. Ctrl-C ends it.", err=True)
        for one in builds:
            _say(one, "started")
            _run(one, words)
    click.echo("Stopped.", err=True)


def _run(work: Work, words: tuple[str, ...]) -> None:
    """Run the command for a message; what came of it is told to the service, and to a person."""
    from labs.task_queue.errors import ClaimLost, StoreUnreachable

    with suppress(ClaimLost, StoreUnreachable), work:  # the next claim waits for a service
        status = _status_of(work, words)
        if status:
            work.fail(f"{words[0]} ended with exit status {status}.")
    _say(work, work.state or "lost", str(work.lost or ""))


def _status_of(work: Work, words: tuple[str, ...]) -> int | None:
    """The command's exit status; None: it was ended, as the claim was lost."""
    claimed = work.claimed
    about = {
        "BUILD_ID": str(claimed.build_id or ""),
        "JOB_ID": str(claimed.job_id),
        "MESSAGE_ID": claimed.id,
        "ATTEMPT": str(claimed.attempt),
    }
    with TemporaryFile("w+") as said:  # not a pipe: a command need not read it
        json.dump(dict(claimed.body), said)
        said.seek(0)
        # In a session of its own: Ctrl-C is for us alone, who let it finish.
        process = subprocess.Popen(
            words, env=os.environ | about, stdin=said, start_new_session=True
        )
    try:
        while work.lost is None:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(LOOK_S)
        return None
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command, and what it has started, if it runs."""
    if process.poll() is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_WITHIN_S)
            return
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _say(work: Work, what: str, why: str = "") -> None:
    job = f"job {work.claimed.job_id}"
    line = (
        f"{time.strftime('%X')}  {plain(work.id)}  {job}  {what:<8} {plain(why or _reason(work))}"
    )
    click.echo(line.rstrip())


def _reason(work: Work) -> str:
    return f"attempt {work.claimed.attempt}" if work.claimed.attempt > 1 else ""


def _held(service: Verbs, id: str, owner: str, move: int | None) -> Held:
    """Which claim is meant. Raises ClaimLost: there is none."""
    from labs.queue_service.operations import Held
    from labs.task_queue.errors import ClaimLost

    found = service.find(id).message.move if move is None else move
    if not found:
        raise ClaimLost(f"Nobody holds {plain(id)}.", remedy="Look: labs queue-service status.")
    return Held(id=id, owner=owner, move=found)
