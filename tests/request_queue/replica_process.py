"""A replica as a process of its own, which writes what it does to a file that all share.

python -m tests.request_queue.replica_process BOOTSTRAP FILE NAME WORK_S
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from labs.request_queue import DriverSettings, LifecycleRequestQueueService, open_log
from labs.settings import load


def main() -> None:
    """Work until SIGTERM."""
    bootstrap, file, name, work_s = sys.argv[1:]
    journal = os.open(Path(file), os.O_APPEND | os.O_WRONLY | os.O_CREAT)

    def handle(request: dict[str, Any]) -> bool:
        what = f"{request['request_id']} {request['n']} {name}\n"
        os.write(journal, f"began {what}".encode())
        time.sleep(float(work_s))
        os.write(journal, f"ended {what}".encode())
        return True

    settings = load(DriverSettings, arguments={"messaging.connection_address": bootstrap})
    service = LifecycleRequestQueueService(open_log(settings), settings)
    queue = service.get_lifecycle_request_queue(name, handle, required=())
    queue.run()
    service.close()


if __name__ == "__main__":
    main()
