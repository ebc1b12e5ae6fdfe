"""The handlers in a learner's Python file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from labs.cli.python_file import names_in
from labs.errors import BadInput
from labs.job_queue.jobs import Handler

FORM = 'Write, after your functions: HANDLERS = {"DemoJob": demo}'


def handlers_of(file: Path) -> Mapping[str, Handler]:
    """The file's HANDLERS.

    Raises:
        BadInput: the file can't be read, or it has no handlers.
    """
    handlers = names_in(file, run_name="handlers").get("HANDLERS")
    if handlers is None:
        raise BadInput(f"{file} has no HANDLERS.", remedy=FORM)
    if not isinstance(handlers, Mapping) or not handlers:
        raise BadInput(f"HANDLERS in {file} is not a dict with handlers in it.", remedy=FORM)
    return handlers
