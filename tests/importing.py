"""Imports modules, each in a process of its own that has the outside libraries already.

A script: its arguments are the modules to have beforehand; then it reads a module's name
a line and answers with a line of JSON, `[exit status, what was printed]`. A fork is
much quicker than a new Python, and our own modules are as new to it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import sys
import threading
import time
import traceback
from contextlib import suppress

TIMEOUT_S = 60.0


def main() -> None:
    """Answer until the input ends."""
    for name in sys.argv[1:]:
        with suppress(ImportError):  # of another system, such as msvcrt
            importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(imported(line.strip())), flush=True)


def imported(module: str) -> tuple[int, str]:
    """Import the module in a fork; its exit status, and what it printed on either output."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(writes, 1)
        os.dup2(writes, 2)
        os.closerange(3, max(reads, writes) + 1)
        os._exit(status_of_import(module))
    os.close(writes)
    said, over = read_to_end(reads)
    os.close(reads)
    if not over:
        return 1, said + " … and it, or what it started, did not end"
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def status_of_import(module: str) -> int:
    """Import the module; what is wrong is printed. To end as usual would take longer than this."""
    try:
        importlib.import_module(module)
        assert threading.active_count() == 1, threading.enumerate()
        status = 0
    except BaseException:  # noqa: BLE001  SystemExit too
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    return status


def read_to_end(pipe: int) -> tuple[str, bool]:
    """What is written to the pipe until all who can write to it have ended; whether they have."""
    said, until = b"", time.monotonic() + TIMEOUT_S
    while select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
        read = os.read(pipe, 65536)
        if not read:
            return said.decode(), True
        said += read
    return said.decode(), False


if __name__ == "__main__":
    main()
