"""`labs completion`: the shell code that completes commands and flags with Tab."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from labs.cli import labs


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the shell code that completes commands and flags with Tab.

    \b
    eval "$(labs completion bash)"             for this shell
    labs completion fish | source
    """
    completer = get_completion_class(shell)
    assert completer is not None, "each shell that may be chosen is one that click knows"
    click.echo(completer(labs, {}, "labs", "_LABS_COMPLETE").source())
