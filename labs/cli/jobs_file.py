"""The handlers in a learner's Python file: read, or refused with a sentence about the file."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping
from pathlib import Path

from labs.errors import BadInput
from labs.job_queue.jobs import Handler

FORM = 'Write, after your functions: HANDLERS = {"DemoJob": demo}'


def handlers_of(file: Path) -> Mapping[str, Handler]:
    """The file's HANDLERS.

    Raises:
        BadInput: there is no such file, it is no Python, it fails, or it has no handlers.
    """
    if not file.is_file():
        raise BadInput(f"There is no file {file}.", remedy="Give the path of a Python file.")
    sys.path.insert(
        0, str(file.parent.absolute())
    )  # it imports what lies beside it, as with python
    try:
        names = runpy.run_path(str(file), run_name="handlers")
    except SyntaxError as error:
        raise BadInput(
            f"{file} is no Python: line {error.lineno}: {error.msg}.", remedy="Mend the line."
        ) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - also sys.exit(): a file may do anything
        raise BadInput(
            f"{file} fails when it is read{_line(error, file)}: {type(error).__name__}: {error}.",
            remedy=f"Try `python {file}`. It should define functions, and do nothing.",
        ) from None
    handlers = names.get("HANDLERS")
    if handlers is None:
        raise BadInput(f"{file} has no HANDLERS.", remedy=FORM)
    if not isinstance(handlers, Mapping) or not handlers:
        raise BadInput(f"HANDLERS in {file} is not a dict with handlers in it.", remedy=FORM)
    return handlers


def _line(error: BaseException, file: Path) -> str:
    """Where in the file it failed."""
    trace, line = error.__traceback__, 0
    while trace:
        if Path(trace.tb_frame.f_code.co_filename) == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""
