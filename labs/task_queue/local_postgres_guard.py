"""The process between a `LocalPostgres` and its server: it ends the one with the other.

It is the server's parent, runs it as the user that it is told, prints one line (`ready`, or the
server's last words), and ends it on SIGTERM (in good order), on SIGQUIT (at once, as a crash
would), or when its owner is gone, however that ended.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from labs.errors import WaitedTooLong
from labs.waiting import wait_until

START_WITHIN_S = 60.0
END_WITHIN_S = 30.0
LOOK_EVERY_S = 0.05


def guard(order: dict[str, Any]) -> None:
    """Run the server until SIGTERM (in good order), SIGQUIT (at once), or its owner's end."""
    home = Path(order["home"])
    asked: list[int] = []

    def heed(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler has both
        asked.append(number)

    signal.signal(signal.SIGTERM, heed)
    signal.signal(signal.SIGQUIT, heed)
    with (home / "log").open("ab") as log:
        begins = log.tell()
        server = subprocess.Popen(
            order["command"], cwd="/", stdout=log, stderr=log, **order["options"]
        )

    def is_to_end() -> bool:
        return bool(asked) or os.getppid() != order["owner"]

    def is_over() -> bool:
        return is_to_end() or server.poll() is not None

    with suppress(WaitedTooLong):
        wait_until(lambda: is_over() or is_ready(home, server.pid), START_WITHIN_S, interval_s=0.02)
    if is_ready(home, server.pid) and not is_over():
        print("ready", flush=True)
        wait_until(is_over, math.inf, interval_s=LOOK_EVERY_S)
    else:
        with (home / "log").open("rb") as said:
            said.seek(begins)
            print(" ".join(said.read().decode(errors="replace").split())[-1000:], flush=True)
    # PostgreSQL's own words: SIGINT is an end in good order, SIGQUIT one without.
    server.send_signal(signal.SIGQUIT if signal.SIGQUIT in asked else signal.SIGINT)
    try:
        server.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    if order["wipe"] and os.getppid() != order["owner"]:
        shutil.rmtree(home, ignore_errors=True)


def is_ready(home: Path, pid: int) -> bool:
    """Whether this very server takes connections: it says so in its lock file."""
    try:
        lines = (home / "data" / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


if __name__ == "__main__":
    guard(json.loads(sys.argv[1]))
