"""A learner's Python file: read, or refused with a sentence that says where it fails."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labs.errors import BadInput


def names_in(file: Path, *, run_name: str) -> Mapping[str, Any]:
    """Run the file, and give the names that it defines. What lies beside it can be imported.

    Raises:
        BadInput: there is no such file, it is no Python, or it fails.
    """
    if not file.is_file():
        raise BadInput(f"There is no file {file}.", remedy="Give the path of a Python file.")
    sys.path.insert(0, str(file.parent.absolute()))
    try:
        return runpy.run_path(str(file), run_name=run_name)
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


def _line(error: BaseException, file: Path) -> str:
    """Where in the file it failed."""
    trace, line = error.__traceback__, 0
    while trace:
        if Path(trace.tb_frame.f_code.co_filename) == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""
