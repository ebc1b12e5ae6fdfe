"""The process between a `local_server.LocalServer` and its server: it ends the one with the other.

It is the server's parent, prints one line (`ready`, or the server's last words), and ends it on
SIGTERM (in good order), on SIGQUIT (at once, as a crash would), or when its owner is gone,
however that ended. Secrets come by its environment, where no other user can read them.
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
    """Run the server until SIGTERM, SIGQUIT, or its owner's end."""
    home, ready = Path(order["home"]), order["ready"].encode()
    asked: list[int] = []

    def heed(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler has both
        asked.append(number)

    signal.signal(signal.SIGTERM, heed)
    signal.signal(signal.SIGQUIT, heed)
    with (home / "log").open("ab") as log:
        begins = log.tell()
        server = subprocess.Popen(
            order["command"], cwd=order["cwd"], stdout=log, stderr=log, **order["options"]
        )

    def said() -> bytes:
        with (home / "log").open("rb") as log:
            log.seek(begins)
            return log.read()

    def is_over() -> bool:
        return bool(asked) or os.getppid() != order["owner"] or server.poll() is not None

    with suppress(WaitedTooLong):
        wait_until(lambda: is_over() or ready in said(), START_WITHIN_S, interval_s=0.02)
    if ready in said() and not is_over():
        print("ready", flush=True)
        wait_until(is_over, math.inf, interval_s=LOOK_EVERY_S)
    else:
        print(" ".join(said().decode(errors="replace").split())[-1000:], flush=True)
    orphaned = os.getppid() != order["owner"]
    at_once = signal.SIGQUIT in asked or (orphaned and order["wipe"])
    end(server, order["at_once" if at_once else "in_good_order"])
    if order["wipe"] and orphaned:
        shutil.rmtree(home, ignore_errors=True)


def end(server: subprocess.Popen[bytes], number: int) -> None:
    """End the server by its own signal for it, and return when it is gone."""
    server.send_signal(number)
    with suppress(subprocess.TimeoutExpired):
        server.wait(END_WITHIN_S)
    server.kill()
    server.wait()


if __name__ == "__main__":
    guard(json.loads(sys.argv[1]))
