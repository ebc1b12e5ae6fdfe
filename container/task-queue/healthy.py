"""Whether the container is well: a server answers for its store; a controller runs, or is gone."""

import os
import sys
from pathlib import Path
from urllib.request import urlopen

words = Path("/proc/1/cmdline").read_bytes().split(b"\0")
if b"server" in words:
    port = os.environ.get("TASK_QUEUE_PORT", "8001")
    with urlopen(f"http://127.0.0.1:{port}/api/v1/queue/health", timeout=5) as answer:
        sys.exit(answer.status != 200)
