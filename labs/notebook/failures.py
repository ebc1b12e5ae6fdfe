"""Errors under a cell in words: what happened, the likely cause, what to do, and the one
line of the cell that raised; in place of a wall of traceback.

It concerns the errors that the lab is about: the kit's own, and pika's. Others
keep their traceback, and `%tb` shows it for these too. The cell still counts as
failed, for people and for programs that run the notebook.
"""

from __future__ import annotations

import linecache
import sys
from types import TracebackType
from typing import Any

from IPython import get_ipython

from labs.broker.explain import explain
from labs.errors import LabError


def install() -> None:
    """Let IPython show errors so from now on; outside IPython nothing happens."""
    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc((Exception,), _show)


def in_words(error: BaseException) -> list[str] | None:
    """The lines that explain an error; None if it is none that the lab is about."""
    if isinstance(error, LabError):
        lines = [str(error)]
        if error.remedy:
            lines.append(f"What to do: {error.remedy}")
        return lines
    if not _of_pika(error):
        return None
    meaning = explain(error)
    lines = [meaning.what]
    if meaning.cause:
        lines.append(f"Likely cause: {meaning.cause}")
    if meaning.cure:
        lines.append(f"What to do: {meaning.cure}")
    return lines


def line_of(trace: TracebackType | None, cell_names: dict[str, Any]) -> str:
    """The innermost line of the learner's own code in a traceback, with its number."""
    found = ""
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_globals is cell_names:
            line = linecache.getline(frame.f_code.co_filename, trace.tb_lineno).strip()
            found = f"line {trace.tb_lineno}:  {line}" if line else found
        trace = trace.tb_next
    return found


def _of_pika(error: BaseException) -> bool:
    """Whether pika raised it, or a call of pika was written wrongly."""
    if type(error).__module__.startswith("pika") or "BlockingChannel." in str(error):
        return True
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).split(".")[0] == "pika":
            return True
        trace = trace.tb_next
    return False


def _show(
    shell: Any,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
    tb_offset: int | None = None,
) -> list[str] | None:
    words = in_words(error)
    if words is None:
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
        return None
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace  # what %tb shows
    where = line_of(trace, shell.user_ns)
    lines = [
        f"\x1b[1;31m{kind.__name__}\x1b[0m" + (f" at {where}" if where else ""),
        *words,
        "\x1b[2m(%tb shows the whole traceback.)\x1b[0m",
    ]
    shell._showtraceback(kind, error, lines)
    return lines
