"""A group of commands whose list is told in whole.

Click cuts the line of a command in a group's list where the terminal ends; here it goes on in
the next row.
"""

from __future__ import annotations

import click

WHOLE = 1000
"""Letters: more than the first sentence of any command has."""


class Group(click.Group):
    """A group whose list is not cut."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, each with its whole first sentence."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self.line_of(ctx, name)) for name in self.list_commands(ctx)]
            )

    def line_of(self, ctx: click.Context, name: str) -> str:
        """What the list says of a command."""
        command = self.get_command(ctx, name)
        return command.get_short_help_str(WHOLE) if command else ""
