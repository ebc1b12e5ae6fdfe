"""What the commands for learners share: the argument EXERCISE, --name, and text to read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from labs.judge.catalogue import SLUGS
from labs.judge.progress import Progress, learner_name

F = TypeVar("F", bound=Callable[..., Any])


def complete_exercise(
    context: click.Context,  # noqa: ARG001 - click's signature
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """The exercises that begin so, for the shell's Tab."""
    return [CompletionItem(slug) for slug in SLUGS if slug.startswith(incomplete)]


def exercise_argument(function: F) -> F:
    """The argument EXERCISE."""
    return click.argument("exercise", shell_complete=complete_exercise)(function)


def name_option(function: F) -> F:
    """The option --name."""
    return click.option(
        "--name",
        metavar="YOU",
        envvar="LABS_NAME",
        help="Whose progress; else LABS_NAME in the environment, or your login.",
    )(function)


def progress_of(name: str | None) -> Progress:
    """This learner's progress; should its file be damaged, that is said on standard error."""
    return Progress(learner_name(name), tell=lambda sentence: click.echo(sentence, err=True))


def show_markdown(text: str) -> None:
    """Print a page: as it is for a file or a pipe, laid out on a terminal."""
    if not sys.stdout.isatty():
        click.echo(text.rstrip("\n"))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.print(Markdown(text), width=min(console.width, 96))
