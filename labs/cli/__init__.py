"""The `labs` command: reads flags and environment once, wires, prints, exits.

Each command is a file of its own, imported only when it is called, so that one
that has little to do answers at once. What a person can cause is printed as a
sentence and a remedy on standard error, and the exit code is the error's own
(`labs.errors`); Ctrl-C exits with 130. A mistake in the kit keeps its traceback.
"""

from __future__ import annotations

import importlib
import logging
import sys
from difflib import get_close_matches

import click

from labs.cli.group import Group
from labs.errors import LabError

COMMANDS = {
    # name: (the file that has it, one line of help)
    "lab": ("labs.cli.lab", "Open the lab: broker and notebooks. Ctrl-C stops what it started."),
    "up": ("labs.cli.up", "Find or start a broker and say where it is."),
    "down": ("labs.cli.down", "Stop what `labs up` and `labs kafka up` started."),
    "status": ("labs.cli.status", "Say where the broker is and what its queues hold."),
    "kafka": ("labs.cli.kafka", "Keep a Kafka for the lab, with nothing to install."),
    "restart": ("labs.cli.restart", "Restart the lab's own broker."),
    "doctor": ("labs.cli.doctor", "Look at everything a lab needs; say how to cure what ails."),
    "env": ("labs.cli.env", "Print the broker's URL for a shell."),
    "reset": ("labs.cli.reset", "Delete what exercises left in the broker."),
    "exercises": ("labs.cli.exercises", "List the exercises, and which of them you have passed."),
    "start": ("labs.cli.start", "Begin an exercise: its brief and a program to change."),
    "check": ("labs.cli.check", "Judge your program: run it under faults on the real broker."),
    "watch": ("labs.cli.watch", "Judge it again each time that you save it."),
    "hint": ("labs.cli.hint", "Show the next hint for an exercise."),
    "solution": ("labs.cli.solution", "Show an exercise's solution, once you have passed."),
    "progress": ("labs.cli.progress", "Show what is passed, what is open, and attempts."),
    "judge": ("labs.cli.judge", "Judge again a run that --journal kept."),
    "jobs": ("labs.cli.jobs", "A job queue: queue jobs, handle them, mend those that failed."),
    "driver": ("labs.cli.driver", "A driver: an API before a request queue, and its replicas."),
    "task-queue": ("labs.cli.task_queue", "A task queue: its verbs, its server, its controller."),
    "queue-service": ("labs.cli.queue_service", "A queue service: builds and jobs behind REST."),
    "proxy": ("labs.cli.proxy", "Listen to what any AMQP program says to its broker."),
    "draw": ("labs.cli.draw", "Draw a recorded conversation as a sequence diagram."),
    "dev": ("labs.cli.dev", "For those who write exercises: are they complete?"),
    "completion": ("labs.cli.completion", "Print the shell code that completes with Tab."),
}
INTERRUPTED = 130


class Commands(Group):
    """The group of all commands, each imported when it is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command itself."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def line_of(self, ctx: click.Context, name: str) -> str:  # noqa: ARG002 - the group's signature
        """Its line of help, without importing it."""
        return COMMANDS[name][1]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is asked for; what is none is refused with the nearest name.

        Click finds it where the commands are imported already, which these are not.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near:
                raise
            said = f"{error.message} Did you mean {near[0]!r}?"
            raise click.UsageError(said, ctx) from None

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; print what a person can cause as a sentence, and exit with its code."""
        try:
            return super().invoke(ctx)
        except LabError as error:
            click.echo(f"labs: {error}", err=True)
            if error.remedy:
                click.echo(error.remedy, err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("\nStopped.", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            click.echo(f"labs: {error.strerror or error}{where}.", err=True)
            click.echo(_os_remedy(error), err=True)
            ctx.exit(1)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="queue-labs", prog_name="labs")
def labs() -> None:
    """Queue Labs: learn message queues on a real RabbitMQ.

    `labs up` finds or starts a broker; `labs status` shows it; `./qprocessor.py`
    is a worker to play with; `labs lab` opens the notebooks. `labs exercises`
    lists programs to write, and `labs check` judges yours. When something does not
    work, ask `labs doctor`.
    """
    # pika logs at length what it also raises; what is raised is put into words here.
    logging.getLogger("pika").setLevel(logging.CRITICAL + 1)


def main() -> None:
    """Run the command line."""
    labs(prog_name="labs" if sys.argv[0].endswith("labs") else "python -m labs")


def _os_remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return (
            "Were files made there as another user (root)? "
            "Give them back with chown, or set LABS_HOME to a folder of your own."
        )
    return "Make room on the disk, or set LABS_HOME to a folder on another one."
