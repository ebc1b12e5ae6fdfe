"""`labs task-queue`: a task queue for the command line, its server and its controller.

Each command is one verb of the queue. Which queue is meant stands in `task_queue_wiring`;
`server` and `controller`, which go on until they are stopped, in `task_queue_service`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from labs.cli.group import Group
from labs.cli.output import harmless, print_json
from labs.cli.task_queue_service import controller, server
from labs.cli.task_queue_wiring import JSON, queue_options, the_queue
from labs.errors import BadInput

if TYPE_CHECKING:
    from labs.task_queue.queue import TaskQueue
    from labs.task_queue.stages import Stage

AT_ONCE = 1000
"""So many lines of standard input are put in one go."""
STAGES = click.Choice(["WAITING", "PROCESSING", "SUCCESS", "FAIL"], case_sensitive=False)
OWNER = click.option("--owner", metavar="NAME", help="Who has claimed it, if somebody by name.")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.group(
    cls=Group,
    context_settings={"token_normalize_func": lambda token: token.replace("_", "-")},
)
def command() -> None:
    """A task queue: tasks wait, are processed, succeed or fail, and are never lost.

    Without --queue and without settings the tasks are in a SQLite file of the lab's own.
    `labs task-queue settings` lists all settings: a flag wins over the environment, that
    over the dotenv file that --config or TASK_QUEUE_CONFIG_PATH names.

    \b
    Try it:
      labs task-queue put '{"task-1": {"n": 1}, "task-2": {"n": 2}}'
      labs task-queue claim --lease 60 --owner me
      labs task-queue success task-1 --owner me
      labs task-queue status

    \b
    A server and its clients:
      labs task-queue server --queue-implementation in-memory
      labs task-queue status --queue http://localhost:8080
    """


command.add_command(server)
command.add_command(controller)


@command.command()
@click.argument("tasks", metavar="JSON...", nargs=-1, required=True)
@click.option("--priority", type=int, default=0, help="Higher ones are claimed first.")
@click.option("--delay", "delay_s", metavar="SECONDS", type=float, default=0.0, help="For later.")
@click.option("--max-attempts", metavar="N", type=int, help="A failed task is tried so often.")
@click.option(
    "--backoff",
    "backoff_s",
    metavar="SECONDS",
    type=float,
    default=1.0,
    help="The pause before the second attempt; it doubles.",
)
@queue_options
@JSON
def put(tasks: tuple[str, ...], as_json: bool, **which: Any) -> None:
    """Add tasks: JSON objects of ids and bodies.

    `-` reads one such object from each line of standard input. Ids that are there already
    are skipped, and named on standard error.

    \b
    Examples:
      labs task-queue put '{"task-1": {"n": 1}}'
      labs task-queue put --max-attempts 3 --delay 60 '{"later": null}'
      generate-tasks | labs task-queue put -
    """
    options = {name: which.pop(name) for name in ("priority", "delay_s", "max_attempts")}
    options["backoff_s"] = which.pop("backoff_s")
    given = [_items(text, f"argument {n}") for n, text in enumerate(tasks, 1) if text != "-"]
    added: list[str] = []
    present: list[str] = []
    with the_queue(**which) as queue:

        def put_all(some: Sequence[list[tuple[str, Any]]]) -> None:
            items: dict[str, Any] = {}
            for id_, body in (pair for one in some for pair in one):
                if id_ in items:
                    present.append(id_)  # by then: the first one's body counts, as ever
                items.setdefault(id_, body)
            done = queue.put_quietly(items, **options)
            added.extend(done.added)
            present.extend(done.present)

        put_all(given)
        for lines in _portions(sys.stdin) if "-" in tasks else ():
            put_all([_items(line, f"line {number}") for number, line in lines])
    if as_json:
        print_json({"added": added, "present": present})
        return
    for id_ in present:
        click.echo(f"{_shown(id_)} is there already; it is as it was.", err=True)
    click.echo(f"{len(added)} added.")


@command.command()
@click.argument("n", type=click.IntRange(min=1), default=1)
@click.option("--lease", "lease_s", metavar="SECONDS", type=float, help="Else held until settled.")
@click.option("--owner", metavar="NAME", help="Who alone may settle them.")
@click.option("--wait", "wait_s", metavar="SECONDS", type=float, default=0.0, help="For a task.")
@queue_options
def claim(n: int, lease_s: float | None, owner: str | None, wait_s: float, **which: Any) -> None:
    """Claim up to N tasks: one line of JSON for each.

    \b
    Examples:
      labs task-queue claim
      labs task-queue claim 10 --lease 60 --owner worker-1 --wait 30
    """
    with the_queue(**which) as queue:
        for one in queue.get(n, lease_s=lease_s, owner=owner, wait_s=wait_s):
            said = {"id": one.id, "body": one.body, "owner": one.owner, "attempt": one.attempt}
            ends = None if one.lease_ends is None else one.lease_ends.isoformat()
            click.echo(_line(said | {"move": one.move, "lease_ends": ends}))


@command.command()
@click.argument("n", type=click.IntRange(min=1), default=1)
@queue_options
def peek(n: int, **which: Any) -> None:
    """Show the N tasks that would be claimed next: one line of JSON for each."""
    with the_queue(**which) as queue:
        for id_, body in queue.peek(n):
            click.echo(_line({"id": id_, "body": body}))


@command.command()
@click.argument("id", metavar="ID")
@click.option("--result", metavar="JSON", help="Kept with the task.")
@OWNER
@queue_options
def success(id: str, result: str | None, owner: str | None, **which: Any) -> None:
    """Say that a claimed task is done."""
    value = None if result is None else _parsed(result, "--result")
    with the_queue(**which) as queue:
        queue.success(id, result=value, owner=owner)


@command.command()
@click.argument("id", metavar="ID")
@click.option("--reason", metavar="TEXT", default="", help="Kept with the task.")
@OWNER
@queue_options
def fail(id: str, reason: str, owner: str | None, **which: Any) -> None:
    """Say that a claimed task's attempt has failed: it waits again if attempts are left."""
    with the_queue(**which) as queue:
        queue.fail(id, reason=reason, owner=owner)


@command.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--delay", "delay_s", metavar="SECONDS", type=float, default=0.0, help="For later.")
@OWNER
@queue_options
def release(ids: tuple[str, ...], delay_s: float, owner: str | None, **which: Any) -> None:
    """Hand claimed tasks back unworked: the attempt does not count."""
    with the_queue(**which) as queue:
        queue.release(ids, delay_s=delay_s, owner=owner)


@command.command()
@click.argument("ids", metavar="ID...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that have failed.")
@queue_options
@JSON
def requeue(ids: tuple[str, ...], everything: bool, as_json: bool, **which: Any) -> None:
    """Let tasks that have failed wait again, their attempts counted anew.

    \b
    Examples:
      labs task-queue requeue task-1 task-2
      labs task-queue requeue --all
    """
    from labs.task_queue.stages import Stage

    if bool(ids) == everything:
        raise BadInput("Which tasks?", remedy="Name some, or say --all.")
    with the_queue(**which) as queue:
        moved, skipped = queue.requeue_quietly(ids or queue.lookup_state(Stage.FAIL))
    if as_json:
        print_json({"requeued": moved, "skipped": skipped})
        return
    for id_ in skipped:
        click.echo(f"{_shown(id_)} has not failed; it is as it was.", err=True)
    click.echo(f"{len(moved)} requeued.")


@command.command()
@click.option(
    "--older-than",
    metavar="AGE",
    required=True,
    help="Such as 90s, 30m, 12h, 7d; 0s: all that is settled.",
)
@queue_options
@JSON
def purge(older_than: str, as_json: bool, **which: Any) -> None:
    """Delete tasks that have succeeded or failed longer ago than this.

    \b
    Example:
      labs task-queue purge --older-than 7d
    """
    age = _age(older_than)
    with the_queue(**which) as queue:
        purged = queue.purge(age)
    print_json({"purged": purged}) if as_json else click.echo(f"{purged} deleted.")


@command.command()
@queue_options
@JSON
def status(as_json: bool, **which: Any) -> None:
    """Say how many tasks are in each stage.

    The exit code is 0, or 18 when the store or the server does not answer.
    """
    with the_queue(**which) as queue:
        sizes = queue.sizes()
    if as_json:
        print_json(sizes)
        return
    for stage, n in sizes.items():
        click.echo(f"{stage:<10} {n:>9,}")


@command.command()
@click.argument("id", metavar="ID")
@queue_options
@JSON
def show(id: str, as_json: bool, **which: Any) -> None:
    """Show all that is known of a task. The exit code is 15 if there is none."""
    from dataclasses import asdict

    with the_queue(**which) as queue:
        known = asdict(queue.lookup_task(id))
    known["stage"] = known["stage"].name
    said = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in known.items()
    }
    if as_json:
        print_json(said)
        return
    for name, value in said.items():
        if value not in (None, ""):
            words = harmless(value) if isinstance(value, str) else _line(value)
            click.echo(f"{name:<13} {words}")


@command.command("list")
@click.argument("stage", type=STAGES)
@queue_options
@JSON
def list_(stage: str, as_json: bool, **which: Any) -> None:
    """List the ids of the tasks in a stage, one a line."""
    from labs.task_queue.stages import Stage

    with the_queue(**which) as queue:
        ids = _ids(queue, Stage[stage.upper()])
        if as_json:
            print_json(list(ids))
            return
        for id_ in ids:
            click.echo(_shown(id_))


@command.command()
def settings() -> None:
    """Print the table of settings: variable, flag, default, meaning."""
    from labs.task_queue.configuration import table

    click.echo(table())


def _ids(queue: TaskQueue, stage: Stage) -> Iterator[str]:
    """All ids of a stage; the first ones at once, however many there are."""
    after = None
    while True:
        page = queue.lookup_state(stage, limit=AT_ONCE, after=after)
        yield from page
        if (after := page.next) is None:
            return


def _portions(lines: Iterator[str]) -> Iterator[list[tuple[int, str]]]:
    some = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            some.append((number, line))
        if len(some) >= AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _parsed(text: str, what: str, **options: Any) -> Any:
    try:
        return json.loads(text, **options)
    except RecursionError:
        raise BadInput(f"{what} is nested too deep.", remedy="Make it flatter.") from None
    except ValueError as error:
        raise BadInput(f"{what} is not JSON: {error}.", remedy="Mind the quotes.") from None


def _items(text: str, what: str) -> list[tuple[str, Any]]:
    """The pairs of a JSON object, in which an id may stand twice."""
    whole: list[Any] = []

    def paired(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        whole[:] = [pairs]  # the outermost object is whole last
        return dict(pairs)

    items = _parsed(text, what[:1].upper() + what[1:], object_pairs_hook=paired)
    if not isinstance(items, dict):
        raise BadInput(
            f"{what[:1].upper()}{what[1:]} is no JSON object of ids and bodies.",
            remedy="""Such as '{"task-1": {"n": 1}}'.""",
        )
    pairs: list[tuple[str, Any]] = whole[0]
    return pairs


def _age(text: str) -> timedelta:
    try:
        return timedelta(seconds=float(text[:-1]) * UNITS[text[-1:]])
    except (ValueError, KeyError, OverflowError):
        raise BadInput(f"{text!r} is no age.", remedy="Such as 90s, 30m, 12h or 7d.") from None


def _shown(id_: str) -> str:
    """An id for a person: as it is if it is one plain word; nothing that moves a terminal."""
    plain = id_.isprintable()
    return id_ if plain and " " not in id_ else json.dumps(id_, ensure_ascii=not plain)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)
